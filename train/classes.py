"""Log-probabilities over the classes of a product of hidden states and a matrix.

`Classes` has all of them here; tensor parallelism has a kind that holds a part of them.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Classes:
    """All classes: logits are [n, V]."""

    def count(self, weight: Tensor) -> int:
        """Number of classes of which ``weight`` has the rows."""
        return weight.shape[0]

    def log_softmax(self, logits: Tensor) -> Tensor:
        """Log-probabilities [n, V]."""
        return torch.log_softmax(logits, dim=1)

    def log_z(self, logits: Tensor) -> Tensor:
        """Log of the softmax's denominator [n]."""
        return logits.logsumexp(1)

    def picked(self, log_p: Tensor, targets: Tensor) -> Tensor:
        """Log-probability of each target [n]."""
        return log_p.gather(1, targets[:, None]).squeeze(1)

    def mean(self, log_p: Tensor) -> Tensor:
        """Mean over the classes [n]."""
        return log_p.mean(1)

    def add_at(self, slope: Tensor, targets: Tensor, values: Tensor) -> None:
        """Add ``values`` [n] to the targets' places in ``slope`` [n, V]."""
        slope.scatter_add_(1, targets[:, None], values[:, None])

    def added(self, gradient: Tensor) -> Tensor:
        """Gradient of the hidden states from all classes."""
        return gradient

    def logits(self, hidden: Tensor, weight: Tensor) -> Tensor:
        """Logits [..., V] of hidden states [..., D]."""
        return hidden @ weight.T


EVERY = Classes()
