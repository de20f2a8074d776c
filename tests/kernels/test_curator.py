"""NeMo Curator's signals: equal to its filters on recorded texts."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from corpusforge import rules
from corpusforge.kernels.curator import NO_WORD, SIGNALS, measure

ROWS = json.loads((Path(__file__).parents[1] / "golden" / "curator.json").read_text())["rows"]


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_values_equal_curator(row: dict) -> None:
    """Every score that does not hang on the order of a set, and that Curator can compute."""
    got = measure(pa.array(["other", row["text"]])[1:])
    wrong = {
        name: (got[name][0], value)
        for name, value in row["values"].items()
        if abs(got[name][0] - value) > 1e-12
    }
    assert not wrong


def test_a_text_without_words_fails() -> None:
    """Where Curator divides by zero, the score is the worst."""
    got = measure(pa.array(["", None]))
    for name in ("curator_symbol_word_ratio", "curator_unended_line_ratio"):
        assert got[name][0] == 1
    for name in ("curator_unique_line_ratio", "curator_alpha_word_ratio"):
        assert got[name][0] == 0
    assert got["curator_longest_word"].tolist() == [NO_WORD, 0]


def test_the_set_reads_every_signal() -> None:
    """And nothing else."""
    chosen = rules.choose({"use": ["curator-en"]}).rules
    assert {rule.signal for rule in chosen} == {one.name for one in SIGNALS}
