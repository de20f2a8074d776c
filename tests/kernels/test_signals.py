"""Signals equal hand-computed values, a slow reference in plain Python, and datatrove's values."""

import gzip
import json
import re
import unicodedata
from collections import Counter
from pathlib import Path

import numba
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.kernels.signals import SIGNALS, measure, sizes
from corpusforge.kernels.words import BLOCK

SHARED = Path(__file__).parents[3] / "shared" / "data"

# Few characters and words, so that lines, paragraphs and n-grams repeat.
CHARACTERS = list("aAé1²#.…?-•_ \t\n\r\x0b\x1c\x85\u2028\u3000我いก็\u0301。\U0001f600\U00020000\0")
WORDS = [
    "the",
    "be",
    "and",
    "cat",
    "A",
    "我",
    "看",
    "12",
    "...",
    "-",
    " ",
    " ",
    "\n",
    "\n\n",
    "\r\n",
]
TEXTS = st.one_of(
    st.text(st.sampled_from(CHARACTERS), max_size=60),
    st.lists(st.sampled_from(WORDS), max_size=80).map("".join),
    st.lists(st.sampled_from(["a b", "b c", "x"]), max_size=60).map(" ".join),
)


def signals(text: str) -> dict[str, float]:
    """Every signal of one text."""
    return {name: column[0].item() for name, column in measure(pa.array([text])).items()}


def split(text: str) -> list[tuple[bool, str]]:
    """Words of ``text``, each with whether something stands before it."""
    words: list[tuple[bool, str]] = []
    gap, open_word, open_alone = True, False, False
    for character in text:
        kind = unicodedata.category(character)[0]
        if kind not in "LNM":
            gap, open_word = True, False
            continue
        alone = kind != "M" and character in "我看いก\U00020000"
        if open_word and (kind == "M" or not (alone or open_alone)):
            words[-1] = (words[-1][0], words[-1][1] + character)
        else:
            words.append((gap, character))
            open_alone = alone
        gap, open_word = False, True
    return words


def repeated(parts: list[str]) -> tuple[int, int]:
    """Parts that were there before, and their characters."""
    met: set[str] = set()
    again = [part for part in parts if part in met or met.add(part)]
    return len(again), sum(map(len, again))


def top(words: list[tuple[bool, str]], n: int) -> int:
    """Characters of the most frequent n-gram times its occurrences."""
    places = range(len(words) - n + 1)
    counts = Counter(tuple(word for _, word in words[i : i + n]) for i in places)
    if not counts or max(counts.values()) == 1:
        return 0
    best, times = counts.most_common(1)[0]  # the first seen among equals
    where = next(i for i in places if tuple(word for _, word in words[i : i + n]) == best)
    gaps = sum(gap for gap, _ in words[where + 1 : where + n])
    return times * (sum(map(len, best)) + gaps)


def repeated_grams(words: list[str], n: int) -> int:
    """Characters of n-grams met before, from left to right."""
    met, chars, place = set(), 0, 0
    while place + n <= len(words):
        gram = tuple(words[place : place + n])
        if gram in met:
            chars += sum(map(len, gram))
            place += n
        else:
            met.add(gram)
            place += 1
    return chars


