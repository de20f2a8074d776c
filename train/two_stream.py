"""Two-stream attention over relative positions: the Transformer of XLNet (Yang et al. 2019).

A content stream reads every token. A query stream, only at the places to predict, knows its place
but not its token, and sees what comes before it in an order of its own. Distances, and whether two
tokens stand in one segment, are terms of the scores (Dai et al. 2019, "Transformer-XL").

Shapes: B rows, S positions, M positions of memory, K = M + S keys, P places to predict, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from corpusforge.errors import SpecError
from corpusforge.spec import ModelSpec

from .init import initialize
from .model import FeedForward, Vocabulary, norm


@dataclass(frozen=True)
class View:
    """What the queries of one stream see: Q of them in each row."""

    distance: Tensor  # int64 [B or 1, Q, K], number of the distance in the table of positions
    other: Tensor  # bool [B, Q, K], True where query and key stand in other segments
    unseen: Tensor  # bool [B, Q, K], True where the key may not be seen


class TwoStream(Vocabulary, nn.Module):
    """Tokens and an order to predict them in -> hidden states of the places to predict [B, P, D].

    Weights depend on ``seed``. Rows may be of any length, odd or even.
    """

    def __init__(self, spec: ModelSpec, vocabulary: int, sequence: int, seed: int) -> None:
        if spec.position != "relative-xl" or spec.norm != "post" or spec.kv_heads:
            raise SpecError(
                f"model.position = '{spec.position}', model.norm = '{spec.norm}', model.kv_heads = "
                f"{spec.kv_heads}",
                expected="'relative-xl', 'post' and 0 for two streams",
                remedy="start from --spec xlnet-mini",
            )
        super().__init__()
        self.spec, self.vocabulary, self.sequence = spec, vocabulary, sequence
        self.recompute = False  # blocks run again in the backward pass, nothing in them is kept
        self.tokens = nn.Embedding(vocabulary, spec.width)
        self.query = nn.Parameter(torch.empty(1, 1, spec.width))  # start of every query
        self.blocks = nn.ModuleList(TwoStreamBlock(spec) for _ in range(spec.layers))
        self.vocabulary_bias = nn.Parameter(torch.empty(vocabulary))
        self.dropout = nn.Dropout(spec.dropout)
        self.head = None if spec.tied else nn.Linear(spec.width, vocabulary, bias=False)
        self.positions = None
        initialize(self, spec, seed)

    def forward(
        self,
        tokens: Tensor,
        segments: Tensor,
        unseen: Tensor,
        places: Tensor,
        memory: Sequence[Tensor] = (),
        memory_segments: Tensor | None = None,
    ) -> Tensor:
        """Hidden states of the query stream [B, P, D].

        Args:
            tokens: int64 [B, S]. segments: int [B, S], equal where two tokens belong together.
            unseen: bool [B, S, K], True where a position may not see a key; the content stream
                sees its own token all the same.
            places: int64 [B, P], the positions to predict.
            memory: what `read` returned for the text before, ``memory_segments`` int [B, M] its
                segments.
        """
        length, past = tokens.shape[1], unseen.shape[2] - tokens.shape[1]
        every = torch.arange(length, device=tokens.device)
        own = nn.functional.pad(every[:, None] == every, (past, 0))
        keys = segments if memory_segments is None else torch.cat([memory_segments, segments], 1)
        content = view(every[None], segments, keys, unseen & ~own)
        rows = torch.arange(len(tokens), device=tokens.device)[:, None]
        query = view(places, segments[rows, places], keys, unseen[rows, places])
        h = self.dropout(self.tokens(tokens))
        g = self.dropout(self.query.expand(*places.shape, -1))
        table = self._table(length, past)
        for layer, block in enumerate(self.blocks):
            given = (h, g, memory[layer] if memory else None, table, content, query)
            if self.recompute and self.training:
                h, g = checkpoint(block, *given, use_reentrant=False)
            else:
                h, g = block(*given)
        out: Tensor = self.dropout(g)
        return out

    def read(self, tokens: Tensor, segments: Tensor, unseen: Tensor) -> list[Tensor]:
        """What a later text may remember of tokens [B, S]: the input of each block [B, S, D]."""
        every = torch.arange(tokens.shape[1], device=tokens.device)
        content, kept = view(every[None], segments, segments, unseen), []
        h, table = self.dropout(self.tokens(tokens)), self._table(tokens.shape[1], 0)
        for block in self.blocks:
            kept.append(h.detach())
            h, _ = block(h, None, None, table, content, None)
        return kept

    def _table(self, length: int, past: int) -> Tensor:
        """Sinusoids [past + 2 length - 1, D] of the distances 1 - length to past + length - 1."""
        device = self.tokens.weight.device
        distance = torch.arange(1 - length, past + length, dtype=torch.float32, device=device)
        even = torch.arange(0, self.spec.width, 2, dtype=torch.float32, device=device)
        angle = distance[:, None] / 10_000 ** (even / self.spec.width)
        return self.dropout(torch.cat([angle.sin(), angle.cos()], dim=1))


class TwoStreamBlock(nn.Module):
    """Attention of both streams to the content, then feed-forward, each with its norm."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.attention_norm, self.attention = norm(spec), RelativeAttention(spec)
        self.feed_forward_norm, self.feed_forward = norm(spec), FeedForward(spec)
        self.dropout = nn.Dropout(spec.dropout)

    def forward(
        self,
        h: Tensor,
        g: Tensor | None,
        memory: Tensor | None,
        table: Tensor,
        content: View,
        query: View | None,
    ) -> tuple[Tensor, Tensor | None]:
        """Content h [B, S, D] and queries g [B, P, D], with memory [B, M, D], one block on."""
        read = self.attention.keys(h if memory is None else torch.cat([memory, h], 1), table)
        after = self._on(h, self.attention(h, content, *read))
        if g is None or query is None:
            return after, None
        return after, self._on(g, self.attention(g, query, *read))

    def _on(self, x: Tensor, attended: Tensor) -> Tensor:
        x = self.attention_norm(x + self.dropout(attended))
        out: Tensor = self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
        return out


