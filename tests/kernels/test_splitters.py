"""Splitters cut a text into tokens that leave nothing out but white space."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.errors import SpecError
from corpusforge.kernels import spacy_words
from corpusforge.kernels.splitters import SPLITTERS, split

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "datatrove.json").read_text())["texts"]
TEXTS = st.lists(
    st.sampled_from(
        [*"aAé1²#.…?-•_'’\"/:,@ \t\n\x1c\u2028\u3000我いก\u0301。\U0001f600$%", "it's", "1,0"]
    ),
    max_size=40,
).map("".join)


def tokens(text: str, splitter: str) -> list[str]:
    """Tokens of one text."""
    data = text.encode()
    return [data[a:b].decode() for a, b in split(pa.array([text]), splitter).spans.tolist()]


@pytest.mark.parametrize("splitter", [name for name in SPLITTERS if name != "spacy"])
@settings(max_examples=150, deadline=None)
@given(texts=st.lists(st.none() | TEXTS, max_size=4))
def test_tokens_are_the_text_without_white_space(splitter: str, texts: list[str | None]) -> None:
    """In order, row by row, none of them empty."""
    found = split(pa.array(["first", *texts], pa.string())[1:], splitter)
    data = "".join(["first", *(text or "" for text in texts)]).encode()
    for row, text in enumerate(texts):
        own = found.spans[found.starts[row] : found.starts[row + 1]].tolist()
        parts = [data[a:b].decode() for a, b in own]
        assert all(parts)
        assert "".join(parts) == "".join((text or "").split())


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_whitespace_is_str_split(text: str) -> None:
    """White space is that of str.isspace."""
    assert tokens(text, "whitespace") == text.split()


def test_unicode_by_hand() -> None:
    """What cuts a word and what does not."""
    text = (
        "Don't stop: (well-known) 1,000 3.5 U.S. covid-19 a_b and/or x.com. End.Next -- 我们，去。"
    )
    assert tokens(text, "unicode") == [
        *("Do", "n't", "stop", ":", "(", "well", "-", "known", ")", "1,000", "3.5", "U.S."),
        *("covid-19", "a_b", "and", "/", "or", "x.com", ".", "End", ".", "Next", "--"),
        *("我们，去", "。"),
    ]
    assert tokens("see https://a.b/c-d?e=f, 'so' it’s one...two…x", "unicode") == [
        *("see", "https://a.b/c-d?e=f", ",", "'", "so", "'", "it", "’s"),
        *("one", "...", "two", "…", "x"),
    ]


def test_an_unknown_splitter_is_refused() -> None:
    """With the nearest name."""
    with pytest.raises(SpecError, match="'spacey'; did you mean 'spacy'"):
        split(pa.array(["x"]), "spacey")


@pytest.mark.parametrize("case", GOLDEN, ids=[case["name"] for case in GOLDEN])
def test_spacy_tokens_equal_datatrove(case: dict[str, Any]) -> None:
    """On hard texts: contractions, numbers, addresses, emoticons, other scripts."""
    pytest.importorskip("spacy")
    assert tokens(case["text"], "spacy") == case["tokens"]


@cache
def english(spacy: Any) -> Any:
    """The tokenizer that datatrove uses."""
    return spacy.blank("en").tokenizer


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_spacy_cuts_chunks_apart(text: str) -> None:
    """The table of chunks gives what the tokenizer gives for the whole text."""
    spacy = pytest.importorskip("spacy")
    tokenizer = english(spacy)
    whole = [token.text for token in tokenizer(text) if token.text.strip()]
    assert tokens(text, "spacy") == whole


def test_the_table_of_chunks_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its memory is bounded, its answers stay."""
    pytest.importorskip("spacy")
    before = tokens("one two, don't", "spacy")
    monkeypatch.setattr(spacy_words, "MOST_CUTS", 0)
    assert tokens("one two, don't", "spacy") == before
    assert tokens("x" * (spacy_words.MAX_CHUNK + 5) + " yes.", "spacy")[1:] == ["yes", "."]
