"""Signals of datatrove's filters equal its values on recorded tokens, and a slow reference."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.kernels.datatrove import SIGNALS, measure
from corpusforge.kernels.splitters import Tokens, split

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "datatrove.json").read_text())["texts"]


def spans_of(text: str, tokens: list[str]) -> Tokens:
    """The tokens of one text, found in order."""
    data, end, spans = text.encode(), 0, []
    for token in tokens:
        first = data.index(token.encode(), end)
        end = first + len(token.encode())
        spans.append((first, end))
    return Tokens(np.array([0, len(spans)]), np.array(spans, np.int32).reshape(-1, 2))


@pytest.mark.parametrize("case", GOLDEN, ids=[case["name"] for case in GOLDEN])
def test_values_equal_datatrove(case: dict[str, Any]) -> None:
    """Every formula, with the tokens that datatrove saw."""
    values = measure(pa.array([case["text"]]), spans_of(case["text"], case["tokens"]))
    found = {name: values[name][0].item() for name in case["values"]}
    assert found == pytest.approx(case["values"], rel=1e-12)


def test_golden_texts_cover_every_signal() -> None:
    """Each signal is above 0 somewhere, so a formula that gives 0 is seen."""
    for one in SIGNALS:
        assert any(case["values"].get(one.name) for case in GOLDEN), one.name


WORDS = st.lists(st.sampled_from(["a", "ab", "b", "bc", "c", "é", "..."]), max_size=50)


@settings(max_examples=200, deadline=None)
@given(WORDS)
def test_n_grams_equal_the_slow_reference(words: list[str]) -> None:
    """Most frequent n-grams by their words, repeated ones by what they spell."""
    text = " ".join(words)
    values = measure(pa.array([text]), split(pa.array([text]), "whitespace"))
    for n in (2, 3, 4):
        grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
        best = max(grams, key=lambda gram: (grams.count(gram), -grams.index(gram)), default="")
        assert values[f"datatrove_top_{n}_gram"][0] == len(best) * grams.count(best) / max(
            len(text), 1
        )
    for n in range(5, 11):
        met: set[str] = set()
        chars = place = 0
        while place + n <= len(words):
            gram = "".join(words[place : place + n])
            chars += len(gram) * (gram in met)
            place += n if gram in met else 1
            met.add(gram)
        assert values[f"datatrove_dup_{n}_gram"][0] == chars / max(len(text), 1)


def test_nulls_and_slices() -> None:
    """A null has 0 or NaN; a slice has the values of its rows."""
    text = pa.array(["x", "gone", "one two one two", ""])
    text = pc.if_else(pa.array([True, False, True, True]), text, None)  # its bytes stay
    whole = measure(text, split(text, "unicode"))
    part = measure(text[1:3], split(text[1:3], "unicode"))
    for name, values in whole.items():
        np.testing.assert_array_equal(values[1:3], part[name])
    assert np.isnan(whole["datatrove_alpha_ratio"][1])
    assert whole["datatrove_words"].tolist() == [1, 0, 4, 0]
