"""The Transformer from torch's own parts: attention, feed-forward, block, and stacks of blocks.

Vaswani et al. 2017 have two stacks: the encoder, whose positions see each other both ways, and the
decoder, which sees the past alone and, through cross attention, what the encoder made of another
text. ``Stack`` is both. ``Transformer`` is one stack without cross attention: a GPT where attention
is causal, a BERT where it is not; ``EncoderDecoder`` is the two together.

Shapes: B rows, S positions, D width, H query heads, G key-value heads, E = D / H, V vocabulary.
What may be attended is the caller's business: ``causal`` (torch's fast path) or a ``mask``; so an
objective decides, and no objective is named here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from corpusforge.errors import SpecError
from corpusforge.spec import ModelSpec

from .init import initialize
from .relative_bias import RelativeBias

if TYPE_CHECKING:
    from .cache import KeyValueCache


class Divided(Protocol):
    """What divides the positions [B, S, D] of blocks over processes (tensor parallelism)."""

    def enter(self, x: Tensor) -> Tensor:
        """All positions -> those of this process."""

    def leave(self, x: Tensor) -> Tensor:
        """Those of this process -> all."""


class Stack(nn.Module):
    """Blocks with their positions and last norm: the encoder, or with ``cross`` the decoder.

    ``sequence`` is the longest row: the size of the position tables. ``both_ways`` says whether
    positions are read from both sides, which relative ones tell apart.
    """

    def __init__(
        self, spec: ModelSpec, sequence: int, *, cross: bool = False, both_ways: bool = False
    ) -> None:
        if spec.position not in ("learned", "rope", "t5-bucket"):
            raise SpecError(
                f"model.position = '{spec.position}' has an attention of its own",
                expected="'rope', 'learned' or 't5-bucket' for this objective",
                remedy="use --set model.position=rope",
            )
        super().__init__()
        self.spec, self.sequence = spec, sequence
        self.recompute = False  # blocks run again in the backward pass, nothing in them is kept
        self.divided: Divided | None = None  # between attentions, positions are over processes
        self.positions = nn.Embedding(sequence, spec.width) if spec.position == "learned" else None
        self.rotary = (
            Rotary(sequence, spec.width // spec.heads, spec.rope_theta)
            if spec.position == "rope"
            else None
        )
        self.bias = RelativeBias(spec.heads, both_ways) if spec.position == "t5-bucket" else None
        self.blocks = nn.ModuleList(Block(spec, cross) for _ in range(spec.layers))
        self.norm = norm(spec) if spec.norm == "pre" else nn.Identity()

    def run(
        self,
        x: Tensor,
        positions: Tensor,
        *,
        causal: bool = False,
        mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
        memory: Tensor | None = None,
        memory_mask: Tensor | None = None,
    ) -> Tensor:
        """Embedded tokens x [B, S, D] at ``positions`` ([B, S] or [S]) -> hidden states [B, S, D].

        ``memory`` [B, R, D] is what cross attention reads, ``memory_mask`` [B, 1, 1 or S, R] True
        where it may. The others are those of `Transformer.forward`.
        """
        rotation = self.rotary(positions) if self.rotary is not None else None
        if self.bias is not None:
            past = cache.length if cache is not None else 0
            mask, causal = self.bias(x.shape[1], past, causal, mask), False
        if self.divided is not None:
            x = self.divided.enter(x)
        for layer, block in enumerate(self.blocks):
            given = (x, rotation, causal, mask, cache, layer, memory, memory_mask)
            if self.recompute and self.training:
                x = checkpoint(block, *given, use_reentrant=False)
            else:
                x = block(*given)
        if cache is not None:
            cache.length += x.shape[1]
        out: Tensor = self.norm(x)
        return out if self.divided is None else self.divided.leave(out)


class Vocabulary:
    """What a model does with its table of tokens at the other end."""

    tokens: nn.Embedding
    head: nn.Linear | None

    @property
    def unembedding(self) -> Tensor:
        """Weight [V, D] that turns a hidden state into logits."""
        return self.tokens.weight if self.head is None else self.head.weight

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states [..., D] -> logits [..., V] in float32; training never calls this."""
        return F.linear(hidden, self.unembedding).float()


