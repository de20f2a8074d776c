"""Tokens in an order that is drawn, each from those before it in that order: XLNet.

Spans of 1 to ``corrupt.span`` tokens are shuffled, tokens inside one keep their order; the last
1 / ``corrupt.predict`` of the tokens in that order are predicted (Yang et al. 2019, "XLNet",
sections 2.3 and 2.4). Tokens that are not predicted see each other, as in XLNet's own code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch

from corpusforge.errors import SpecError
from corpusforge.loader import Batch
from corpusforge.spec import TrainSpec

from ..losses import IGNORE
from ..two_stream import TwoStream
from .draws import below, draws
from .objective import Head, Objective, Rows, tensors, with_bias

SHOWN = 48  # tokens of an example


class Permutation(Objective):
    """With ``corrupt.memory`` the first tokens of a row are read before, without gradient."""

    packings = ("bestfit", "chop")
    document_mask = True
    accuracies: ClassVar[Mapping[str, str]] = {"targets": "permutation_accuracy"}

    @staticmethod
    def build(spec: TrainSpec, vocabulary: int) -> TwoStream:
        """Return a model of two streams."""
        sequence, memory = spec.data.sequence, spec.corrupt.memory
        if memory >= sequence:
            raise SpecError(
                f"corrupt.memory = {memory} leaves nothing of data.sequence = {sequence}",
                remedy=f"use --set corrupt.memory={sequence // 2}",
            )
        return TwoStream(spec.model, vocabulary, sequence, spec.run.seed)

    def prepare(self, batch: Batch) -> dict[str, np.ndarray]:
        """Draw an order; every epoch draws another."""
        settings, memory = self.spec.corrupt, self.spec.corrupt.memory
        there = batch.segments >= 0
        now = there[:, memory:]
        length = now.shape[1]
        raw = draws(self.spec.data.seed, batch.epochs, batch.rows, 2 * length)
        rank = order(now, *np.split(raw, 2, axis=1), settings.span)
        target = chosen(now, rank, settings.predict)
        unseen = np.concatenate(
            [
                np.repeat(~there[:, None, :memory], length, axis=1),
                hidden(rank, target) | ~now[:, None, :],
            ],
            axis=2,
        )
        if self.spec.data.document_mask:
            unseen |= batch.segments[:, memory:, None] != batch.segments[:, None, :]
        places, count = at_most(target, max(length // settings.predict, 1))
        tokens, segments = batch.inputs[:, memory:], batch.segments[:, memory:]
        return {
            "inputs": tokens,
            "types": segments,
            "unseen": unseen,
            "places": places,
            "targets": np.where(count, np.take_along_axis(tokens, places, axis=1), IGNORE),
            "segments": np.take_along_axis(segments, places, axis=1),
            "memory": batch.inputs[:, :memory],
            "memory_types": batch.segments[:, :memory],
        }

    def heads(self, model: TwoStream, rows: Rows) -> dict[str, Head]:
        """The tokens at the places to predict."""
        memory, past = [], rows["memory_types"]
        if past.shape[1]:
            padded = (past < 0)[:, None].expand(-1, past.shape[1], -1)
            if self.spec.data.document_mask:
                padded = padded | (past[:, :, None] != past[:, None, :])
            with torch.no_grad():
                memory = model.read(rows["memory"], past, padded)
        found = model(rows["inputs"], rows["types"], rows["unseen"], rows["places"], memory, past)
        return {"targets": with_bias(found, model.unembedding, model.vocabulary_bias)}

    def example(self, model: TwoStream, batch: Batch, seed: int) -> str:
        """Show the row's text, predicted tokens as [token > guess]."""
        arrays = self.prepare(batch)
        rows = tensors(arrays, slice(None), next(model.parameters()).device)
        with torch.no_grad():
            found, weight = self.heads(model, rows)["targets"]
            guesses = (found[0] @ weight.T).argmax(1).tolist()
        at = dict(zip(arrays["places"][0].tolist(), guesses, strict=True))
        said, run = [], list[int]()
        tokens = arrays["inputs"][0][arrays["types"][0] >= 0][:SHOWN].tolist()
        for place, token in enumerate(tokens):
            if place in at:
                pair = [self.tokenizer.decode([one]) for one in (token, at[place])]
                said += [self.tokenizer.decode(run), f"[{pair[0]} > {pair[1]}]"]
                run = []
            else:
                run.append(token)
        return " ".join(part for part in (*said, self.tokenizer.decode(run)) if part)


def order(there: np.ndarray, lengths: np.ndarray, keys: np.ndarray, span: int) -> np.ndarray:
    """Rank of each token in the order drawn for its row, int64 [B, S]; padding comes last.

    ``there`` bool [B, S] says where tokens stand; ``lengths`` and ``keys`` uint64 [B, S] are draws
    for the spans' lengths and places. With ``span`` 1 every order of a row is equally likely.
    """
    rows, length = there.shape
    ends = (1 + below(lengths, span)).cumsum(axis=1)
    begins = np.zeros((rows, length + 1), dtype=np.int64)
    row = np.repeat(np.arange(rows)[:, None], length, axis=1)
    begins[row, np.minimum(ends, length)] = 1
    key = np.take_along_axis(keys, begins[:, :-1].cumsum(axis=1), axis=1)
    key = np.where(there, key, np.uint64(2**64 - 1))
    return key.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")


def chosen(there: np.ndarray, rank: np.ndarray, predict: int) -> np.ndarray:
    """Which tokens are predicted: the last ``1 / predict`` in rank, one at least of two or more."""
    number = there.sum(axis=1)
    count = np.minimum(np.maximum(number // predict, 1), number - 1)
    return there & (rank >= (number - count)[:, None])


def hidden(rank: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Where a query may not see a key, bool [B, S, S]: a target that is not before it in rank."""
    later: np.ndarray = rank[:, :, None] <= rank[:, None, :]
    return later & target[:, None, :]


def at_most(target: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of the targets bool [B, S] in text order, int64 [B, count], and which are ones."""
    places = (~target).argsort(axis=1, kind="stable")[:, :count]
    return places, np.take_along_axis(target, places, axis=1)
