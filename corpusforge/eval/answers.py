"""Written answers beside references: exact match, token F1, BLEU and ROUGE.

BLEU is that of sacrebleu (Post 2018), ROUGE that of rouge-score (Lin 2004), both with the settings
that their own command lines have by default; of several references the best counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any, Protocol

import numpy as np

from corpusforge.errors import ExtraMissing

from . import scores
from .items import Item
from .significance import Metric, average, share

AT_ONCE = 16  # prompts that the model is given together
ROUGE = ("rouge1", "rouge2", "rougeL")
ORDERS = 4  # n-grams of BLEU

Record = dict[str, Any]


class Writer(Protocol):
    """A model that answers."""

    def answers(self, prompts: Sequence[str], tokens: int) -> list[str]:
        """The likeliest answer to each prompt."""


def records(
    model: Writer | None,
    items: Sequence[Item],
    tokens: int,
    bleu: str,
    report: Callable[[int, int], None],
) -> list[Record]:
    """One record an item: prediction, references, and what they are to each other.

    Without ``model`` items have their predictions. ``bleu`` is a tokenizer of sacrebleu.
    """
    rouge, counter = _rouge(), _bleu(bleu)
    found = list[Record]()
    for low in range(0, len(items), AT_ONCE):
        part = items[low : low + AT_ONCE]
        if model is None:
            said = [one.values["prediction"] for one in part]
        else:
            said = model.answers([one.values["prompt"] for one in part], tokens)
        for one, prediction in zip(part, said, strict=True):
            references = one.values["reference"]
            overlaps = rouge.score_multi(references, prediction)
            counted = counter.corpus_score([prediction], [[text] for text in references])
            found.append(
                {
                    "file": one.file,
                    "place": one.place,
                    **one.values,
                    "prediction": prediction,
                    "exact_match": scores.exact(prediction, references),
                    "token_f1": scores.token_f1(prediction, references),
                    **{name: overlaps[name].fmeasure for name in ROUGE},
                    "bleu_counts": [
                        *counted.counts, *counted.totals, counted.sys_len, counted.ref_len
                    ],
                }
            )  # fmt: skip
        report(len(found), 0)
    return found


def metrics(found: Sequence[Record]) -> dict[str, Metric]:
    """BLEU of the whole, the means of the others."""
    counts = np.array([one["bleu_counts"] for one in found], dtype=np.float64)
    compute = _bleu("none").compute_bleu

    def bleu(times: np.ndarray) -> float:
        *grams, said, wanted = (times @ counts).astype(np.int64).tolist()
        correct, total = grams[:ORDERS], grams[ORDERS:]
        return float(compute(correct, total, said, wanted, smooth_method="exp").score)

    exact = np.array([one["exact_match"] for one in found])
    means = {name: average(np.array([one[name] for one in found])) for name in ("token_f1", *ROUGE)}
    return {"exact_match": share(exact == 1), "bleu": Metric(len(found), bleu), **means}


def signature(found: Sequence[Record], bleu: str) -> str:
    """What sacrebleu says of how it was called, and the version of rouge-score."""
    from importlib.metadata import version

    counter = _bleu(bleu)
    streams = zip_longest(*(one["reference"] for one in found))
    counter.corpus_score([one["prediction"] for one in found], [list(one) for one in streams])
    rouge = f"rouge_score:{version('rouge_score')}|stemmer:no|F1"
    return f"BLEU {counter.get_signature()}; ROUGE {rouge}"


def _bleu(tokenizer: str) -> Any:
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ModuleNotFoundError:
        raise ExtraMissing("sacrebleu", "train") from None
    return BLEU(tokenize=tokenizer)


def _rouge() -> Any:
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ModuleNotFoundError:
        raise ExtraMissing("rouge-score", "train") from None
    return RougeScorer(list(ROUGE))
