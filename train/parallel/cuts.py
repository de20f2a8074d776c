"""Which parameters the tensor processes hold parts of, and where a part lies in the whole."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Cuts:
    """Parameters by name with the dimension that is cut and its whole size; others are copies.

    Of ``terms``, which are copies, each process has a term of the gradient.
    """

    rank: int = 0
    parts: int = 1
    cut: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    terms: Set[str] = frozenset()

    def counts(self, name: str) -> bool:
        """Whether this process's part is its own, or it is the first that has the copy."""
        return name in self.cut or self.rank == 0

    def shape(self, name: str, part: Tensor) -> torch.Size:
        """Shape of the whole of which ``part`` is."""
        shape = list(part.shape)
        if name in self.cut:
            dimension, size = self.cut[name]
            shape[dimension] = size
        return torch.Size(shape)

    def part(self, name: str, whole: Tensor) -> Tensor:
        """View this process's part of ``whole``."""
        if name not in self.cut:
            return whole
        dimension, size = self.cut[name]
        begin, end = bounds(size, self.rank, self.parts)
        return whole.narrow(dimension, begin, end - begin)


def bounds(size: int, rank: int, parts: int) -> tuple[int, int]:
    """Part [begin, end) of ``rank``: equal ones, the last shorter where it does not divide."""
    step = -(-size // parts)
    return min(rank * step, size), min((rank + 1) * step, size)
