"""Distribution: a histogram of any non-negative signal in one pass and constant memory.

Fine bins first: 2000 of equal width in [0, 1), then 100 a decade. Bars, cut to what there is to
see, and quantiles come from them: a share is exact to 0.0005, a count to 2.4 %.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LINEAR, DECADE, DECADES = 2000, 100, 12
EDGES = np.concatenate(
    [np.arange(LINEAR) / LINEAR, 10 ** (np.arange(DECADE * DECADES + 1) / DECADE)]
)
BARS = 40
SEEN = 0.995  # share of the values that the bars spread over; the rest lies in the last one
SMALL = 40  # integers up to here have a bar each
NICE = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class Bars(NamedTuple):
    """Bars of a histogram: (bars + 1,) edges, (bars,) counts of both groups."""

    edges: np.ndarray
    passed: np.ndarray
    other: np.ndarray
    log: bool


class Distribution:
    """Counts of the values of one signal in two groups: passed the rules, and others."""

    def __init__(self) -> None:
        self.counts = np.zeros((2, len(EDGES)), dtype=np.int64)
        self.low, self.high, self.integers = np.inf, -np.inf, True

    def add(self, values: np.ndarray, passed: np.ndarray) -> None:
        """Count ``values`` (rows,), those that are numbers, of the groups in ``passed`` (bool)."""
        seen = np.isfinite(values)
        values, passed = np.asarray(values[seen], dtype=np.float64), passed[seen]
        if not len(values):
            return
        bins = np.clip(np.searchsorted(EDGES, values, side="right") - 1, 0, len(EDGES) - 1)
        for group, rows in enumerate((passed, ~passed)):
            self.counts[group] += np.bincount(bins[rows], minlength=len(EDGES))
        self.low, self.high = min(self.low, values.min()), max(self.high, values.max())
        self.integers = self.integers and bool((values == np.floor(values)).all())

    @property
    def total(self) -> int:
        """Values counted."""
        return int(self.counts.sum())

    def quantile(self, share: float) -> float:
        """Return the value below which ``share`` of the values lie, to the width of a bin."""
        if not self.total:
            return float("nan")
        summed = np.cumsum(self.counts.sum(axis=0))
        value = EDGES[np.searchsorted(summed, max(1.0, share * summed[-1]))]
        if self.integers:
            value = np.ceil(value - 1e-9)
        return float(np.clip(value, self.low, self.high))

    def bars(self, cuts: list[float]) -> Bars:
        """Return bars that show most of the values (one or more) and all ``cuts``, thresholds."""
        high = max([self.quantile(SEEN), *cuts, 0.0])
        if self.integers and high <= SMALL:
            edges, log = np.arange(0.0, max(high, 1.0) + 2), False
        elif high <= 1:
            upper = next(nice for nice in NICE if nice >= high)
            edges, log = np.linspace(0, upper, BARS + 1), False
        else:
            positive = [value for value in cuts if value >= 1]
            low = max(1.0, min([self.quantile(1 - SEEN), *positive]))
            first = np.floor(np.log10(low) * DECADE)
            step = max(1, int(np.ceil((np.log10(high * 1.05) * DECADE - first) / BARS)))
            edges, log = 10 ** ((first + step * np.arange(BARS + 1)) / DECADE), True
        return self.into(edges, log)

    def into(self, edges: np.ndarray, log: bool = False) -> Bars:
        """Return the bars between ``edges`` (bars + 1,); the outer two take what is outside."""
        lowest = np.ceil(EDGES - 1e-9) if self.integers else EDGES  # value of each fine bin
        at = np.searchsorted(edges, lowest * (1 + 1e-9), side="right") - 1
        at = np.clip(at, 0, len(edges) - 2)
        passed, other = (
            np.bincount(at, weights=row, minlength=len(edges) - 1).astype(np.int64)
            for row in self.counts
        )
        return Bars(edges, passed, other, log)