class Transformer(Vocabulary, Stack):
    """Tokens [B, S] -> hidden states [B, S, D]; the vocabulary projection stays with the loss.

    Weights depend on ``seed``.
    """

    def __init__(
        self,
        spec: ModelSpec,
        vocabulary: int,
        sequence: int,
        seed: int,
        *,
        both_ways: bool = False,
    ) -> None:
        Stack.__init__(self, spec, sequence, both_ways=both_ways)
        self.vocabulary = vocabulary
        self.tokens = nn.Embedding(vocabulary, spec.width)
        self.dropout = nn.Dropout(spec.dropout)
        self.head = None if spec.tied else nn.Linear(spec.width, vocabulary, bias=False)
        initialize(self, spec, seed)

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor | None = None,
        *,
        causal: bool = False,
        mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Run the stack.

        Args:
            tokens: int64 [B, S].
            positions: int64 [B, S] or [S]; None counts from 0, or from the cache's length.
            causal: a position sees itself and what is before it. Not together with ``mask``.
            mask: [B or 1, 1 or H, S, S]; boolean (True may be seen) or added to the scores.
            cache: keys and values of the positions before; only causal models have one.
        """
        if positions is None:
            start = cache.length if cache is not None else 0
            positions = torch.arange(start, start + tokens.shape[1], device=tokens.device)
        x = self.dropout(self.embed(tokens, positions))
        return self.run(x, positions, causal=causal, mask=mask, cache=cache)

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Vectors [B, S, D] of tokens, with their places where these are learned."""
        x: Tensor = self.tokens(tokens)
        return x if self.positions is None else x + self.positions(positions)