class RelativeAttention(nn.Module):
    """Scores of content, of distance, and of being in one segment, each with a bias of its own."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.heads, self.size = spec.heads, spec.width // spec.heads
        self.query, self.key, self.value, self.position, self.out = (
            nn.Linear(spec.width, spec.width, bias=False) for _ in range(5)
        )
        self.segment = nn.Embedding(2, spec.width)  # the same, another
        self.content_bias, self.position_bias, self.segment_bias = (
            nn.Parameter(torch.empty(spec.width)) for _ in range(3)
        )
        self.dropout = nn.Dropout(spec.dropout)

    def keys(self, read: Tensor, table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keys and values of ``read`` [B, K, D] and keys of the distances in ``table`` [L, D]."""
        return (
            self._by_head(self.key(read)),
            self._by_head(self.value(read)),
            self._by_head(self.position(table)[None]),
        )

    def forward(self, x: Tensor, view: View, k: Tensor, v: Tensor, r: Tensor) -> Tensor:
        """x [B, Q, D] -> [B, Q, D]. A query that sees nothing gets nothing."""
        q = self.query(x)
        content = self._by_head(q + self.content_bias) @ k.transpose(2, 3)
        position = self._by_head(q + self.position_bias) @ r.transpose(2, 3)
        segment = self._by_head(self.segment.weight[None])
        segment = self._by_head(q + self.segment_bias) @ segment.transpose(2, 3)
        scores = content + position.gather(3, view.distance[:, None].expand(content.shape))
        scores = scores + torch.where(view.other[:, None], segment[..., 1:], segment[..., :1])
        unseen = view.unseen[:, None]
        scores = (scores.float() * self.size**-0.5).masked_fill(unseen, -1e30)
        shares = self.dropout(scores.softmax(3).masked_fill(unseen, 0.0))
        return self.out((shares.to(v.dtype) @ v).transpose(1, 2).reshape(x.shape))

    def _by_head(self, x: Tensor) -> Tensor:
        """[B, N, D] -> [B, H, N, E]."""
        return x.unflatten(2, (self.heads, self.size)).transpose(1, 2)


def view(places: Tensor, own: Tensor, keys: Tensor, unseen: Tensor) -> View:
    """View of queries at ``places`` [B or 1, Q] that stand in the segments ``own`` [B, Q].

    ``keys`` [B, K] are the segments of all keys, the memory's first; so a place p stands at
    K - S + p, and the table of distances begins at that of the first place to the last key.
    """
    total = keys.shape[1]
    distance = places[:, :, None] + (total - 1) - torch.arange(total, device=keys.device)
    return View(distance, own[:, :, None] != keys[:, None, :], unseen)
