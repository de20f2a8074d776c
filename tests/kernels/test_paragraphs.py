"""Paragraphs: spans, keys, and what is left without some."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusforge.kernels import paragraphs

texts = st.text(st.sampled_from("ab \n\tß\u3000中"), max_size=40)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\n ", []),
        ("one", ["one"]),
        ("one\ntwo\n", ["one", "two"]),
        ("one\nstill one\n\n \n  two ", ["one\nstill one", "two"]),
        ("one\n \ntwo\nstill two", ["one", "two\nstill two"]),
    ],
)
def test_spans(text: str, expected: list[str]) -> None:
    """Blank lines separate where there are any, else line ends."""
    assert [text[start:end] for start, end in paragraphs.spans(text)] == expected


@given(texts, st.data())
def test_what_is_left(text: str, data: st.DataObject) -> None:
    """All that is visible is in a paragraph; without some, the others are left in their order."""
    spans = paragraphs.spans(text)
    found = [text[start:end] for start, end in spans]
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(part == part.strip() and part for part in found)
    gone = data.draw(st.sets(st.sampled_from(range(len(spans))))) if spans else set()
    left = paragraphs.without(text, spans, gone)
    kept = [part for number, part in enumerate(found) if number not in gone]
    assert "".join(left.split()) == "".join("".join(kept).split())
    if not gone:
        assert left == text


def test_keys() -> None:
    """Equal paragraphs have one key, whatever is around them; short ones have none."""
    text = "a long one\n\nshort\n\n a long one \n\nanother long"
    keys = paragraphs.keys(text, paragraphs.spans(text), 6)
    assert keys[0] == keys[2] != keys[3] and keys[1] is None