class EncoderDecoder(Vocabulary, nn.Module):
    """Tokens [B, R] to read and [B, T] to go on from -> hidden states [B, T, D].

    One table of tokens serves both stacks and the vocabulary's product. Weights depend on ``seed``.
    """

    def __init__(self, spec: ModelSpec, vocabulary: int, sequence: int, seed: int) -> None:
        super().__init__()
        self.spec, self.vocabulary, self.sequence = spec, vocabulary, sequence
        self.tokens = nn.Embedding(vocabulary, spec.width)
        self.encoder = Stack(spec, sequence, both_ways=True)
        self.decoder = Stack(spec, sequence, cross=True)
        self.dropout = nn.Dropout(spec.dropout)
        self.head = None if spec.tied else nn.Linear(spec.width, vocabulary, bias=False)
        self.positions = None  # the stacks have theirs
        initialize(self, spec, seed)

    @property
    def recompute(self) -> bool:
        """Whether blocks run again in the backward pass."""
        return self.encoder.recompute

    @recompute.setter
    def recompute(self, value: bool) -> None:
        self.encoder.recompute = self.decoder.recompute = value

    def forward(self, tokens: Tensor, mask: Tensor, given: Tensor) -> Tensor:
        """Hidden states of the decoder; ``mask`` bool [B, R] is False at padding."""
        return self.decode(given, self.encode(tokens, mask), mask)

    def encode(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Tokens [B, R] -> what the decoder attends to [B, R, D]."""
        return self._stack(self.encoder, tokens, mask=mask[:, None, None])

    def decode(self, given: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Tokens [B, T], each of which sees those before it and the memory [B, R, D]."""
        seen = mask[:, None, None]
        return self._stack(self.decoder, given, causal=True, memory=memory, memory_mask=seen)

    def _stack(self, stack: Stack, tokens: Tensor, **settings: Any) -> Tensor:
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.tokens(tokens)
        if stack.positions is not None:
            x = x + stack.positions(positions)
        return stack.run(self.dropout(x), positions, **settings)


class Block(nn.Module):
    """Attention, then feed-forward, each with its norm (before or after) and a residual.

    With ``cross`` an attention to the encoder's output stands between the two.
    """

    def __init__(self, spec: ModelSpec, cross: bool = False) -> None:
        super().__init__()
        self.pre = spec.norm == "pre"
        self.attention_norm, self.attention = norm(spec), Attention(spec)
        self.cross_norm = norm(spec) if cross else None
        self.cross_attention = Attention(spec) if cross else None
        self.feed_forward_norm, self.feed_forward = norm(spec), FeedForward(spec)
        self.dropout = nn.Dropout(spec.dropout)

    def forward(
        self,
        x: Tensor,
        rotation: tuple[Tensor, Tensor] | None,
        causal: bool,
        mask: Tensor | None,
        cache: KeyValueCache | None,
        layer: int,
        memory: Tensor | None = None,
        memory_mask: Tensor | None = None,
    ) -> Tensor:
        """x [B, S, D] -> [B, S, D]."""

        def attend(x: Tensor) -> Tensor:
            return self.attention(x, rotation, causal, mask, cache, layer)

        def cross(x: Tensor) -> Tensor:
            return self.cross_attention(x, None, False, memory_mask, None, layer, memory)

        x = self._add(x, self.attention_norm, attend)
        if memory is not None:
            x = self._add(x, self.cross_norm, cross)
        return self._add(x, self.feed_forward_norm, self.feed_forward)

    def _add(self, x: Tensor, norm: nn.Module, part: Callable[[Tensor], Tensor]) -> Tensor:
        """Add to x what ``part`` makes of it, the norm before the part or after the sum."""
        if self.pre:
            return x + self.dropout(part(norm(x)))
        out: Tensor = norm(x + self.dropout(part(x)))
        return out


class Attention(nn.Module):
    """Multi-head attention; with fewer key-value heads each serves a group of query heads.

    Queries, keys and values are separate matrices, so that tensor parallelism can cut by head.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.heads, self.kv_heads = spec.heads, spec.kv_heads or spec.heads
        self.size = spec.width // spec.heads
        self.query = nn.Linear(spec.width, spec.width, bias=spec.bias)
        self.key = nn.Linear(spec.width, self.kv_heads * self.size, bias=spec.bias)
        self.value = nn.Linear(spec.width, self.kv_heads * self.size, bias=spec.bias)
        self.out = nn.Linear(spec.width, spec.width, bias=spec.bias)
        self.drop = spec.dropout

    def forward(
        self,
        x: Tensor,
        rotation: tuple[Tensor, Tensor] | None,
        causal: bool,
        mask: Tensor | None,
        cache: KeyValueCache | None,
        layer: int,
        memory: Tensor | None = None,
    ) -> Tensor:
        """x [B, S, D] -> [B, S, D]; keys and values are of ``memory`` [B, R, D] if it is given."""
        rows, length, _ = x.shape
        read = x if memory is None else memory
        q = self.query(x).view(rows, length, self.heads, self.size).transpose(1, 2)
        k = self.key(read).view(rows, -1, self.kv_heads, self.size).transpose(1, 2)
        v = self.value(read).view(rows, -1, self.kv_heads, self.size).transpose(1, 2)
        if rotation is not None:
            q, k = rotate(q, *rotation), rotate(k, *rotation)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        if self.kv_heads != self.heads:
            # enable_gqa falls back to the unfused kernel on CPU; a copy of the heads does not
            groups = self.heads // self.kv_heads
            k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        y = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            dropout_p=self.drop if self.training else 0.0,
            is_causal=causal and length > 1,
        )
        out: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return out


_gelu_tanh = partial(F.gelu, approximate="tanh")
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu-tanh": _gelu_tanh,
    "relu": F.relu,
    "swiglu": F.silu,
    "geglu": _gelu_tanh,
}


class FeedForward(nn.Module):
    """Two matrices around an activation, or three with a gate (Shazeer 2020)."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        gated = spec.activation in ("swiglu", "geglu")
        self.up = nn.Linear(spec.width, spec.inner, bias=spec.bias)
        self.gate = nn.Linear(spec.width, spec.inner, bias=spec.bias) if gated else None
        self.down = nn.Linear(spec.inner, spec.width, bias=spec.bias)
        self.activation = ACTIVATIONS[spec.activation]

    def forward(self, x: Tensor) -> Tensor:
        """x [B, S, D] -> [B, S, D]."""
        if self.gate is not None:
            inner = self.activation(self.gate(x)) * self.up(x)
        else:
            inner = self.activation(self.up(x))
        out: Tensor = self.down(inner)
        return out


class Rotary(nn.Module):
    """Tables of rotary positions (Su et al. 2021), halves paired as in Llama's public weights."""

    cos: Tensor
    sin: Tensor

    def __init__(self, sequence: int, size: int, theta: float) -> None:
        super().__init__()
        frequency = theta ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
        angle = torch.arange(sequence, dtype=torch.float64)[:, None] * frequency
        self.register_buffer("cos", angle.cos().float(), persistent=False)
        self.register_buffer("sin", angle.sin().float(), persistent=False)

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines [1, S, E/2], or [B, 1, S, E/2] where rows have their own positions."""
        cos, sin = self.cos[positions], self.sin[positions]
        if positions.dim() == 1:
            return cos[None], sin[None]
        return cos[:, None], sin[:, None]


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn x [B, H, S, E] by its positions; the result keeps x's dtype."""
    first, second = x.chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)


def norm(spec: ModelSpec) -> nn.Module:
    """LayerNorm or RMSNorm over the width."""
    if spec.norm_kind == "rmsnorm":
        return nn.RMSNorm(spec.width, eps=spec.norm_eps)
    return nn.LayerNorm(spec.width, eps=spec.norm_eps, bias=spec.bias)
