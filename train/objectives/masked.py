"""Masked tokens, and whether a second span follows the first: BERT (Devlin et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from corpusforge.loader import Batch
from corpusforge.spec import TrainSpec
from corpusforge.tokenizer import Tokenizer

from ..encoder import Encoder
from ..losses import IGNORE
from .draws import below, draws, uniform
from .objective import Head, Objective, Rows, tensors, with_bias

SHARE = 0.15  # of a row's tokens that are predicted
MASKED, REPLACED = 0.8, 0.1  # of these, those that become [MASK] or another token; the rest stay
PROBES = 8  # tokens of a held-out row that are masked alone, for the pseudo-perplexity
SHOWN = 48  # tokens of an example


class Masked(Objective):
    """Labels: ``targets``, the tokens chosen; ``order``, 0 where the second span follows."""

    packings = ("pairs",)
    labels = ("targets", "order")
    accuracies: ClassVar[Mapping[str, str]] = {
        "targets": "masked_accuracy",
        "order": "order_accuracy",
    }

    def __init__(self, spec: TrainSpec, tokenizer: Tokenizer) -> None:
        super().__init__(spec, tokenizer)
        self.around = self.token("cls_token", "[CLS]"), self.token("sep_token", "[SEP]")
        self.mask = self.token("mask_token", "[MASK]")
        special = [tokenizer.id_of(name) for name in tokenizer.special_tokens]
        self.ordinary = np.setdiff1d(np.arange(tokenizer.vocab_size), np.array(special))

    @staticmethod
    def build(spec: TrainSpec, vocabulary: int) -> Encoder:
        """Return an encoder."""
        return Encoder(spec.model, vocabulary, spec.data.sequence, spec.run.seed)

    def prepare(self, batch: Batch) -> dict[str, np.ndarray]:
        """Choose tokens and hide them; every epoch chooses anew."""
        length = batch.inputs.shape[1]
        raw = draws(self.spec.data.seed, batch.epochs, batch.rows, 3 * length)
        keys, kinds, others = np.split(raw, 3, axis=1)
        words = np.isin(batch.inputs, self.ordinary, kind="table") & (batch.segments >= 0)
        if self.spec.corrupt.whole_words:
            chosen = choose_words(words, self.tokenizer.starts[batch.inputs], keys)
        else:
            chosen = choose(words, keys)
        kind = uniform(kinds)
        another = self.ordinary[below(others, len(self.ordinary))]
        hidden = np.where(kind < MASKED, self.mask, batch.inputs)
        hidden = np.where((kind >= MASKED) & (kind < MASKED + REPLACED), another, hidden)
        assert batch.follows is not None
        return {
            "inputs": np.where(chosen, hidden, batch.inputs),
            "targets": np.where(chosen, batch.inputs, IGNORE),
            "order": 1 - batch.follows.astype(np.int64),
            "types": np.maximum(batch.segments, 0),
            "segments": batch.segments,
        }

    def heads(self, model: Encoder, rows: Rows) -> dict[str, Head]:
        """The chosen tokens, and the order of the spans from the first position."""
        hidden = model(rows["inputs"], rows["types"], rows["segments"] >= 0)
        return {
            "targets": self.tokens(model, hidden),
            "order": with_bias(model.pooled(hidden), model.order.weight, model.order.bias),
        }

    def tokens(self, model: Encoder, hidden: torch.Tensor) -> Head:
        """The token at every position of ``hidden`` [..., D]."""
        return with_bias(model.transformed(hidden), model.unembedding, model.vocabulary_bias)

    def measure(
        self, model: Encoder, heads: Mapping[str, Head], rows: Rows
    ) -> dict[str, tuple[float, int]]:
        """Accuracies, and nats of tokens that are masked alone: a row of its own for each.

        Of the chosen tokens some are taken, evenly spaced (Salazar et al. 2020, "Masked Language
        Model Scoring", takes all tokens; the mean has the same expectation).
        """
        found = super().measure(model, heads, rows)
        used = rows["targets"] != IGNORE
        whole = rows["inputs"].where(~used, rows["targets"])
        nats, count = 0.0, 0
        for row in range(len(whole)):
            places = used[row].nonzero()[:, 0]
            places = places[torch.linspace(0, len(places) - 1, min(PROBES, len(places))).long()]
            if not len(places):
                continue
            alone = whole[row].repeat(len(places), 1)
            each = torch.arange(len(places), device=alone.device)
            alone[each, places] = self.mask
            shape = alone.shape
            types, seen = rows["types"][row].expand(shape), rows["segments"][row].expand(shape) >= 0
            hidden, weight = self.tokens(model, model(alone, types, seen)[each, places])
            logits = self.vocabulary.logits(hidden, weight)
            nats += F.cross_entropy(logits, whole[row, places], reduction="sum").item()
            count += len(places)
        return {**found, "pseudo_perplexity": (nats, count)}

    def example(self, model: Encoder, batch: Batch, seed: int) -> str:
        """Show the row's text, hidden tokens as [token > guess]."""
        arrays = self.prepare(batch)
        rows = tensors(arrays, slice(None), next(model.parameters()).device)
        with torch.no_grad():
            hidden, weight = self.heads(model, rows)["targets"]
            guesses = (hidden[0] @ weight.T).argmax(1)
        said, run = [], list[int]()
        for place in range(min(SHOWN, int((batch.segments[0] >= 0).sum()))):
            target = int(arrays["targets"][0, place])
            if target == IGNORE:
                run.append(int(batch.inputs[0, place]))
                continue
            pair = [self.tokenizer.decode([one]) for one in (target, int(guesses[place]))]
            said += [self.tokenizer.decode(run), f"[{pair[0]} > {pair[1]}]"]
            run = []
        return " ".join(part for part in (*said, self.tokenizer.decode(run)) if part)


def wanted(candidates: np.ndarray) -> np.ndarray:
    """Tokens to choose of each row of candidates bool [B, S]: a share, one at least; int64 [B]."""
    number = candidates.sum(axis=1)
    return np.minimum(np.maximum(np.rint(number * SHARE).astype(np.int64), 1), number)


def choose(candidates: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Choose the candidates bool [B, S] with the lowest keys uint64 [B, S]; bool [B, S]."""
    keys = np.where(candidates, keys, np.uint64(2**64 - 1))
    rank = keys.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return candidates & (rank < wanted(candidates)[:, None])


def choose_words(candidates: np.ndarray, starts: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Choose whole words, in the order of their first tokens' keys, while they fit the share.

    ``starts`` bool [B, S] says which tokens begin a word; one after no candidate does too. A word
    that would be too many is passed over, as in BERT's own code; the first is taken at any length.
    """
    before = np.pad(candidates[:, :-1], ((0, 0), (1, 0)))
    first = candidates & (starts | ~before)
    chosen = np.zeros_like(candidates)
    for row, number in enumerate(wanted(candidates).tolist()):
        begin = np.flatnonzero(first[row])
        word = first[row].cumsum()[candidates[row]] - 1
        size = np.bincount(word, minlength=len(begin))
        taken, total = np.zeros(len(begin), dtype=bool), 0
        for one in keys[row, begin].argsort(kind="stable").tolist():
            if total == number:
                break
            if total + size[one] <= number or not total:
                taken[one] = True
                total += size[one]
        chosen[row, candidates[row]] = taken[word]
    return chosen
