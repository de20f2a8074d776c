"""The table of tokens cut by rows: its lookup, and the softmax over all of them (Megatron-LM).

Logits of the whole vocabulary are in no process; one number a token is exchanged, not V.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..classes import Classes
from .cuts import bounds
from .regions import Peers, reduced, whole_last


class CutClasses(Classes):
    """Rows [begin, end) of ``size`` are here: logits are [n, end - begin]."""

    def __init__(self, size: int, peers: Peers) -> None:
        self.size, self.peers, self.group = size, peers, peers.group
        self.begin, self.end = bounds(size, peers.rank, peers.parts)

    def count(self, weight: Tensor) -> int:
        """Number of classes in all processes."""
        return self.size

    def log_softmax(self, logits: Tensor) -> Tensor:
        """Log-probabilities of the classes that are here."""
        return logits - self.log_z(logits)[:, None]

    def log_z(self, logits: Tensor) -> Tensor:
        """Log of the denominator over all classes."""
        lowest = torch.finfo(logits.dtype).min
        top = logits.amax(1) if logits.shape[1] else logits.new_full((len(logits),), lowest)
        dist.all_reduce(top, dist.ReduceOp.MAX, group=self.group)
        total = (logits - top[:, None]).exp().sum(1)
        dist.all_reduce(total, group=self.group)
        return top + total.log()

    def picked(self, log_p: Tensor, targets: Tensor) -> Tensor:
        """Log-probability of each target, wherever it is."""
        here, place = self._here(targets)
        found = log_p.new_zeros(len(targets))
        found[here] = log_p[here].gather(1, place[here][:, None]).squeeze(1)
        dist.all_reduce(found, group=self.group)
        return found

    def mean(self, log_p: Tensor) -> Tensor:
        """Mean over all classes."""
        total = log_p.sum(1)
        dist.all_reduce(total, group=self.group)
        return total / self.size

    def add_at(self, slope: Tensor, targets: Tensor, values: Tensor) -> None:
        """Add to the places that are here."""
        here, place = self._here(targets)
        slope[here.nonzero().squeeze(1), place[here]] += values[here]

    def added(self, gradient: Tensor) -> Tensor:
        """Gradient from the classes of all processes."""
        dist.all_reduce(gradient, group=self.group)
        return gradient

    def logits(self, hidden: Tensor, weight: Tensor) -> Tensor:
        """Logits of all classes, for figures of held-out text."""
        return whole_last(hidden @ weight.T, self.size, self.peers)

    def _here(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        return (targets >= self.begin) & (targets < self.end), targets - self.begin


class CutEmbedding(nn.Module):
    """Vectors of tokens, each from the process that has its row."""

    def __init__(self, table: nn.Embedding, classes: CutClasses) -> None:
        super().__init__()
        self.classes = classes
        self.weight = table.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [...] -> vectors [..., D], the same in all processes."""
        begin, end = self.classes.begin, self.classes.end
        here = (tokens >= begin) & (tokens < end)
        place = (tokens - begin).clamp(0, max(end - begin - 1, 0))
        found = nn.functional.embedding(place, self.weight) * here[..., None]
        return reduced(found, self.classes.peers)
