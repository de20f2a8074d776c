"""Histograms and tallies of bounded size against plain counts."""

from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from corpusforge.report.distribution import Distribution
from corpusforge.report.tally import Tally

COUNTS = st.lists(st.integers(0, 10**9), min_size=1, max_size=60)
SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=60)


def filled(values, passed=None):
    """A distribution of values, added in two parts."""
    one, half = Distribution(), len(values) // 2
    values = np.asarray(values, dtype=np.float64)
    passed = np.ones(len(values), bool) if passed is None else np.asarray(passed)
    one.add(values[:half], passed[:half])
    one.add(values[half:], passed[half:])
    return one


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1, max_size=80))
def test_small_integers_have_a_bar_each(pairs):
    """The bars are numpy's histogram of either group."""
    values, passed = np.array([v for v, _ in pairs]), np.array([p for _, p in pairs])
    bars = filled(values, passed).bars([])
    assert np.diff(bars.edges).tolist() == [1.0] * (len(bars.edges) - 1)
    for group, counted in ((passed, bars.passed), (~passed, bars.other)):
        expected, _ = np.histogram(values[group], bars.edges)
        assert counted.tolist() == expected.tolist()


@given(st.one_of(COUNTS, SHARES), st.lists(st.floats(0, 1e6), max_size=2))
def test_bars_lose_nothing_and_show_the_cuts(values, cuts):
    """Every value is in some bar, and every cut lies on the axis."""
    bars = filled(values).bars(cuts)
    assert bars.passed.sum() == len(values) and bars.other.sum() == 0
    assert (np.diff(bars.edges) > 0).all()
    inside = [cut for cut in cuts if cut >= 1 or not bars.log]
    low, high = bars.edges[0] * (1 - 1e-9), bars.edges[-1] * (1 + 1e-9)
    assert all(low <= cut <= high for cut in inside)


@given(st.one_of(COUNTS, SHARES), st.sampled_from([0.0, 0.01, 0.1, 0.5, 0.9, 0.99, 1.0]))
def test_quantiles_are_as_near_as_promised(values, share):
    """Within 2.4 % or 0.0005 of the value that numpy gives."""
    mine = filled(values).quantile(share)
    truth = np.quantile(values, share, method="inverted_cdf")
    assert abs(mine - truth) <= max(0.0241 * truth, 0.0005 + 1e-12)


def test_not_numbers_are_not_counted():
    """Null signals arrive as NaN."""
    assert filled([1.0, np.nan, np.inf, 2.0]).total == 2


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["x", "y"]), st.integers(0, 9))))
def test_tally_counts(rows):
    """Sums by key and column; the largest first."""
    tally, expected = Tally(("x", "y")), Counter()
    for part in (rows[:3], rows[3:]):
        keys, columns, amounts = ([row[index] for row in part] for index in range(3))
        tally.add(
            pa.array(keys, pa.string()),
            pa.array(columns, pa.string()),
            pa.array(amounts, pa.int64()),
        )
    for key, column, amount in rows:
        expected[key, column] += amount
    assert {
        (k, c): n for k, row in tally.counts.items() for c, n in zip("xy", row, strict=True) if n
    } == {pair: n for pair, n in expected.items() if n}
    sums = [sum(row) for _, row in tally.top(3)]
    assert sums == sorted(sums, reverse=True)
    assert tally.exact


def test_tally_is_bounded_and_keeps_the_heavy():
    """Over its limit it gives up small keys, says so, and its heavy keys are right."""
    tally = Tally(("n",), limit=100)
    for start in range(0, 3000, 50):
        keys = ["heavy"] * 20 + [f"k{n}" for n in range(start, start + 50)]
        tally.add(pa.array(keys), pa.repeat("n", len(keys)))
    assert len(tally.counts) <= 150 and not tally.exact
    assert tally.top(1) == [("heavy", [1200])]
