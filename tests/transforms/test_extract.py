"""Extract fills text from HTML and writes the verdicts of the stage."""

from importlib.util import find_spec

import numpy as np
import pyarrow as pa
import pytest

from corpusforge.errors import ExtraMissing
from corpusforge.schema import RECORD, check
from corpusforge.transform import chain
from corpusforge.transforms.extract import METHODS, Extract

PAGE = "<title>Fog</title><nav><a href=/>Home</a></nav><p>{}</p>".format(
    "The harbour master counted eleven boats before the fog closed the bay for the whole night. "
    * 3
)
TEXT = " ".join(PAGE.split("<p>")[1].removesuffix("</p>").split())


def batch(**columns: list[object]) -> pa.RecordBatch:
    """Documents with the given columns, the rest as a reader leaves them."""
    rows = len(next(iter(columns.values())))
    values: dict[str, list[object]] = {
        "id": [row.to_bytes(16, "big") for row in range(rows)],
        "source": ["s/a.warc.gz"] * rows,
        "offset": [0] * rows,
        "ordinal": list(range(rows)),
        "outcome": ["kept"] * rows,
        **columns,
    }
    return pa.RecordBatch.from_pydict(
        {field.name: values.get(field.name, [None] * rows) for field in RECORD}, schema=RECORD
    )


def rows(result: pa.RecordBatch, *names: str) -> list[tuple[object, ...]]:
    return list(zip(*(result.column(name).to_pylist() for name in names), strict=True))


def test_pages_become_text() -> None:
    """A page gets its text and its title; a title that is there already stays."""
    got = Extract("forge", 5000, 10**6)(batch(html=[PAGE, PAGE], title=[None, "Mist"]))
    check(got, RECORD)
    assert rows(got, "text", "title", "outcome") == [(TEXT, "Fog", "kept"), (TEXT, "Mist", "kept")]
    assert got.column("html").to_pylist() == [PAGE, PAGE]


def test_only_live_documents_without_text_are_extracted() -> None:
    """Text from the reader stays, decided rows are left alone, whatever html they have."""
    given = batch(
        html=[PAGE, None, PAGE],
        text=["as given", "text only", None],
        outcome=["kept", "kept", "dropped"],
        stage=[None, None, "read"],
    )
    assert Extract("forge", 5000, 10**6)(given).equals(given)


def test_empty_text_is_dropped() -> None:
    """A page without text, and text of white space only, is dropped by the rule `empty`."""
    got = Extract("forge", 5000, 10**6)(
        batch(html=["<p> </p>", None, PAGE, None], text=[None, "\u3000\n", None, None])
    )
    assert rows(got, "outcome", "stage") == [
        ("dropped", "extract"),
        ("dropped", "extract"),
        ("kept", None),
        ("dropped", "extract"),
    ]
    reason = {"rule": "empty", "signal": "chars", "value": 0.0}
    reason |= {"comparison": ">=", "threshold": 1.0}
    assert got.column("reasons").to_pylist() == [[reason], [reason], None, [reason]]


def test_a_page_over_a_limit_fails() -> None:
    """The reason names the limit, what was reached and what is allowed."""
    got = Extract("forge", 50, 200)(batch(html=["<div>" * 60, PAGE, "<p>x</p>" * 300]))
    assert rows(got, "outcome", "stage", "text") == [
        ("failed", "extract", None),
        ("kept", None, TEXT),
        ("failed", "extract", None),
    ]
    (deep,), none, (large,) = got.column("reasons").to_pylist()
    assert deep["rule"] == "limit:depth" and deep["signal"] == "depth"
    assert (deep["value"], deep["comparison"], deep["threshold"]) == (51.0, "<=", 50.0)
    assert none is None
    assert large["rule"] == "limit:nodes" and large["value"] > large["threshold"] == 200.0


def test_a_bug_fails_its_document() -> None:
    """An error in one page is that page's detail; the others are extracted."""

    def broken(html: bytes, *, depth: int, nodes: int):  # type: ignore[no-untyped-def]
        if b"Fog" in html:
            raise TypeError("no boats")
        return METHODS["none"](html, depth=depth, nodes=nodes)

    METHODS["broken"] = broken
    try:
        got = Extract("broken", 5000, 10**6)(batch(html=[PAGE, "<p>clear</p>"]))
    finally:
        del METHODS["broken"]
    assert rows(got, "outcome", "stage", "detail", "text") == [
        ("failed", "extract", "TypeError: no boats", None),
        ("kept", None, None, "clear"),
    ]


def test_batches_may_be_cut_anywhere() -> None:
    """Rows are preserved, and a cut batch gives the same rows."""
    given = batch(
        html=[PAGE, None, "<div>" * 60, "", PAGE, "<p>x</p>"],
        text=[None, "t", None, None, None, None],
        outcome=["kept", "kept", "kept", "kept", "failed", "kept"],
    )
    step = chain(Extract("forge", 50, 1000))
    whole = pa.Table.from_batches([step(given)])
    for cut in range(7):
        parts = [step(given.slice(0, cut)), step(given.slice(cut))]
        assert pa.Table.from_batches(parts).combine_chunks().equals(whole)


@pytest.mark.parametrize(("method", "menu"), [("none", True), ("resiliparse", False)])
def test_other_methods(method: str, menu: bool) -> None:
    """The whole page on demand; another extractor by its name."""
    got = Extract(method, 5000, 10**6)(batch(html=[PAGE]))
    (text,), (title,) = got.column("text").to_pylist(), got.column("title").to_pylist()
    assert TEXT in text and ("Home" in text) == menu and title == "Fog"


def test_trafilatura_is_optional() -> None:
    """Where trafilatura is missing the error says which extra to install; else it extracts."""
    if find_spec("trafilatura") is None:
        with pytest.raises(ExtraMissing, match=r"pip install 'corpusforge\[extractors\]'"):
            Extract("trafilatura", 5000, 10**6)
    else:
        got = Extract("trafilatura", 5000, 10**6)(batch(html=[PAGE]))
        assert got.column("text").to_pylist() == [TEXT]


def test_an_empty_batch_stays_empty() -> None:
    """No rows in, no rows out, with the same columns."""
    got = Extract("forge", 5000, 10**6)(batch(html=np.empty(0, object).tolist()))
    assert got.num_rows == 0 and got.schema.equals(RECORD)
