"""Mask: texts of decided rows too, and edits that add up with those of other rules."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from corpusforge.schema import EDITS
from corpusforge.transform import chain, note_edits
from corpusforge.transforms.mask import Mask


def batch(texts: list[str | None]) -> pa.RecordBatch:
    """Documents with these texts."""
    ids = [bytes([number]) for number in range(len(texts))]
    return pa.RecordBatch.from_pydict({"id": ids, "text": pa.array(texts, pa.string())})


def test_every_text_is_masked_and_counted() -> None:
    """The value is nowhere in the batch; a row without one has no edits."""
    rows = batch(["jo@site.com and jo@site.com", "none", None])
    after = chain(Mask(("email", "ip")))(rows)
    assert "jo@site" not in str(after.to_pydict())
    assert after.column("edits").to_pylist() == [[{"rule": "pii.email", "count": 2}], None, None]
    assert rows.column("text")[0].as_py() == "jo@site.com and jo@site.com"


COUNTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=3, max_size=3)


@given(COUNTS, COUNTS)
def test_edits_are_appended(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    """What two steps changed stands in their order; zeros are not named."""
    after = note_edits(batch(["a"] * 3), ("a", "b"), np.array(first))
    after = note_edits(after, ("c", "d"), np.array(second))
    assert after.column("edits").type == EDITS.type
    expected = [
        [{"rule": r, "count": n} for r, n in zip("abcd", (*x, *y), strict=True) if n] or None
        for x, y in zip(first, second, strict=True)
    ]
    assert after.column("edits").to_pylist() == expected
