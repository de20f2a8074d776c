"""Intervals and tests against scipy, and what they must keep to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusforge.eval.significance import (
    Metric,
    average,
    intervals,
    mcnemar,
    paired,
    ratio,
    share,
)  # fmt: skip
from corpusforge.spec.eval import ResampleSpec

SPEC = ResampleSpec(samples=2000)


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_the_exact_binomial(one, two):
    """Two-sided, as scipy has it."""
    library = pytest.importorskip("scipy.stats")
    wanted = library.binomtest(one, one + two).pvalue if one + two else 1.0
    assert mcnemar(one, two) == pytest.approx(wanted, rel=1e-9)


def test_many_items():
    """No number overflows."""
    assert mcnemar(500_000, 500_000) == 1.0
    assert 0 <= mcnemar(490_000, 510_000) < 1e-80


def test_intervals_are_the_percentiles_of_scipy():
    """Of a mean and of a quotient of sums; other draws, so to a few per cent."""
    library = pytest.importorskip("scipy.stats")
    draw = np.random.default_rng(3)
    top, bottom = draw.gamma(2, 3, 150), draw.integers(1, 40, 150).astype(float)
    found = intervals({"mean": average(top), "ratio": ratio(top, bottom)}, SPEC)
    for name, data, figure in (
        ("mean", (top,), lambda x, axis: x.mean(axis)),
        ("ratio", (top, bottom), lambda x, y, axis: x.sum(axis) / y.sum(axis)),
    ):
        wanted = library.bootstrap(
            data, figure, paired=True, n_resamples=2000, method="percentile", random_state=0,
            confidence_level=0.95,
        ).confidence_interval  # fmt: skip
        low, high = found[name]["interval"]
        width = wanted.high - wanted.low
        assert (low, high) == pytest.approx((wanted.low, wanted.high), abs=0.1 * width)


def test_seeds_and_levels():
    """A seed gives the same interval again; a higher level gives a wider one."""
    metric = {"x": average(np.random.default_rng(0).normal(size=80))}
    first = intervals(metric, SPEC)["x"]["interval"]
    assert first == intervals(metric, SPEC)["x"]["interval"]
    assert first != intervals(metric, ResampleSpec(samples=2000, seed=1))["x"]["interval"]
    low, high = intervals(metric, ResampleSpec(samples=2000, level=0.5))["x"]["interval"]
    assert first[0] < low < high < first[1]


def test_a_test_finds_no_difference_where_there_is_none():
    """p-values of equal systems are spread, few lie under 0.05; of a small shift all do."""
    small = ResampleSpec(samples=200)
    draw = np.random.default_rng(1)
    same, other = [], []
    for _ in range(60):
        one = draw.normal(size=60)
        noise = draw.normal(size=60)
        same.append(paired({"x": average(one)}, {"x": average(one + noise)}, small)["x"]["p"])
        shifted = {"x": average(one + 0.05 * noise + 0.1)}
        other.append(paired({"x": average(one)}, shifted, small)["x"]["p"])
    assert sum(p < 0.05 for p in same) <= 9
    assert all(p < 0.01 for p in other)


def test_only_figures_that_both_have():
    """And shares of right items by McNemar."""
    right = np.array([True, False, True, True])
    one = {"a": share(right), "b": average(right)}
    found = paired(one, {"a": share(~right), "c": Metric(4, float)}, ResampleSpec(samples=10))
    assert set(found) == {"a"}
    assert found["a"]["p"] == pytest.approx(mcnemar(3, 1))