def reference(text: str) -> dict[str, float]:
    """Every signal, slowly, from its definition."""

    def share(part: int, whole: int) -> float:
        return part / max(whole, 1)

    pairs = split(text)
    words = [word for _, word in pairs]
    kinds = [unicodedata.category(character) for character in text]
    letters = sum(kind[0] == "L" for kind in kinds)
    lines = text.splitlines()
    pieces = re.split(r"\n+", text) if text else []
    paragraphs = re.split(r"\n{2,}", text.strip()) if text.strip() else []
    visible = [line for line in text.split("\n") if line.strip()]
    tokens = len(words) + sum(
        kind[0] not in "LNM" and not character.isspace()
        for kind, character in zip(kinds, text, strict=True)
    )
    return {
        "chars": len(text),
        "bytes": len(text.encode()),
        "words": len(words),
        "tokens": tokens,
        "mean_word_length": share(len("".join(words)), len(words)),
        "hash_word_ratio": share(text.count("#"), len(words)),
        "ellipsis_word_ratio": share(text.count("...") + text.count("…"), len(words)),
        "bullet_line_ratio": share(
            sum(line.lstrip().startswith(("•", "-")) for line in lines), len(lines)
        ),
        "ellipsis_line_ratio": share(
            sum(line.rstrip().endswith(("...", "…")) for line in lines), len(lines)
        ),
        "alpha_word_ratio": share(
            sum(any(unicodedata.category(c)[0] == "L" for c in word) for word in words), len(words)
        ),
        "stop_words": len(set(words) & {"the", "be", "to", "of", "and", "that", "have", "with"}),
        "lines": len(lines),
        "paragraphs": len(paragraphs),
        "dup_line_fraction": share(repeated(pieces)[0], len(pieces)),
        "dup_line_char_fraction": share(repeated(pieces)[1], len(text)),
        "dup_paragraph_fraction": share(repeated(paragraphs)[0], len(paragraphs)),
        "dup_paragraph_char_fraction": share(repeated(paragraphs)[1], len(text)),
        **{f"top_{n}_gram_char_fraction": share(top(pairs, n), len(text)) for n in (2, 3, 4)},
        **{
            f"dup_{n}_gram_char_fraction": share(repeated_grams(words, n), len(text))
            for n in range(5, 11)
        },
        "digit_ratio": share(sum(kind[0] == "N" for kind in kinds), len(text)),
        "upper_ratio": share(sum(kind in ("Lu", "Lt") for kind in kinds), letters),
        "white_space_ratio": share(sum(map(str.isspace, text)), len(text)),
        "line_punct_ratio": share(sum(line[-1] in ".?。" for line in visible), len(visible)),
        "short_line_ratio": share(sum(len(line) <= 30 for line in visible), len(visible)),
        "char_dup_ratio": share(repeated(visible)[1], len(text) - text.count("\n")),
        "newline_ratio": share(text.count("\n"), tokens),
    }


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_every_signal_equals_the_slow_reference(text: str) -> None:
    """The compiled passes compute the documented definitions."""
    assert signals(text) == reference(text)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["ab ", "1. é\n"]), st.integers(BLOCK - 9, BLOCK + 1), TEXTS)
def test_texts_longer_than_a_block(start: str, size: int, text: str) -> None:
    """Where a block of ``words.find_bytes`` ends does not matter."""
    whole = (start * size).encode()[:size].decode(errors="ignore") + text
    assert signals(whole) == reference(whole)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.none() | TEXTS, max_size=8), st.integers(0, 8))
def test_texts_are_measured_apart(texts: list[str | None], cut: int) -> None:
    """f(concat) = concat(f), on slices too; nulls have no values."""
    column = pa.array(texts, pa.string())
    whole = measure(column)
    parts = [measure(column[:cut]), measure(column[cut:])]
    assert list(whole) == list(SIGNALS)
    for name, values in whole.items():
        assert len(values) == len(texts)
        joined = np.concatenate([part[name] for part in parts])
        np.testing.assert_array_equal(values, joined)
        nothing = np.isnan(values) if values.dtype == np.float64 else values == 0
        assert all(nothing[place] for place, text in enumerate(texts) if text is None)


@settings(deadline=None)
@given(st.lists(st.none() | TEXTS | st.text("aé1_ 語๑\u0301\u0e31-"), max_size=8))
def test_sizes_are_the_same_signals(texts: list[str | None]) -> None:
    """Counted without the rest: words of scripts with and without spaces, marks, nulls."""
    column = pa.array(texts, pa.string())
    whole = measure(column)
    for name, values in sizes(column).items():
        np.testing.assert_array_equal(values, whole[name])


def test_words_by_hand() -> None:
    """Punctuation is no word; scripts without spaces give a word a letter, marks included."""
    values = signals("Don't stop: café №5 — 我们去 กำ e\u0301a #1…")
    # Don t stop café 5 我 们 去 ก+ำ(a letter of its own) éa 1
    assert values["words"] == 12
    assert values["tokens"] == 12 + len("':№—#…")
    assert values["mean_word_length"] == (3 + 1 + 4 + 4 + 1 + 5 + 3 + 1) / 12
    assert values["alpha_word_ratio"] == 10 / 12
    assert values["hash_word_ratio"] == values["ellipsis_word_ratio"] == 1 / 12


def test_stop_words_by_hand() -> None:
    """Distinct, whole, lower-case words count."""
    assert signals("the the The theory of be-")["stop_words"] == 3


