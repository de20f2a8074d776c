"""Models as scorers: log-likelihoods of texts and of continuations, greedy answers.

Models of ours have no token before a text and were never asked for its first one, so it is
context alone, as in transformers' recipe for GPT2. A model of transformers whose tokenizer puts a
token before each text is asked for the first one too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from corpusforge.errors import InputError, UsageError

from ..finetune.base import Base
from ..losses import IGNORE

AHEAD = 16  # batches whose rows are put in order of length


class Row(NamedTuple):
    """Part of a text: the tokens that are read, and the targets at each, IGNORE where none."""

    tokens: np.ndarray
    targets: np.ndarray
    number: int  # of the text


class Scorer(ABC):
    """A model with its tokenizer on ``device``."""

    measure = "perplexity"  # what the exponential of the mean nats is called
    kinds: tuple[str, ...] = ("texts", "choices")  # of items that it can be evaluated on

    def __init__(self, base: Base, folder: str, device: torch.device, batch: int):
        self.model: Any = base.model.to(device).eval()
        self.spec, self.tokenizer, self.content = base.spec, base.tokenizer, base.content
        self.folder, self.device, self.batch = folder, device, batch
        self.digest: str = base.tokenizer.digest
        self.sequence: int = base.spec.data.sequence
        self.start = _start(base)

    def check(self, kind: str, stride: int) -> None:
        """Raise UsageError where it cannot be evaluated on items of ``kind``, or by ``stride``."""
        if kind not in self.kinds:
            raise UsageError(
                f"{kind} are nothing that a model with objective = '{self.spec.objective}' answers",
                file=self.folder,
                expected=" or ".join(self.kinds),
                remedy="its held-out loss is in its metrics.jsonl",
            )
        if stride >= self.sequence:
            raise UsageError(
                f"stride = {stride}", expected=f"less than {self.sequence}, the model's longest row"
            )

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Token ids of each text, int64 [n], without what stands around it."""
        found = self.tokenizer.encode_batch(pa.array(texts, pa.string()))
        return [row.values.to_numpy().astype(np.int64) for row in found]

    @abstractmethod
    def _rows(self, ids: np.ndarray, scored: int, number: int, stride: int) -> Iterator[Row]:
        """Rows in which the tokens from ``scored`` on are targets once each."""

    @abstractmethod
    def _nats(self, tokens: np.ndarray, targets: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Nats of the targets [B, S] that are not IGNORE, summed over each row: float64 [B]."""

    @property
    def longest(self) -> int:
        """Tokens of the longest text that is one row."""
        return self.sequence

    def texts(self, ids: Sequence[np.ndarray], stride: int) -> list[tuple[float, int]]:
        """Nats and targets of each text; ``stride`` as of `windows`, 0: half a window."""
        stride = stride or max(self.sequence // 2, 1)
        nats, targets = np.zeros(len(ids)), np.zeros(len(ids), dtype=np.int64)
        rows = (
            row
            for number, one in enumerate(ids)
            for row in self._rows(*self._begun(one), number, stride)
        )
        for row, value in self._run(rows):
            nats[row.number] += value
            targets[row.number] += int((row.targets != IGNORE).sum())
        return list(zip(nats.tolist(), targets.tolist(), strict=True))

    def continuations(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, int]]:
        """Log-likelihood and tokens of the second text of each pair after the first.

        The two are encoded as one text; its tokens from the first that the context alone does not
        have are the continuation's (as lm-evaluation-harness cuts them, spaces at the context's end
        belong to the continuation). Context that does not fit is cut on the left; of a continuation
        that does not fit the end is scored.
        """
        cut = [(one.rstrip(), one[len(one.rstrip()) :] + two) for one, two in pairs]
        before = self.encode([one for one, _ in cut])
        whole = self.encode([one + two for one, two in cut])
        rows, found = list[Row](), [(0.0, 0)] * len(pairs)
        for number, (context, both) in enumerate(zip(before, whole, strict=True)):
            at = min(len(context), max(len(both) - 1, 0))
            begun, first = self._begun(both)
            if not at and first and self.start is None:  # nothing stands before the first token
                begun = np.concatenate([[self._end], both])
            at += len(begun) - len(both)
            excess = len(begun) - self.longest
            if excess > 0:
                begun, at = begun[excess:], at - excess
            at = max(at, first)
            found[number] = (0.0, len(begun) - at)
            rows += self._rows(begun, at, number, self.sequence - 1)
        for row, value in self._run(iter(rows)):
            sum_, tokens = found[row.number]
            found[row.number] = sum_ - value, tokens
        return found

    def answers(self, prompts: Sequence[str], tokens: int) -> list[str]:
        """The likeliest continuation of each prompt, at most ``tokens``, up to the text's end."""
        raise NotImplementedError

    @property
    def _end(self) -> int:
        if self.tokenizer.eot is None:
            raise InputError(
                "an empty context, and the tokenizer has no token to begin with",
                file=self.folder,
                expected="a text before the choices",
            )
        return self.tokenizer.eot

    def _begun(self, ids: np.ndarray) -> tuple[np.ndarray, int]:
        """The text with what stands before it, and its first token that is scored."""
        return (ids if self.start is None else np.concatenate([[self.start], ids])), 1

    def _run(self, rows: Iterable[Row]) -> Iterator[tuple[Row, float]]:
        """Score rows, those of about one length together."""
        rows = iter(rows)
        while held := list(islice(rows, self.batch * AHEAD)):
            held.sort(key=lambda row: len(row.tokens))
            for low in range(0, len(held), self.batch):
                part = held[low : low + self.batch]
                lengths = np.array([len(row.tokens) for row in part])
                tokens = np.zeros((len(part), lengths.max()), dtype=np.int64)
                targets = np.full(tokens.shape, IGNORE, dtype=np.int64)
                for index, row in enumerate(part):
                    tokens[index, : len(row.tokens)] = row.tokens
                    targets[index, : len(row.tokens)] = row.targets
                with torch.inference_mode():
                    values = self._nats(tokens, targets, lengths)
                yield from zip(part, values.tolist(), strict=True)

    def _tensors(self, *arrays: np.ndarray) -> list[torch.Tensor]:
        return [torch.from_numpy(one).to(self.device) for one in arrays]


def _start(base: Base) -> int | None:
    """The token that the tokenizer's own file puts before a text, if it does."""
    library = base.tokenizer.library
    whole = library.encode("a").ids
    plain = library.encode("a", add_special_tokens=False).ids
    return whole[0] if len(whole) > len(plain) and whole[0] != plain[0] else None
