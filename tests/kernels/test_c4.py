"""C4 lines: equal to datatrove on recorded texts, and to a slow reference in plain Python."""

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.kernels.c4 import POLICY, RULES, edit
from corpusforge.kernels.words import BLOCK

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "datatrove.json").read_text())["texts"]
LIMITS = dict.fromkeys(RULES, 0.0) | {"max_word_chars": 1000, "min_line_words": 3}
SETS = {"c4": LIMITS, "c4-no-punct": {k: v for k, v in LIMITS.items() if k != "end_mark"}}


@pytest.mark.parametrize("splitter", ["unicode", "spacy"])
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("case", GOLDEN, ids=[case["name"] for case in GOLDEN])
def test_decisions_and_texts_equal_datatrove(
    case: dict[str, Any], name: str, splitter: str
) -> None:
    """The first reason, or the text that is left."""
    if splitter == "spacy":
        pytest.importorskip("spacy")
    text, _, signals = edit(pa.array([case["text"]]), SETS[name], splitter)
    failing = [
        reason
        for reason, fails in (
            ("lorem_ipsum", signals["c4_lorem_ipsum"][0] > 0),
            ("curly_bracket", signals["c4_curly_bracket"][0] > 0),
            ("too_few_sentences", signals["c4_sentences"][0] < 5),
        )
        if fails
    ]
    expected = case["decisions"][name]
    assert (failing or [None])[0] == expected["reason"]
    if not failing:
        assert text[0].as_py() == expected["text"]


def reference(text: str, limits: dict[str, float]) -> tuple[str, list[int]]:
    """The text that is left, and what each rule did."""
    did, kept = dict.fromkeys(RULES, 0), []
    for line in text.splitlines():
        line = line.strip()
        words = line.split()
        if "max_word_chars" in limits and any(len(w) > limits["max_word_chars"] for w in words):
            did["max_word_chars"] += 1
            continue
        if "citations" in limits:
            line, cut = re.subn(r"\[\d*]|\[edit]|\[citation needed]", "", line)
            did["citations"] += cut
        ends = line.endswith((".", "?", "!", '"', "'")) and not line.endswith("...")
        if "end_mark" in limits and not ends:
            did["end_mark"] += 1
        elif "min_line_words" in limits and len(words) < limits["min_line_words"]:
            did["min_line_words"] += 1
        elif "javascript" in limits and "javascript" in line.lower():
            did["javascript"] += 1
        elif "policy" in limits and any(phrase in line.lower() for phrase in POLICY):
            did["policy"] += 1
        else:
            kept.append(line)
    return "\n".join(kept).strip(), list(did.values())


PIECES = st.sampled_from(
    [
        *(
            "Word",
            "a",
            "x" * 9,
            ".",
            "...",
            "?",
            '"',
            " ",
            " ",
            " ",
            "\n",
            "\r\n",
            "\x85",
            "\u2028",
        ),
        *(
            "[1]",
            "[]",
            "[٣]",
            "[edit]",
            "[citation needed]",
            "[x]",
            "[",
            "JavaScript",
            "Use Cookies",
        ),
        *("privacy policy", "Terms", " of use", "lorem ipsum", "{", "é", "\u00a0", "我", "\x1c"),
    ]
)


START = st.integers(BLOCK - 40, BLOCK + 1).map(lambda size: ("Word? " * size)[:size])


@settings(max_examples=400, deadline=None)
@given(
    st.tuples(st.just("") | START, st.lists(PIECES, max_size=40).map("".join)).map("".join),
    st.sets(st.sampled_from(RULES)),
)
def test_any_rules_equal_the_slow_reference(text: str, rules: set[str]) -> None:
    """Also with some of them left out, and where a block of ``words.find_bytes`` ends."""
    limits = {k: v for k, v in (LIMITS | {"max_word_chars": 8}).items() if k in rules}
    left, counts, _ = edit(pa.array(["other", text])[1:], limits, "unicode")
    assert (left[0].as_py(), counts[0].tolist()) == reference(text, limits)


def test_nulls_and_rows_apart() -> None:
    """A null stays null; a row's text does not leak into the next."""
    line = "This line is kept as it is."
    text, counts, signals = edit(pa.array([line, None, "Gone", line]), LIMITS, "unicode")
    assert text.to_pylist() == [line, None, "", line]
    assert counts[:, RULES.index("end_mark")].tolist() == [0, 0, 1, 0]
    assert signals["c4_sentences"].tolist() == [1, 0, 0, 1]
