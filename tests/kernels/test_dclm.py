"""DCLM's words equal uniseg's; its counts equal a slow reference in plain Python."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.kernels.dclm import DECISIONS, SIGNALS, measure
from corpusforge.kernels.text_tables import properties, word_breaks
from corpusforge.kernels.word_break import scan_unicode_words
from corpusforge.kernels.words import text_classes

ROWS = json.loads((Path(__file__).parents[1] / "golden" / "dolma.json").read_text())["rows"]
PARTS = [
    "the",
    "a b",
    "x",
    ".",
    "...",
    ". . .",
    "…",
    "#",
    "* ",
    "- ",
    "• ",
    " ",
    "\n",
    "\n\n",
    "Be",
]


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_words_equal_uniseg(row: dict) -> None:
    """Number and characters of the words that begin with a letter or a number."""
    data = np.frombuffer(row["text"].encode(), np.uint8)
    data.flags.writeable = False
    tables = text_classes(), word_breaks(), properties()
    _, lengths = scan_unicode_words(data, 0, len(data), *tables)
    assert lengths.tolist() == [len(word) for word in row["words"]]


def reference(text: str) -> dict[str, float]:
    """Lines, paragraphs, symbols and stop words as content_filters.py of DCLM has them."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    words = text.split()
    values = {
        "dclm_symbol_ratio": sum(text.count(mark) for mark in ("#", "...", ". . .", "…"))
        / len(words)
        if words
        else 1,
        "dclm_stop_words": sum(word.lower() in ("the", "be") for word in words),
        "dclm_bullet_line_ratio": sum(line.startswith(("●", "•", "*", "-")) for line in lines)
        / max(len(lines), 1),
        "dclm_ellipsis_line_ratio": sum(line.endswith(("...", ". . .", "…")) for line in lines)
        / max(len(lines), 1),
    }
    paragraphs = [part.strip() for part in re.split("\n\n", text) if part.strip()]
    for name, parts in (("line", lines), ("paragraph", paragraphs)):
        copies = {part: count for part, count in Counter(parts).items() if count > 1}
        chars = sum(len(part) * count for part, count in copies.items())
        values[f"dclm_dup_{name}_fraction"] = sum(copies.values()) / len(parts) if parts else 1
        values[f"dclm_dup_{name}_char_fraction"] = chars / sum(map(len, parts)) if parts else 1
    return values


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=40).map("".join))
def test_lines_and_symbols(text: str) -> None:
    """Against the reference, exactly."""
    got = measure(pa.array([text]))
    for name, value in reference(text).items():
        assert got[name][0] == value, name


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from("ab"), max_size=60))
def test_grams(letters: list[str]) -> None:
    """Most frequent and repeated n-grams of one-letter words."""
    got = measure(pa.array([" ".join(letters)]))
    for n in range(2, 11):
        grams = [tuple(letters[at : at + n]) for at in range(len(letters) - n + 1)]
        counts = Counter(grams)
        if n < 5:
            most = max(counts.values(), default=0)
            chars = most * n if most > 1 else 0
        else:
            inside = {at + k for at, gram in enumerate(grams) if counts[gram] > 1 for k in range(n)}
            chars = len(inside)
        kind = "top" if n < 5 else "dup"
        assert got[f"dclm_{kind}_{n}_gram_char_fraction"][0] == chars / max(len(letters), 1)


def test_decisions_name_signals() -> None:
    """Every decision rests on signals of this module; nothing is dropped for no words but fails."""
    names = {signal.name for signal in SIGNALS}
    assert {signal for rules in DECISIONS.values() for signal, _, _ in rules} <= names
    empty = measure(pa.array([""]))
    for signal in ("dclm_symbol_ratio", "dclm_plain_word_ratio", "dclm_dup_line_fraction"):
        assert empty[signal][0] == 1
