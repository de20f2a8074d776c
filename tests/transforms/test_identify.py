"""Identify writes LANGUAGE for documents still kept and spends nothing on the others."""

import pyarrow as pa

from corpusforge.schema import LANGUAGE, check
from corpusforge.transform import chain
from corpusforge.transforms.identify import Identify


def test_decided_rows_stay_null() -> None:
    """Rows, ids and every other column are as before."""
    text = "The report explains why the road was closed."
    batch = pa.RecordBatch.from_pydict(
        {
            "id": [b"1", b"2", b"3"],
            "outcome": ["kept", "failed", "kept"],
            "text": [text, text, None],
        }
    )
    after = chain(Identify())(batch)
    check(after, LANGUAGE)
    assert after.column("language").to_pylist() == ["en", None, None]
    assert after.column("language_score").null_count == 2
    assert after.select(batch.schema.names).equals(batch)
