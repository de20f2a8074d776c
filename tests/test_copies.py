"""Groups of documents that share keys, against a plain search."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.copies import SIGNED, groups

KEYS = st.integers(1, 12)
DOCUMENTS = st.lists(
    st.tuples(st.none() | st.lists(KEYS, min_size=2, max_size=2), st.none() | st.integers(20, 25)),
    max_size=12,
)


def connected(rows):
    """Sets of rows that share keys, one search at a time."""
    left, found = set(range(len(rows))), []
    while left:
        todo, seen = [min(left)], set()
        while todo:
            row = todo.pop()
            if row not in seen:
                seen.add(row)
                todo += [other for other in left if rows[other] & rows[row]]
        found.append(seen)
        left -= seen
    return found


@settings(deadline=None)
@given(DOCUMENTS)
def test_documents_that_share_a_key_are_of_one_group(drawn):
    """Directly or through others; others are apart."""
    rows = [{*(bands or ()), *([exact] if exact else ())} for bands, exact in drawn]
    table = pa.Table.from_pylist(
        [
            {
                "id": bytes([number]) * 16,
                "dedup_tokens": 1,
                "exact": exact and exact.to_bytes(16, "big"),
                "sketch": None,
                "bands": bands and np.array(bands, "<u8").tobytes(),
            }
            for number, (bands, exact) in enumerate(drawn)
        ],
        SIGNED,
    )
    labels = groups(table)
    found = [set(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)]
    assert sorted(map(sorted, found)) == sorted(map(sorted, connected(rows)))