def test_lines_by_hand() -> None:
    """Bullets and ellipses look past white space; a line ends at every boundary of splitlines."""
    values = signals("• one\r\n - two...  \x85three… \u2028. . .\n\nend.\n")
    assert values["lines"] == 6
    assert values["bullet_line_ratio"] == 2 / 6
    assert values["ellipsis_line_ratio"] == 2 / 6
    values = signals("Ends. \nEnds.\n\n" + "x" * 31 + "?\n \n")
    assert values["line_punct_ratio"] == 2 / 3  # a trailing space hides the mark
    assert values["short_line_ratio"] == 2 / 3


def test_duplicates_by_hand() -> None:
    """Repeats after the first count, blank lines as [G] and [F] say."""
    values = signals("ab\nab\n\n\ncd\n\nab\nab\n")
    # lines: ab ab cd ab ab and an empty one at the end; paragraphs: "ab\nab" "cd" "ab\nab"
    assert values["dup_line_fraction"] == 3 / 6
    assert values["dup_line_char_fraction"] == 6 / 18
    assert values["dup_paragraph_fraction"] == 1 / 3
    assert values["dup_paragraph_char_fraction"] == 5 / 18
    assert values["char_dup_ratio"] == 6 / 10
    assert signals("  \n  \nx")["char_dup_ratio"] == 0  # blank lines are no repetition


def test_grams_by_hand() -> None:
    """The most frequent n words, and what a scan from left to right meets again."""
    values = signals("a bc, d a bc e")
    assert values["top_2_gram_char_fraction"] == 2 * len("a bc") / 14
    assert values["top_3_gram_char_fraction"] == 0  # nothing occurs twice
    assert signals("我看。我看")["top_2_gram_char_fraction"] == 4 / 5  # no space, none counted
    phrase = "one two three four five "
    assert signals(phrase * 2)["dup_5_gram_char_fraction"] == 19 / 48
    assert signals(phrase * 2)["dup_6_gram_char_fraction"] == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 300_000,
        "\n" * 300_000,
        "a\n" * 150_000,
        "the cat " * 40_000,
        "." * 300_000,
        " " * 9,
    ],
    ids=["empty", "one word", "newlines", "lines", "repeats", "dots", "blank"],
)
def test_pathological_texts(text: str) -> None:
    """One huge line, only empty lines or only repeats: finite shares, no crash."""
    values = signals(text)
    assert values["chars"] == len(text)
    assert np.isfinite(list(values.values())).all()


def test_malformed_bytes_do_not_read_past_the_text() -> None:
    """A cut character at the very end counts as one character that is no word."""
    data = b"ab \xe6\x88ab\xf0\x9f"
    offsets = pa.py_buffer(np.array([0, 5, len(data)], np.int32))
    column = pa.StringArray.from_buffers(2, offsets, pa.py_buffer(data))
    values = measure(column)
    assert values["chars"].tolist() == [5, 4]
    assert values["words"].tolist() == [1, 1]


EQUAL = {
    "gopher_quality": {"bullet": "bullet_line_ratio", "end_ellipsis": "ellipsis_line_ratio"},
    "gopher_repetition": {
        "para": "dup_paragraph_fraction",
        "para_char": "dup_paragraph_char_fraction",
        "line": "dup_line_fraction",
        "line_char": "dup_line_char_fraction",
    },
    "fineweb_quality": {
        "punct": "line_punct_ratio",
        "short": "short_line_ratio",
        "char_dup": "char_dup_ratio",
    },
}


@pytest.mark.skipif(not SHARED.exists(), reason="the recorded values lie outside the repository")
@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="28 MB of text are for compiled code")
def test_line_signals_equal_datatrove() -> None:
    """What does not depend on the word splitter equals datatrove 0.10.1 on 4,994 documents."""
    texts = {}
    for name, file in (("text", "text_sample"), ("gold", "extraction_dev")):
        with gzip.open(SHARED / f"{file}.jsonl.gz", "rt", encoding="utf-8") as rows:
            for row in map(json.loads, rows):
                texts[name, row["id"]] = row["text"]
    place = {key: index for index, key in enumerate(texts)}
    values = measure(pa.array(texts.values(), pa.string()))
    compared = 0
    with gzip.open(SHARED / "filters_dev.jsonl.gz", "rt", encoding="utf-8") as rows:
        for row in map(json.loads, rows):
            if row["tool"] != "datatrove":
                continue
            for theirs, ours in EQUAL.get(row["filter"], {}).items():
                value = values[ours][place[row["set"], row["id"]]]
                assert value == pytest.approx(row["values"][theirs], rel=1e-6, abs=1e-6)
                compared += 1
    assert compared == 9 * 4994
