"""Spans that are cut out of a text and written by a decoder: T5 (Raffel et al. 2020, 3.1.4).

Of the text ``a b c d e`` with the spans ``b`` and ``d e`` the encoder reads ``a <0> c <1> </s>``
and the decoder writes ``<0> b <1> d e </s>``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch

from corpusforge.errors import InputError
from corpusforge.loader import Batch
from corpusforge.spec import TrainSpec
from corpusforge.tokenizer import Tokenizer

from ..losses import IGNORE
from ..model import EncoderDecoder
from .draws import draws
from .objective import Head, Objective, Rows, tensors

SHARE = 0.15  # of a row's tokens that are cut out
SPAN = 3.0  # mean length of a span
SHOWN = 48  # tokens of an example


class Spans(Objective):
    """The decoder's targets are the spans, each after the sentinel that stands in its place."""

    packings = ("spans",)
    accuracies: ClassVar[Mapping[str, str]] = {"targets": "span_accuracy"}
    tokenizers = "unigram-32k"

    @staticmethod
    def build(spec: TrainSpec, vocabulary: int) -> EncoderDecoder:
        """Return an encoder and a decoder."""
        return EncoderDecoder(spec.model, vocabulary, spec.data.sequence, spec.run.seed)

    def __init__(self, spec: TrainSpec, tokenizer: Tokenizer) -> None:
        super().__init__(spec, tokenizer)
        self.pad, self.end = self.token("pad_token", "<pad>"), self.token("eos_token", "</s>")
        self.noise, spans = shares(longest(spec.data.sequence))
        if len(tokenizer.sentinels) < spans:
            raise InputError(
                f"the tokenizer has {len(tokenizer.sentinels)} sentinels <extra_id_0>, ...",
                expected=f"{spans} for data.sequence = {spec.data.sequence}",
                remedy="tokenize with --spec unigram-32k, or add them to special_tokens",
            )
        self.sentinels = np.array(tokenizer.sentinels[:spans], dtype=np.int64)

    def prepare(self, batch: Batch) -> dict[str, np.ndarray]:
        """Draw the spans; every epoch draws others."""
        (rows, width), marks, end = batch.inputs.shape, self.sentinels, self.end
        inputs = np.full((rows, self.spec.data.sequence), self.pad, dtype=np.int64)
        mask = np.zeros(inputs.shape, dtype=bool)
        targets = np.full((rows, self.noise + len(marks) + 1), IGNORE, dtype=np.int64)
        segments = np.full(targets.shape, -1, dtype=np.int32)
        raw = draws(self.spec.data.seed, batch.epochs, batch.rows, 2 * width)
        for row in range(rows):
            length = int((batch.segments[row] >= 0).sum())
            tokens, pieces = batch.inputs[row, :length], batch.segments[row, :length]
            cut = spans_of(length, raw[row])
            first = cut & ~np.pad(cut[:-1], (1, 0))
            read = np.where(first, marks[first.cumsum() - 1], tokens)[~cut | first]
            inputs[row, : len(read) + 1] = [*read, end]
            mask[row, : len(read) + 1] = True
            if not cut.any():
                continue
            written = np.insert(tokens[cut], np.flatnonzero(first[cut]), marks[: first.sum()])
            of = np.insert(pieces[cut], np.flatnonzero(first[cut]), pieces[first])
            targets[row, : len(written) + 1] = [*written, end]
            segments[row, : len(written) + 1] = [*of, of[-1]]
        return {"inputs": inputs, "mask": mask, "targets": targets, "segments": segments}

    def heads(self, model: EncoderDecoder, rows: Rows) -> dict[str, Head]:
        """The next token of the spans, from those before it: the targets, one to the right."""
        hidden = model(rows["inputs"], rows["mask"], self.given(rows["targets"]))
        return {"targets": Head(hidden, model.unembedding)}

    def given(self, targets: torch.Tensor) -> torch.Tensor:
        """What the decoder reads [B, T] to write ``targets`` [B, T]."""
        shifted = torch.nn.functional.pad(targets[:, :-1], (1, 0), value=self.pad)
        return shifted.where(shifted != IGNORE, shifted.new_tensor(self.pad))

    def example(self, model: EncoderDecoder, batch: Batch, seed: int) -> str:
        """Show what the encoder reads and the likeliest spans: ``text > spans``."""
        arrays = self.prepare(batch)
        rows = tensors(arrays, slice(None), next(model.parameters()).device)
        given = torch.tensor([[self.pad]], device=rows["mask"].device)
        with torch.no_grad():
            memory = model.encode(rows["inputs"], rows["mask"])
            for _ in range(min(SHOWN, arrays["targets"].shape[1])):
                hidden = model.decode(given, memory, rows["mask"])
                token = model.logits(hidden[0, -1]).argmax()
                given = torch.cat([given, token.view(1, 1)], 1)
                if int(token) == self.end:
                    break
        read = arrays["inputs"][0][arrays["mask"][0]][:SHOWN].tolist()
        return f"{self._said(read)} > {self._said(given[0, 1:].tolist())}"

    def _said(self, ids: list[int]) -> str:
        """Text with sentinels by number: ``a <0> c``."""
        place = {token: number for number, token in enumerate(self.tokenizer.sentinels)}
        said, run = [], list[int]()
        for token in ids:
            if token in place:
                said += [self.tokenizer.decode(run), f"<{place[token]}>"]
                run = []
            else:
                run.append(token)
        return " ".join(part.strip() for part in (*said, self.tokenizer.decode(run)) if part)


def shares(length: int) -> tuple[int, int]:
    """Tokens of a text of ``length`` that are cut out, and spans they are cut out in."""
    noise = min(max(round(length * SHARE), 1), length - 1)
    return noise, max(round(noise / SPAN), 1) if noise else 0


def longest(sequence: int) -> int:
    """Longest text that is at most ``sequence`` tokens with its spans cut out, and an end."""
    length = 1
    while True:
        noise, spans = shares(length + 1)
        if length + 1 - noise + spans + 1 > sequence:
            return length
        length += 1


def spans_of(length: int, raw: np.ndarray) -> np.ndarray:
    """Which tokens of a text are cut out, bool [length]; ``raw`` uint64 [2 length or more].

    Text and spans take turns, the text first; each division of the cut tokens into spans, and of
    the others into the text between, is equally likely (``random_spans_noise_mask`` of T5).
    """
    noise, spans = shares(length)
    if not noise:
        return np.zeros(length, dtype=bool)
    kept = divide(length - noise, spans, raw[:length])
    cut = divide(noise, spans, raw[length:])
    return np.repeat(np.tile([False, True], spans), np.stack([kept, cut], axis=1).ravel())


def divide(total: int, parts: int, keys: np.ndarray) -> np.ndarray:
    """Divide ``total`` into ``parts`` of at least 1, int64 [parts], every way equally likely."""
    ends = np.sort(keys[: total - 1].argsort(kind="stable")[: parts - 1]) + 1
    return np.diff(np.concatenate([[0], ends, [total]]))
