"""Labels that were predicted beside the right ones: accuracy, macro and micro F1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .items import Item
from .significance import Metric, share

CLASSES = 100  # labels that have figures of their own, the most frequent ones

Record = dict[str, Any]


def records(items: Sequence[Item]) -> list[Record]:
    """One record an item, which has one label, or one for each of its words."""
    return [{"file": one.file, "place": one.place, **one.values} for one in items]


class _Pairs:
    """Right and predicted label of each pair, as numbers; -1 where nothing was predicted."""

    def __init__(self, found: Sequence[Record]) -> None:
        wanted = [label for one in found for label in one["label"]]
        said = [label for one in found for label in one["prediction"]]
        self.names = sorted({*wanted, *(label for label in said if label is not None)})
        number = {name: code for code, name in enumerate(self.names)}
        self.item = np.repeat(np.arange(len(found)), [len(one["label"]) for one in found])
        self.wanted = np.array([number[label] for label in wanted], dtype=np.int64)
        self.said = np.array([number.get(label, -1) for label in said], dtype=np.int64)

    def tally(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Times that each label is right, wanted and said, float64 [labels]."""
        weight, size = counts[self.item], len(self.names)
        right, there = self.wanted == self.said, self.said >= 0
        return (
            np.bincount(self.wanted[right], weight[right], size),
            np.bincount(self.wanted, weight, size),
            np.bincount(self.said[there], weight[there], size),
        )


def metrics(found: Sequence[Record]) -> dict[str, Metric]:
    """Accuracy; F1 as the mean over labels that are wanted or said, and over all pairs.

    F1 of a label is 2 right / (wanted + said) (van Rijsbergen 1979).
    """
    pairs = _Pairs(found)

    def accuracy(counts: np.ndarray) -> float:
        right, wanted, _ = pairs.tally(counts)
        return float(right.sum() / max(wanted.sum(), 1))

    def macro(counts: np.ndarray) -> float:
        right, wanted, said = pairs.tally(counts)
        there = wanted + said > 0
        return float((2 * right[there] / (wanted + said)[there]).mean()) if there.any() else 0.0

    def micro(counts: np.ndarray) -> float:
        right, wanted, said = pairs.tally(counts)
        return float(2 * right.sum() / max(wanted.sum() + said.sum(), 1))

    size = len(found)
    single = len(pairs.item) == size and bool((pairs.item == np.arange(size)).all())
    return {
        "accuracy": share(pairs.wanted == pairs.said) if single else Metric(size, accuracy),
        "macro_f1": Metric(size, macro),
        "micro_f1": Metric(size, micro),
    }


def totals(found: Sequence[Record]) -> dict[str, Any]:
    """Precision, recall and F1 of each label, and how often it is right."""
    pairs = _Pairs(found)
    right, wanted, said = pairs.tally(np.ones(len(found)))
    order = np.argsort(-wanted, kind="stable")[:CLASSES].tolist()
    classes = {
        pairs.names[at]: {
            "items": int(wanted[at]),
            "precision": float(right[at] / max(said[at], 1)),
            "recall": float(right[at] / max(wanted[at], 1)),
            "f1": float(2 * right[at] / max(wanted[at] + said[at], 1)),
        }
        for at in order
    }
    return {"labels": len(pairs.names), "classes": classes}
