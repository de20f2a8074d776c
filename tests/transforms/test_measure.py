"""Measure writes one typed column a signal, null where there is nothing to measure."""

import pyarrow as pa

from corpusforge.kernels.signals import SIGNALS
from corpusforge.transform import chain
from corpusforge.transforms.measure import Measure


def test_columns_types_and_nulls() -> None:
    """Counts are int64, shares float64; null for decided rows and missing texts only."""
    batch = pa.RecordBatch.from_pydict(
        {
            "id": [b"1", b"2", b"3", b"4"],
            "outcome": ["kept", "dropped", "kept", "kept"],
            "text": ["one two", "one", None, ""],
        }
    )
    after = chain(Measure())(batch)
    assert after.schema.names == [*batch.schema.names, *SIGNALS]
    assert after.column("words").to_pylist() == [2, None, None, 0]
    assert after.column("mean_word_length").to_pylist() == [3.0, None, None, 0.0]
    for name, signal in SIGNALS.items():
        assert after.column(name).type == (pa.int64() if signal.whole is None else pa.float64())
        assert after.column(name).null_count == 2
    assert after.select(batch.schema.names).equals(batch)


def test_markdown_of_pages_is_measured_without_its_marks() -> None:
    """As the plain text of the page would be; a text that is no page's stays as it is."""
    marked, plain = "# Fog\n\n- one\n- two\n\n```\nx\n```", "Fog\none\ntwo\nx"
    batch = pa.RecordBatch.from_pydict(
        {
            "id": [b"1", b"2", b"3"],
            "outcome": ["kept"] * 3,
            "text": [marked, plain, marked],
            "html": ["<p>", "<p>", None],
        }
    )
    after = chain(Measure(markdown=True))(batch)
    rows = after.select(list(SIGNALS)).to_pylist()
    assert rows[0] == rows[1]
    assert rows[2] == chain(Measure())(batch).select(list(SIGNALS)).to_pylist()[0] != rows[0]
    assert after.column("text").equals(batch.column("text"))
