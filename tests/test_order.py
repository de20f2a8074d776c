"""One order for any cut of the positions, in memory that does not grow with the rows."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.order import Order, shares


@st.composite
def orders(draw):
    """An order of one to four streams of 1 to 40 rows, by rows or by blocks."""
    sizes = draw(st.lists(st.integers(1, 40), min_size=1, max_size=4))
    weights = draw(st.lists(st.floats(0.01, 100), min_size=len(sizes), max_size=len(sizes)))
    bounds = tuple(np.cumsum([0, *sizes]).tolist())
    return Order(
        bounds, shares(weights), draw(st.integers(0, 1 << 64)), draw(st.sampled_from([1, 1, 3, 8]))
    )


@settings(max_examples=60, deadline=None)
@given(orders(), st.integers(0, 300), st.lists(st.integers(1, 30), min_size=1, max_size=6))
def test_cuts_do_not_matter(order, position, counts):
    """Read in pieces of any size, the rows and epochs are those of one reading."""
    rows, epochs = order.at(position, sum(counts))
    parts, at = [], position
    for count in counts:
        parts.append(order.at(at, count))
        at += count
    assert np.array_equal(np.concatenate([part[0] for part in parts]), rows)
    assert np.array_equal(np.concatenate([part[1] for part in parts]), epochs)


@settings(max_examples=60, deadline=None)
@given(orders())
def test_each_epoch_of_a_stream_holds_its_rows_once(order):
    """Whatever the shares, a stream starts an epoch when it has read all its rows."""
    rows, epochs = order.at(0, 400)
    for first, last in pairwise(order.bounds):
        mine = (rows >= first) & (rows < last)
        assert np.array_equal(epochs[mine], np.arange(mine.sum()) // (last - first))
        for epoch in range(int(mine.sum()) // (last - first)):
            read = rows[mine][epoch * (last - first) : (epoch + 1) * (last - first)]
            assert np.array_equal(np.sort(read), np.arange(first, last))


@settings(max_examples=60, deadline=None)
@given(orders(), st.integers(0, 400), st.data())
def test_readings_are_those_of_the_order(order, end, data):
    """The inverse finds each reading of some rows and no other."""
    chosen = data.draw(st.sets(st.integers(0, order.bounds[-1] - 1)))
    rows, epochs = order.at(0, end)
    expected = [(int(epochs[at]), at) for at in range(end) if int(rows[at]) in chosen]
    found = order.readings(np.array(sorted(chosen), dtype=np.int64), end)
    assert found == sorted(expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(2, 20), st.integers(0, 3))
def test_blocks_are_read_one_after_the_other(size, block, epoch):
    """In block order each run of ``block`` positions reads one block, the rest comes last."""
    order = Order((0, size), shares([1.0]), 3, block)
    rows, _ = order.at(epoch * size, size)
    whole = size // block * block
    read = rows[:whole].reshape(-1, block) // block
    assert (read == read[:, :1]).all()
    assert np.array_equal(np.sort(rows[whole:]), np.arange(whole, size))


@settings(max_examples=60, deadline=None)
@given(orders(), st.integers(0, 400))
def test_read_counts_the_rows_of_each_stream(order, position):
    """The counters are the numbers of rows that came from each stream."""
    rows, _ = order.at(0, position)
    streams = np.searchsorted(order.bounds, rows, side="right") - 1
    expected = np.bincount(streams, minlength=len(order.shares))
    assert order.read(position) == expected.tolist()


RNG = np.random.default_rng(0)
MANY = [RNG.dirichlet([spread] * count).tolist() for spread in (0.1, 1) for count in (4, 30, 200)]
TINY = [[0.99e-4] * 100 + [0.9901], [0.4e-4] * 100 + [0.996], [1 / n for n in range(200, 0, -1)]]


@pytest.mark.parametrize("weights", [[1, 1], [7, 2, 1], [0.05, 3, 3, 0.2], *TINY, *MANY])
def test_shares_hold(weights):
    """After 10,000 rows each share is within 0.1 % of its weight; the streams differ in size."""
    bounds = tuple(range(0, 3 * len(weights) + 1, 3))
    rows, _ = Order(bounds, shares(weights), seed=1).at(0, 10_000)
    found = np.bincount(rows // 3, minlength=len(weights)) / len(rows)
    assert np.abs(found - np.array(weights) / sum(weights)).max() < 0.001


def test_memory_does_not_grow_with_rows():
    """A million and a billion rows, a late position: the same peak."""
    peaks = []
    for rows in (10**6, 10**9):
        order = Order((0, rows), shares([1.0]), seed=0)
        tracemalloc.start()
        order.at(10**9 + 5, 512)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert abs(peaks[0] - peaks[1]) < 1 << 16
