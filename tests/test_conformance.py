"""Rules of a dialect decide as the tool did, on a sample of the recorded documents."""

import sys
from pathlib import Path

import numba
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import conformance

SHARED = Path(__file__).parents[1] / ".." / "shared" / "data"
FILES = {"text": "text_sample", "gold": "extraction_dev"}
EVERY = {"text": 40, "gold": 8}  # one document of so many

pytestmark = [
    pytest.mark.skipif(
        not SHARED.exists(), reason="the recorded decisions lie outside the repository"
    ),
    pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="the texts are for compiled code"),
]


def scores(splitter: str, *sets: str) -> dict[str, conformance.Score]:
    """Compare the filters of datatrove on the sample of ``sets``."""
    texts = {
        (name, row["id"]): row["text"]
        for name in sets
        for place, row in enumerate(conformance.lines(SHARED / f"{FILES[name]}.jsonl.gz"))
        if place % EVERY[name] == 0
    }
    known = conformance.FILTERS["datatrove"]
    gold = [
        row
        for row in conformance.lines(SHARED / "filters_dev.jsonl.gz")
        if (row["set"], row["id"]) in texts
        and row["tool"] == "datatrove"
        and row["filter"] in known
    ]
    found = conformance.score(gold, conformance.predict(texts, "datatrove", splitter))
    assert set(found) == set(known)
    assert all(one.rows == len(texts) for one in found.values())
    return found


def test_spacy_equals_datatrove() -> None:
    """Every decision, reason, value and text."""
    pytest.importorskip("spacy")
    for name, one in scores("spacy", "text", "gold").items():
        assert one.different == [], name


def test_unicode_is_near_datatrove() -> None:
    """97 of 100 decisions on pages."""
    for name, one in scores("unicode", "gold").items():
        assert one.equal >= 0.97 * one.rows, name
