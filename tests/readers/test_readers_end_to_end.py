"""Runs over Parquet, Arrow and text: what they keep and encode is what the same JSON lines give."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest

from corpusforge import api
from corpusforge import spec as specs
from corpusforge.shard import read_batches

SAMPLE = Path(__file__).resolve().parents[3] / "shared" / "data" / "text_sample.jsonl.gz"
WORDS = ("ash", "birch", "cedar", "elm", "larch", "maple", "oak", "pine", "rowan", "willow", "yew")
CLEAN = specs.load(specs.CleanSpec, overrides=["rules.use=[]", "plan.unit_bytes=65536"])
PLAIN = specs.TokenizeSpec(vocab_size=300)
FORMATS = ["a.parquet", "a.arrow", "a.arrows"]


def texts(count: int) -> list[dict[str, Any]]:
    """Documents of 300 to 1,500 bytes, one of them twice, one empty, one a page."""
    draw = random.Random(3)
    rows: list[dict[str, Any]] = [
        {"id": f"n{n}", "text": " ".join(draw.choices(WORDS, k=draw.randint(60, 300)))}
        for n in range(count)
    ]
    page = "<html><body><p>" + " ".join(draw.choices(WORDS, k=90)) + "</p></body></html>"
    return [
        *rows,
        {**rows[0], "id": "twin"},
        {"id": "none", "text": " "},
        {"id": "p", "html": page},
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    """Write ``rows`` in the format that the name says, in several groups."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=40)
    else:
        new = ipc.new_file if path.suffix == ".arrow" else ipc.new_stream
        with new(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=40)
    return str(path)


def cleaned(path: str, output: Path) -> tuple[dict[str, int], list[str]]:
    """Counts of a clean run over ``path``, and the texts that it keeps.

    Not the ids: which of two equal documents stays hangs on their addresses.
    """
    done = api.clean([path], str(output), CLEAN, workers=1)
    kept = [
        text
        for shard in sorted((output / "corpus").iterdir())
        for batch in read_batches(str(output), f"corpus/{shard.name}")
        for text in batch.column("text").to_pylist()
    ]
    return done.counts, sorted(kept)


def same_documents(tmp_path: Path, rows: list[dict[str, Any]]) -> dict[str, int]:
    """Clean ``rows`` in every format; returns the counts, which are equal."""
    counts, kept = cleaned(write(tmp_path / "a.jsonl", rows), tmp_path / "jsonl")
    assert len(kept) == counts["kept"] > 0 and counts["in"] == len(rows)
    for name in FORMATS:
        path = write(tmp_path / name, rows)
        assert cleaned(path, tmp_path / f"run-{name}") == (counts, kept), name
    return counts


def test_clean_keeps_the_same_documents(tmp_path: Path) -> None:
    """Also where the file is cut into several units."""
    counts = same_documents(tmp_path, texts(160))
    assert counts == {"in": 163, "kept": 161, "dropped": 2, "failed": 0}
    assert len(list((tmp_path / "run-a.parquet/corpus").iterdir())) > 1


@pytest.mark.faults
@pytest.mark.skipif(not SAMPLE.exists(), reason="../shared/data is not there")
def test_clean_keeps_the_same_of_the_text_sample(tmp_path: Path) -> None:
    """60 real documents of several languages and kinds."""
    with gzip.open(SAMPLE) as file:
        rows = [json.loads(line) for line in file]
    same_documents(tmp_path, rows[:: max(1, len(rows) // 60)])


@pytest.mark.parametrize("name", FORMATS)
def test_tokenize_gives_the_same_ids(tmp_path: Path, name: str) -> None:
    """The tokenizer, the counts and every token; a page is not encoded."""
    runs = []
    for each in ("a.jsonl", name):
        output = tmp_path / f"run-{each}"
        done = api.tokenize([write(tmp_path / each, texts(20))], str(output), PLAIN, workers=1)
        ids = [
            (row["source_id"], row["ids"])
            for batch in read_batches(str(output), "tokens/part-00000.arrow")
            for row in batch.to_pylist()
        ]
        runs.append((done.counts, sorted(ids)))
    assert runs[0] == runs[1]
    assert runs[0][0] == {"in": 23, "kept": 21, "dropped": 2, "failed": 0}


def test_damage_is_a_row_of_the_ledger(tmp_path: Path) -> None:
    """A cut file and bytes that are no text: the run ends well, each has one row that says why."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("cut.parquet", "cut.arrow"):
        path = Path(write(folder / name, texts(100)))
        path.write_bytes(path.read_bytes()[:-700])
    write(folder / "whole.parquet", texts(50))
    output = tmp_path / "run"
    done = api.clean([str(folder)], str(output), CLEAN, workers=1, max_failed_share=1.0)
    rows = [
        row
        for shard in sorted((output / "ledger").iterdir())
        for row in pq.read_table(shard).to_pylist()
        if row["outcome"] == "failed"
    ]
    assert done.counts["failed"] == len(rows) == 2
    details = {row["source"]: row["detail"] for row in rows}
    assert details["in/cut.parquet"] == "the Parquet file is cut: it does not end with its footer"
    assert "cut" in details["in/cut.arrow"]


def test_a_text_file_is_a_document(tmp_path: Path) -> None:
    """Charset and replaced bytes of a file stand in the ledger; given text has no count."""
    text = " ".join(random.Random(1).choices(WORDS, k=80))
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(text.encode() + "é".encode() * 9 + b" \xff"))
    lines = write(tmp_path / "b.jsonl", texts(3))
    output = tmp_path / "run"
    api.clean([str(tmp_path / "a.txt.gz"), lines], str(output), CLEAN, workers=1)
    rows = pq.read_table(next((output / "ledger").iterdir())).to_pylist()
    errors = [(row["source"], row["decode_errors"]) for row in rows]
    assert errors[0] == ("a.txt.gz", 1) and {each for _, each in errors[1:]} == {None}
