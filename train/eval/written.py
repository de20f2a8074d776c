"""An encoder and a decoder: what is written, given what is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from ..finetune.task import special
from ..generate import written
from ..losses import IGNORE, cross_entropy
from .scorer import Row, Scorer


class Written(Scorer):
    """Likelihoods of a text that the decoder writes, its end included; single texts have none."""

    kinds = ("choices", "prompts")

    def __init__(self, *given: Any):
        super().__init__(*given)
        self.pad = special(self.tokenizer, "pad_token")
        self.end = special(self.tokenizer, "eos_token")

    @property
    def longest(self) -> int:
        """Of either side, with an end."""
        return self.sequence - 1

    def _rows(self, ids: np.ndarray, scored: int, number: int, stride: int) -> Iterator[Row]:
        raise NotImplementedError

    def _nats(self, tokens: np.ndarray, targets: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def continuations(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, int]]:
        """Log-likelihood and tokens of the second text of each pair, read the first."""
        found = list[tuple[float, int]]()
        for low in range(0, len(pairs), self.batch):
            part = pairs[low : low + self.batch]
            write = [self._closed(one) for one in self.encode([two for _, two in part])]
            length = max(map(len, write))
            targets = np.full((len(part), length), IGNORE, dtype=np.int64)
            given = np.full(targets.shape, self.pad, dtype=np.int64)
            for index, one in enumerate(write):
                targets[index, : len(one)], given[index, 1 : len(one)] = one, one[:-1]
            with torch.inference_mode():
                read, mask = self._given([one for one, _ in part])
                memory = self.model.encode(read, mask)
                hidden = self.model.decode(*self._tensors(given), memory, mask)
                wanted = self._tensors(targets)[0]
                _, nll = cross_entropy(hidden, self.model.unembedding, wanted)
            sums = nll.sum(1, dtype=torch.float64).tolist()
            found += [(-value, len(one)) for value, one in zip(sums, write, strict=True)]
        return found

    def answers(self, prompts: Sequence[str], tokens: int) -> list[str]:
        """The likeliest text for each prompt, token by token."""
        found = list[str]()
        for low in range(0, len(prompts), self.batch):
            part = prompts[low : low + self.batch]
            ids = written(
                self.model,
                *self._given(part),
                start=self.pad,
                end=self.end,
                limit=min(tokens, self.sequence - 1),
            )
            found += [self.tokenizer.decode(one).strip() for one in ids]
        return found

    def _closed(self, ids: np.ndarray) -> np.ndarray:
        return np.concatenate([ids[: self.longest], [self.end]])

    def _given(self, texts: Sequence[str]) -> list[torch.Tensor]:
        """What the encoder reads of texts, [B, S], and which of it is there, bool [B, S]."""
        read = [self._closed(one) for one in self.encode(texts)]
        tokens = np.full((len(read), max(map(len, read))), self.pad, dtype=np.int64)
        there = np.zeros(tokens.shape, dtype=bool)
        for index, one in enumerate(read):
            tokens[index, : len(one)], there[index, : len(one)] = one, True
        return self._tensors(tokens, there)
