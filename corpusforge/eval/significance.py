"""How sure a figure is: bootstrap intervals, paired bootstrap, McNemar's exact test.

A metric is a function of how often each item counts, so a resample of the items (Efron 1979; of
corpus metrics Koehn 2004) is one call, whatever the metric.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpusforge.spec.eval import ResampleSpec


@dataclass(frozen=True)
class Metric:
    """A figure of ``items`` items, ``of`` how often each counts: int64 [items] -> the figure."""

    items: int
    of: Callable[[np.ndarray], float]
    right: np.ndarray | None = None  # bool [items], where it is the share of right ones

    @property
    def value(self) -> float:
        """The figure of all items."""
        return float(self.of(np.ones(self.items, dtype=np.int64)))


def ratio(top: np.ndarray, bottom: np.ndarray, then: Callable[[float], float] = float) -> Metric:
    """``then`` of the sum of ``top`` [n] over the sum of ``bottom`` [n]."""
    above, below = np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64)

    def of(counts: np.ndarray) -> float:
        weight = float(counts @ below)
        return then(float(counts @ above) / weight) if weight else math.nan

    return Metric(len(above), of)


def share(right: np.ndarray) -> Metric:
    """The share of the items that are ``right``, bool [n]."""
    found = ratio(right, np.ones(len(right)))
    return Metric(found.items, found.of, np.asarray(right, dtype=bool))


def average(values: np.ndarray) -> Metric:
    """The mean of a value an item, float64 [n]."""
    return ratio(values, np.ones(len(values)))


def _counts(items: int, spec: ResampleSpec) -> Iterator[np.ndarray]:
    """How often each item is drawn, of each resample; the draws are those of sacrebleu 2.6."""
    draw = np.random.default_rng(spec.seed)
    for _ in range(spec.samples):
        yield np.bincount(draw.choice(items, size=items), minlength=items)


def resampled(metrics: dict[str, Metric], spec: ResampleSpec) -> dict[str, np.ndarray]:
    """Each figure of the resamples, float64 [samples], all figures of the same ones."""
    items = next(iter(metrics.values())).items
    found = {name: np.empty(spec.samples) for name in metrics}
    for index, counts in enumerate(_counts(items, spec)):
        for name, metric in metrics.items():
            found[name][index] = metric.of(counts)
    return found


def interval(values: np.ndarray, level: float) -> list[float] | None:
    """Percentile interval (Efron 1979) of resampled figures; None where one has no value."""
    if not np.isfinite(values).all():
        return None
    tail = 50 * (1 - level)
    return [float(value) for value in np.percentile(values, [tail, 100 - tail])]


def intervals(metrics: dict[str, Metric], spec: ResampleSpec) -> dict[str, dict[str, Any]]:
    """Value and interval of each figure: {name: {"value", "interval"}}."""
    draws = resampled(metrics, spec)
    return {
        name: {"value": metric.value, "interval": interval(draws[name], spec.level)}
        for name, metric in metrics.items()
    }


def paired(
    ours: dict[str, Metric], other: dict[str, Metric], spec: ResampleSpec
) -> dict[str, dict[str, Any]]:
    """Difference of each figure that both have, other - ours, its interval, test and p-value.

    Items are the same and in the same order. Accuracies are tested by McNemar's exact test, all
    else by the paired bootstrap (Koehn 2004) with the p-value of sacrebleu 2.6: (1 + the resamples
    whose difference lies further from their mean than the observed one from 0) / (1 + resamples).
    """
    names = [name for name in ours if name in other]
    both = [{name: one[name] for name in names} for one in (ours, other)]
    first, second = (resampled(one, spec) for one in both)
    found = {}
    for name in names:
        difference = other[name].value - ours[name].value
        draws = second[name] - first[name]
        one, two = ours[name].right, other[name].right
        if one is not None and two is not None:
            test, p = "McNemar, exact", mcnemar(int((one & ~two).sum()), int((two & ~one).sum()))
        else:
            further = np.abs(draws - draws.mean()) > abs(difference)
            test, p = "paired bootstrap", (int(further.sum()) + 1) / (spec.samples + 1)
        found[name] = {
            "value": ours[name].value,
            "other": other[name].value,
            "difference": difference,
            "interval": interval(draws, spec.level),
            "test": test,
            "p": p,
        }
    return found


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact p-value that two classifiers are right equally often.

    ``only_first`` items are right by the first alone, ``only_second`` by the second alone: of their
    sum each is one's or the other's by the toss of a coin (McNemar 1947; exact binomial).
    """
    total, least = only_first + only_second, min(only_first, only_second)
    steps = np.arange(1, least + 1)
    logs = np.concatenate([[0.0], np.log((total - steps + 1) / steps).cumsum()])  # of the binomials
    tail = float(np.exp(logs - total * math.log(2)).sum())
    return min(1.0, 2 * tail)
