"""Likelihoods of a token from those before it: GPT, and XLNet in the order of the text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from corpusforge.errors import InputError

from ..generate import sample, until
from ..losses import IGNORE, cross_entropy
from ..objectives.objective import with_bias
from .scorer import Row, Scorer
from .windows import windows


class Causal(Scorer):
    """True likelihoods."""

    kinds = ("texts", "choices", "prompts")

    def _rows(self, ids: np.ndarray, scored: int, number: int, stride: int) -> Iterator[Row]:
        for one in windows(len(ids), self.sequence, stride):
            first = max(one.first, scored)
            if first < one.end:
                targets = ids[one.begin + 1 : one.end].copy()
                targets[: first - one.begin - 1] = IGNORE
                yield Row(ids[one.begin : one.end - 1], targets, number)

    def _nats(self, tokens: np.ndarray, targets: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        read, wanted = self._tensors(tokens, targets)
        hidden = self.model(read, causal=True)
        _, nll = cross_entropy(hidden, self.model.unembedding, wanted)
        found: np.ndarray = nll.sum(1, dtype=torch.float64).cpu().numpy()
        return found

    def answers(self, prompts: Sequence[str], tokens: int) -> list[str]:
        """The likeliest continuation of each prompt, at most ``tokens``, up to the text's end."""
        found = []
        for ids in self.encode(prompts):
            begun, _ = self._begun(ids)
            if not len(begun):
                raise InputError("an empty prompt", expected="a text to go on from")
            drawn = sample(self.model, begun.tolist(), tokens=tokens, temperature=0)
            found.append(self.tokenizer.decode(until(self.tokenizer.eot, drawn)))
        return found


class LeftToRight(Scorer):
    """A model of two streams, its order that of the text: a token sees those before it alone.

    One of the orders that it was trained on (Yang et al. 2019, "XLNet", section 2.2), so the
    likelihood is a true one, of an order that it is not best at.
    """

    def _rows(self, ids: np.ndarray, scored: int, number: int, stride: int) -> Iterator[Row]:
        for one in windows(len(ids), self.sequence, stride):
            first = max(one.first, scored)
            if first < one.end:
                targets = ids[one.begin : one.end].copy()
                targets[: first - one.begin] = IGNORE
                yield Row(ids[one.begin : one.end], targets, number)

    def _nats(self, tokens: np.ndarray, targets: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        read, wanted = self._tensors(tokens, targets)
        rows, length = tokens.shape
        every = torch.arange(length, device=self.device)
        unseen = (every[None] >= every[:, None]).expand(rows, -1, -1)
        segments = torch.zeros_like(read)
        hidden = self.model(read, segments, unseen, every[None].expand(rows, -1))
        head: Any = with_bias(hidden, self.model.unembedding, self.model.vocabulary_bias)
        _, nll = cross_entropy(*head, wanted)
        found: np.ndarray = nll.sum(1, dtype=torch.float64).cpu().numpy()
        return found
