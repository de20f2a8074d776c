"""The keyed order is a bijection of every [0, n), can be inverted, and never changes."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.kernels.feistel import invert, key_schedule, permute, splitmix64

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")  # uncompiled uint64

LAST = 64 if numba.config.DISABLE_JIT else 5000


def test_bijection_of_every_small_n():
    """Each n to 5,000: all rows once, and the inverse gives the positions back."""
    for n in range(1, LAST + 1):
        positions = np.arange(n)
        rows = permute(positions, n, seed=n, epoch=3)
        assert np.array_equal(np.sort(rows), positions), n
        assert np.array_equal(invert(rows, n, seed=n, epoch=3), positions), n


@settings(max_examples=50, deadline=None)
@given(st.integers(1, (1 << 63) - 1), st.integers(0, 1 << 70), st.integers(0, 1 << 40), st.data())
def test_inverse_at_large_n(n, seed, epoch, data):
    """Any position of any large n: the row is in range and leads back to the position."""
    positions = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1)), dtype=np.int64)
    rows = permute(positions, n, seed, epoch)
    assert rows.min() >= 0 and rows.max() < n
    assert np.array_equal(invert(rows, n, seed, epoch), positions)


def test_splitmix64_is_the_published_one():
    """First outputs of the reference implementation for seed 1234567."""
    golden, state = 0x9E3779B97F4A7C15, 1234567
    found = [splitmix64((state + step * golden) % (1 << 64)) for step in range(3)]
    assert found == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_order_is_pinned():
    """The order of a run may never change under its checkpoints."""
    assert permute(np.arange(12), 12, seed=0, epoch=0).tolist() == [
        3,
        1,
        9,
        2,
        0,
        11,
        4,
        5,
        7,
        10,
        8,
        6,
    ]
    large = permute(np.arange(3), 10**9, seed=7, epoch=1)
    assert large.tolist() == [337646024, 972955144, 877665161]


def test_seed_and_epoch_change_the_order():
    """Two seeds, and two epochs of one seed, are different orders."""
    positions = np.arange(500)
    orders = {permute(positions, 500, s, e).tobytes() for s in range(5) for e in range(5)}
    assert len(orders) == 25
    assert not np.array_equal(key_schedule(0, 1), key_schedule(1, 0))


@pytest.mark.parametrize("n", [3, 5, 10, 17, 100])
def test_small_orders_are_even_over_seeds(n):
    """The pair of rows at the first two positions is any pair, by chi square over 4,000 seeds."""
    seeds = 40 if numba.config.DISABLE_JIT else 4000
    pairs = np.array([permute(np.arange(2), n, seed, 0) for seed in range(seeds)])
    counts = np.bincount(pairs[:, 0] * n + pairs[:, 1], minlength=n * n).reshape(n, n)
    observed = counts[~np.eye(n, dtype=bool)]
    assert counts.trace() == 0
    expected = seeds / len(observed)
    chi_square = ((observed - expected) ** 2 / expected).sum()
    assert chi_square < len(observed) + 5 * np.sqrt(2 * len(observed))
