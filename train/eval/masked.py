"""Pseudo-likelihoods: each token from all others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ..losses import IGNORE, cross_entropy
from ..objectives.masked import Masked
from .scorer import Row, Scorer


class PseudoLikelihood(Scorer):
    """Each token alone masked, with all others of its window (Salazar et al. 2020).

    A row a token; windows do not overlap.
    """

    measure = "pseudo_perplexity"

    def __init__(self, *given: Any):
        super().__init__(*given)
        self.goal = Masked(self.spec, self.tokenizer)
        self.first, self.last = self.goal.around

    @property
    def longest(self) -> int:
        """Two places are taken by [CLS] and [SEP]."""
        return self.sequence - 2

    def _begun(self, ids: np.ndarray) -> tuple[np.ndarray, int]:
        """Every token is scored."""
        return ids, 0

    def _rows(self, ids: np.ndarray, scored: int, number: int, stride: int) -> Iterator[Row]:
        for low in range(0, len(ids), self.longest):
            part = ids[low : low + self.longest]
            whole = np.concatenate([[self.first], part, [self.last]])
            for place in range(max(scored - low, 0), len(part)):
                hidden, targets = whole.copy(), np.full(len(whole), IGNORE, dtype=np.int64)
                hidden[place + 1], targets[place + 1] = self.goal.mask, part[place]
                yield Row(hidden, targets, number)

    def _nats(self, tokens: np.ndarray, targets: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        read, wanted = self._tensors(tokens, targets)
        there = np.arange(tokens.shape[1])[None] < lengths[:, None]
        hidden = self.model(read, torch.zeros_like(read), *self._tensors(there))
        masked = wanted != IGNORE  # one a row: the others need no head
        _, nll = cross_entropy(*self.goal.tokens(self.model, hidden[masked]), wanted[masked])
        found: np.ndarray = nll.double().cpu().numpy()
        return found
