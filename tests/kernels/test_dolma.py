"""dolma's signals equal its taggers on short texts of our own (tests/golden/dolma.json)."""

import json
import runpy
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpusforge.kernels.dolma import SIGNALS, measure
from corpusforge.kernels.dolma_c4 import line_spans

PEERS = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/conformance_peers.py"))
C4, GOPHER = PEERS["C4"], PEERS["GOPHER"]
ROWS = json.loads((Path(__file__).parents[1] / "golden" / "dolma.json").read_text())["rows"]
VALUES = measure(pa.array([row["text"] for row in ROWS]))


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_values_equal_the_taggers(version: str) -> None:
    """Each attribute of the Gopher and C4 taggers."""
    for index, row in enumerate(ROWS):
        for theirs, ours in GOPHER.items():
            wanted = row[f"gopher_{version}"].get(theirs, 0)
            got = VALUES[ours.replace("VERSION", version)][index]
            if row["text"]:
                assert got == pytest.approx(wanted), (theirs, row["text"])
        for theirs, ours in C4.items():
            got = VALUES[ours.replace("VERSION", version)][index]
            wanted = row[f"c4_{version}"].get(theirs, 0)
            if theirs == "line_count":
                assert got == wanted
            else:
                assert (got > 0) == bool(wanted), (theirs, row["text"])


def test_spans_equal_the_tagger() -> None:
    """Lines without end mark or of too few words, as characters."""
    for row in ROWS:
        spans, unended, short = line_spans(row["text"])
        wanted = row["c4_v1"]
        assert spans[unended].tolist() == wanted.get("lines_with_no_ending_punctuation", [])
        assert spans[short].tolist() == wanted.get("lines_with_too_few_words", [])


def test_bad_words() -> None:
    """Words only whole, phrases anywhere, in any case."""
    texts = ["what a SLUT", "slutx xslut", "xhand Jobx", "hand\njob", "slut"]
    found = measure(pa.array(texts))["dolma_c4_naughty_words"] > 0
    assert found.tolist() == [True, False, True, False, True]


def test_null_and_slice() -> None:
    """A null has 0 or NaN; a slice of a column has the values of its rows."""
    texts = [row["text"] for row in ROWS]
    whole = pa.array([None, *texts])
    for name, column in measure(whole).items():
        assert column[0] == 0 if column.dtype == np.int64 else np.isnan(column[0])
        np.testing.assert_array_equal(measure(whole[1:])[name], column[1:])
    assert [signal.name for signal in SIGNALS] == list(VALUES)
