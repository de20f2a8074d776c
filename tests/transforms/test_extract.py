"""Extract fills text from HTML and writes the verdicts of the stage."""

from importlib.util import find_spec

import numpy as np
import pyarrow as pa
import pytest

from corpusforge.errors import ExtraMissing
from corpusforge.kernels.extraction import Output
from corpusforge.schema import EXTRACTED, RECORD, check
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
    got = Extract("forge", 5000, 10**6)(given)
    assert got.select(RECORD.names).equals(given)
    assert all(got.column(name).null_count == 3 for name in EXTRACTED.names)


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

    def broken(html: bytes, **limits):  # type: ignore[no-untyped-def]
        if b"Fog" in html:
            raise TypeError("no boats")
        return METHODS["none"](html, **limits)

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


def test_pages_state_things_of_themselves() -> None:
    """Canonical address, day and language are columns; documents that came as text have none."""
    head = "<html lang=de><link rel=canonical href=/nebel><meta name=date content=2019-03-05>"
    given = batch(html=[head + PAGE, PAGE, None], text=[None, None, "t"], url=["http://a.b/c"] * 3)
    got = Extract("forge", 5000, 10**6)(given)
    assert check(got, EXTRACTED) is got
    assert rows(got, *EXTRACTED.names) == [
        ("http://a.b/nebel", "2019-03-05", "de", 1, 2),
        (None, None, None, 1, 2),
        (None, None, None, None, None),
    ]


def test_markdown_on_demand() -> None:
    """Markup of the page in the text, links only if asked for, resolved against the page."""
    page = PAGE.replace("<p>", "<h1>Fog</h1><p><a href=/log>Log</a>: ")
    given = batch(html=[page], url=["http://a.b/c"])
    for links, log in ((False, "Log"), (True, "[Log](http://a.b/log)")):
        got = Extract("forge", 5000, 10**6, Output(True, links))(given)
        assert got.column("text").to_pylist() == [f"# Fog\n\n{log}: {TEXT}"]


INSTALLED = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            find_spec(name if name == "trafilatura" else "corpusforge") is None,
            reason=f"{name} is not installed",
        ),
    )
    for name in METHODS
]


@pytest.mark.parametrize("method", INSTALLED)
def test_every_method(method: str) -> None:
    """Each gives the text, in either form, and the same columns; only "none" keeps the menu."""
    head = "<html lang=en><link rel=canonical href=http://a.b/fog>"
    page = head + PAGE.replace("<p>", "<article><h2>Boats &amp; *bells*</h2><p>") + f"<p>{TEXT}"
    limits = (5000, 10**6)
    (text,) = Extract(method, *limits)(batch(html=[page])).column("text").to_pylist()
    assert TEXT in text and "Boats & *bells*" in text and ("Home" in text) == (method == "none")
    got = Extract(method, *limits, Output(True))(batch(html=[page]))
    (text,) = got.column("text").to_pylist()
    assert TEXT in text and "## Boats & \\*bells\\*\n\n" in text
    stated = rows(got, "title", "canonical_url", "declared_language", "blocks_kept", "blocks_seen")
    counts = {"forge": (3, 4), "none": (4, 4)}.get(method, (None, None))
    assert stated == [("Fog", "http://a.b/fog", "en", *counts)]


@pytest.mark.parametrize("method", INSTALLED)
def test_no_method_remembers(method: str) -> None:
    """A page gives the same text whatever was read before it, and however often."""
    pages = [PAGE, PAGE, PAGE.replace("eleven", "nine"), "<p>x</p>", "", PAGE]
    pages = [page.replace("<p>", f"<article><p>{TEXT}<p>{TEXT}<p>") for page in pages]
    step = Extract(method, 5000, 10**6)
    there = step(batch(html=list(pages))).column("text").to_pylist()
    assert there == step(batch(html=pages[::-1])).column("text").to_pylist()[::-1]
    assert there[0] == there[1] == there[-1]


@pytest.mark.parametrize("method", INSTALLED)
def test_no_method_is_trusted(method: str) -> None:
    """Deep pages fail by their limit and odd ones do no harm, whoever extracts."""
    html = ["<div>" * 60, "\0<", "<p>\ud83d</p>".encode("utf-8", "replace").decode(), PAGE]
    got = Extract(method, 50, 10**6)(batch(html=html))
    assert got.column("outcome").to_pylist()[0] == "failed"
    assert got.column("outcome").to_pylist()[3] == "kept"
    assert "failed" not in got.column("outcome").to_pylist()[1:]


@pytest.mark.skipif(find_spec("trafilatura") is not None, reason="trafilatura is installed")
def test_trafilatura_is_optional() -> None:
    """Where trafilatura is missing the error says which extra to install."""
    with pytest.raises(ExtraMissing, match=r"pip install 'corpusforge\[extractors\]'"):
        Extract("trafilatura", 5000, 10**6)


def test_an_empty_batch_stays_empty() -> None:
    """No rows in, no rows out, with the same columns."""
    got = Extract("forge", 5000, 10**6)(batch(html=np.empty(0, object).tolist()))
    assert got.num_rows == 0 and got.schema.names == [*RECORD.names, *EXTRACTED.names]
