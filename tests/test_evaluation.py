"""Evaluation files: items of every format by place, chosen fields, short ones named."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusforge import evaluation
from corpusforge.errors import ForgeError

ROWS = [
    {"id": "q1", "question": "one two three four", "choices": {"text": ["five", "six"]}, "n": 3},
    {"id": "q2", "question": "seven eight", "choices": {"text": []}, "n": 4},
]


def written(folder: Path) -> list[str]:
    """The rows as JSONL, packed JSONL, Parquet, and a text of two paragraphs."""
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (folder / "a.jsonl").write_text(lines)
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "c.parquet")
    (folder / "d.txt").write_text("\none two three\nfour five\n\n\nseven eight\n")
    return [str(folder / name) for name in ("a.jsonl", "b.jsonl.gz", "c.parquet", "d.txt")]


def test_items_of_every_format(tmp_path: Path) -> None:
    """Names are file and place; facts count; short items are named in one line a file."""
    loaded = evaluation.load(written(tmp_path), [], 5)
    assert loaded.names == (
        *("a.jsonl line 1", "a.jsonl line 2", "b.jsonl.gz line 1", "b.jsonl.gz line 2"),
        *("c.parquet row 1", "c.parquet row 2", "d.txt line 2", "d.txt line 6"),
    )
    assert [fact["short"] for fact in loaded.facts] == [1, 1, 1, 1]
    assert loaded.warnings[0] == (
        "a.jsonl: 1 of 2 items have fewer than 5 words and cannot be found: line 2"
    )
    assert len(loaded.index.hashes) == 3 * 3 + 1  # of "q1 one two three four five six"


def test_chosen_fields(tmp_path: Path) -> None:
    """Only they count, in lists and inner objects too."""
    loaded = evaluation.load(written(tmp_path)[:1], ["choices"], 2)
    assert len(loaded.index.hashes) == 1


@pytest.mark.parametrize(
    ("content", "fields", "match"),
    [
        ('{"text": "a"}\n', ["txt"], "no item has the field 'txt'; did you mean 'text'"),
        ("[1]\n", [], "record line 1: not a JSON object"),
        ("\n", [], "holds no item"),
        (None, [], "no such file"),
    ],
)
def test_what_cannot_be_used(
    tmp_path: Path, content: str | None, fields: list[str], match: str
) -> None:
    """One line with the file."""
    if content is not None:
        (tmp_path / "e.jsonl").write_text(content)
    with pytest.raises(ForgeError, match=rf"e\.jsonl.*{match}"):
        evaluation.load([str(tmp_path / "e.jsonl")], fields, 3)
