"""A compact Transformer from torch's own parts: attention, feed-forward, block, stack.

Shapes: B rows, S positions, D width, H query heads, G key-value heads, E = D / H, V vocabulary.
What may be attended is the caller's business: ``causal`` (torch's fast path) or a ``mask``; so an
objective decides, and no objective is named here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from corpusforge.errors import SpecError
from corpusforge.spec import ModelSpec

from .init import initialize

if TYPE_CHECKING:
    from .cache import KeyValueCache


class Transformer(nn.Module):
    """Tokens [B, S] -> hidden states [B, S, D]; the vocabulary projection stays with the loss.

    ``sequence`` is the longest row: the size of the position tables. Weights depend on ``seed``.
    """

    def __init__(self, spec: ModelSpec, vocabulary: int, sequence: int, seed: int) -> None:
        if spec.position not in ("learned", "rope"):
            raise SpecError(
                f"model.position = '{spec.position}' comes with its objective, not yet shipped",
                expected="'rope' or 'learned'",
                remedy="use --set model.position=rope",
            )
        super().__init__()
        self.spec, self.vocabulary, self.sequence = spec, vocabulary, sequence
        self.recompute = False  # blocks run again in the backward pass, nothing in them is kept
        self.tokens = nn.Embedding(vocabulary, spec.width)
        self.positions = nn.Embedding(sequence, spec.width) if spec.position == "learned" else None
        self.rotary = (
            Rotary(sequence, spec.width // spec.heads, spec.rope_theta)
            if spec.position == "rope"
            else None
        )
        self.dropout = nn.Dropout(spec.dropout)
        self.blocks = nn.ModuleList(Block(spec) for _ in range(spec.layers))
        self.norm = norm(spec) if spec.norm == "pre" else nn.Identity()
        self.head = None if spec.tied else nn.Linear(spec.width, vocabulary, bias=False)
        initialize(self, spec, seed)

    @property
    def unembedding(self) -> Tensor:
        """Weight [V, D] that turns a hidden state into logits."""
        return self.tokens.weight if self.head is None else self.head.weight

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
        x = self.tokens(tokens)
        if self.positions is not None:
            x = x + self.positions(positions)
        rotation = self.rotary(positions) if self.rotary is not None else None
        x = self.dropout(x)
        for layer, block in enumerate(self.blocks):
            if self.recompute and self.training:
                x = checkpoint(block, x, rotation, causal, mask, cache, layer, use_reentrant=False)
            else:
                x = block(x, rotation, causal, mask, cache, layer)
        if cache is not None:
            cache.length += tokens.shape[1]
        out: Tensor = self.norm(x)
        return out

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states [..., D] -> logits [..., V] in float32; training never calls this."""
        return F.linear(hidden, self.unembedding).float()


class Block(nn.Module):
    """Attention, then feed-forward, each with its norm (before or after) and a residual."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.pre = spec.norm == "pre"
        self.attention_norm, self.attention = norm(spec), Attention(spec)
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
    ) -> Tensor:
        """x [B, S, D] -> [B, S, D]."""
        if self.pre:
            y = self.attention(self.attention_norm(x), rotation, causal, mask, cache, layer)
            x = x + self.dropout(y)
            x = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        else:
            y = self.attention(x, rotation, causal, mask, cache, layer)
            x = self.attention_norm(x + self.dropout(y))
            x = self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
        return x


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
    ) -> Tensor:
        """x [B, S, D] -> [B, S, D]."""
        rows, length, width = x.shape
        q = self.query(x).view(rows, length, self.heads, self.size).transpose(1, 2)
        k = self.key(x).view(rows, length, self.kv_heads, self.size).transpose(1, 2)
        v = self.value(x).view(rows, length, self.kv_heads, self.size).transpose(1, 2)
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
        out: Tensor = self.out(y.transpose(1, 2).reshape(rows, length, width))
        return out


class FeedForward(nn.Module):
    """Two matrices around GELU (exact or tanh), or three as SwiGLU (Shazeer 2020)."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        gated = spec.activation == "swiglu"
        inner = spec.feed_forward or (
            -(-spec.width * 8 // 3 // 32) * 32 if gated else 4 * spec.width
        )
        self.up = nn.Linear(spec.width, inner, bias=spec.bias)
        self.gate = nn.Linear(spec.width, inner, bias=spec.bias) if gated else None
        self.down = nn.Linear(inner, spec.width, bias=spec.bias)
        self.approximate = "tanh" if spec.activation == "gelu-tanh" else "none"

    def forward(self, x: Tensor) -> Tensor:
        """x [B, S, D] -> [B, S, D]."""
        if self.gate is not None:
            inner = F.silu(self.gate(x)) * self.up(x)
        else:
            inner = F.gelu(self.up(x), approximate=self.approximate)
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
