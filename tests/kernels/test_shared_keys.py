"""Keys that more than one row has, against counting them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.kernels import shared_keys


def told(keys, parts=1):
    """The mask of rows whose key is told to be shared, seen in several parts."""
    keys = np.asarray(keys, np.uint64)
    once, twice = shared_keys.table(len(keys)), shared_keys.table(len(keys))
    for part in np.array_split(keys, parts):
        shared_keys.note(part, once, twice)
    found = np.zeros(len(keys), bool)
    shared_keys.shared(keys, np.arange(len(keys)), twice, found)
    return found


@settings(deadline=None)
@given(st.lists(st.integers(0, 40) | st.integers(0, 2**64 - 1), max_size=60), st.integers(1, 4))
def test_no_shared_key_is_missed(keys, parts):
    """Whatever the keys are, and in how many parts they come."""
    found = told(keys, parts)
    for row, key in enumerate(keys):
        if keys.count(key) > 1:
            assert found[row]


def test_few_keys_are_told_to_be_shared_and_are_not():
    """Of 200,000 hashes, a tenth of them twice."""
    draw = np.random.default_rng(0)
    keys = draw.integers(0, 2**64 - 1, 200_000, np.uint64)
    keys[:20_000] = keys[20_000:40_000]
    found = told(draw.permutation(keys))
    assert 40_000 <= found.sum() < 40_000 + 0.01 * len(keys)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 9)), max_size=40))
def test_rows_that_share_keys_are_joined(pairs):
    """Directly or through others, under the least row; against a search."""
    keys, rows = (np.array([pair[side] for pair in pairs], int) for side in (0, 1))
    labels = np.arange(10)
    shared_keys.join(keys.astype(np.uint64), rows, shared_keys.slots(len(keys)), labels)
    expected = np.arange(10)
    for _ in range(10):
        for key in set(keys.tolist()):
            mine = rows[keys == key]
            expected[mine] = expected[mine].min()
        for row in range(10):
            expected[row] = expected[expected[row]]
    assert labels.tolist() == expected.tolist()
