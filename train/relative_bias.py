"""Relative positions as T5 has them: a learned number a head and bucket of distances."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

BUCKETS = 32
FARTHEST = 128  # all distances from here on share a bucket


class RelativeBias(nn.Module):
    """What is added to the scores of a query for a key (Raffel et al. 2020, section 2.1).

    Half of the buckets are exact distances, half grow logarithmically. With ``both_ways`` keys
    before and after a query have buckets of their own.
    """

    def __init__(self, heads: int, both_ways: bool) -> None:
        super().__init__()
        self.both_ways = both_ways
        self.table = nn.Embedding(BUCKETS, heads)

    def forward(self, queries: int, past: int, causal: bool, mask: Tensor | None) -> Tensor:
        """Bias [1 or B, H, queries, past + queries], with ``mask`` and ``causal`` put into it.

        The queries are the last of the keys. Masks are those of `Transformer.forward`.
        """
        keys = torch.arange(past + queries, device=self.table.weight.device)
        distance = keys - keys[past:, None]
        bias: Tensor = self.table(bucket(distance, self.both_ways)).permute(2, 0, 1)[None]
        if causal:
            bias = bias.masked_fill(distance > 0, -math.inf)
        if mask is None:
            return bias
        return bias.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else bias + mask


def bucket(distance: Tensor, both_ways: bool) -> Tensor:
    """Bucket of each key position minus query position, int64 of the same shape."""
    buckets = BUCKETS // 2 if both_ways else BUCKETS
    first = (distance > 0) * buckets if both_ways else 0
    near = distance.abs() if both_ways else (-distance).clamp_min(0)
    exact = buckets // 2
    far = torch.log(near.float().clamp_min(1) / exact) / math.log(FARTHEST / exact)
    far = exact + (far * (buckets - exact)).long()
    return first + torch.where(near < exact, near, far.clamp_max(buckets - 1))
