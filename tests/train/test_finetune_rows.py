"""Rows of labelled data in three formats, their errors, the held-out split, the batches."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusforge.errors import InputError
from corpusforge.eval import scores
from corpusforge.train.finetune.batches import batches
from corpusforge.train.finetune.rows import read, split
from corpusforge.train.finetune.task import labels_of

ROWS = [{"text": f"line {n}, with a comma", "label": str(n % 3)} for n in range(30)]


def write(path, rows=ROWS):
    """Write rows in the format of the path's ending."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    if ".csv" in path.name:
        lines = ["text,label", *(f'"{row["text"]}",{row["label"]}' for row in rows)]
    else:
        lines = [json.dumps(row) for row in rows]
    data = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv", "a.CSV.gz", "a.parquet"])
def test_formats_give_the_same_rows(tmp_path, name):
    """Numbers in CSV stay text."""
    rows = read(str(write(tmp_path / name.replace("CSV", "csv"))), {})
    assert [dict(row.values) for row in rows] == ROWS
    assert [row.number for row in rows] == list(range(1, 31))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "a.jsonl record 2: not JSON"),
        ("a.jsonl", b'{"text": "a"}\n[1]\n', "a.jsonl record 2: a list; expected a JSON object"),
        ("a.jsonl", b"[" * 100_000, "a.jsonl record 1: not JSON"),
        ("a.jsonl", b'{"text": "\\ud800 a"}', "a.jsonl record 1: not JSON: 'utf-8' codec"),
        ("a.jsonl", b"\n\n", "no rows"),
        ("a.jsonl.gz", b"plain", "a.jsonl.gz"),
        ("a.csv", b"a,b\n1,2\n1,2,3\n", "Expected 2 columns, got 3"),
        ("a.csv", b"a,b\n1,\xff\n", "a.csv record 2: not UTF-8"),
        ("a.parquet", b"PAR1", "expected a Parquet file"),
        ("a.txt", b"x", "expected .jsonl"),
    ],
)
def test_damaged_files_are_one_line(tmp_path, name, data, message):
    """File, row, what was expected."""
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match="(?s)" + message.replace(".", r"\.")) as told:
        read(str(tmp_path / name), {})
    assert "\n" not in str(told.value)


def test_a_missing_column_names_the_nearest(tmp_path):
    """And the setting that names it."""
    rows = read(str(write(tmp_path / "a.jsonl", [{"txt": "a", "label": 1.5}])), {})
    with pytest.raises(InputError, match=r"record 1: no column 'text'.*'txt'.*columns\.text"):
        rows[0].text("text")
    with pytest.raises(InputError, match=r"record 1: column 'label' is 1\.5; expected a label"):
        rows[0].label()
    assert read(str(tmp_path / "a.jsonl"), {"text": "txt"})[0].text("text") == "a"


def test_the_split_is_by_content(tmp_path):
    """Equal rows on one side, another seed another split, an exact share of different rows."""
    rows = read(str(write(tmp_path / "a.jsonl", ROWS + ROWS)), {})
    train, held = split(rows, 0.2, 0)
    texts = [{row.values["text"] for row in side} for side in (train, held)]
    assert not texts[0] & texts[1] and len(held) == 12
    assert [r.number for r in split(rows, 0.2, 1)[1]] != [r.number for r in held]
    assert split(rows, 0.0, 0) == (rows, [])
    with pytest.raises(InputError, match="too few different rows"):
        split(rows[:1] * 5, 0.2, 0)


@given(
    st.lists(st.integers(1, 100), min_size=1, max_size=300), st.integers(1, 9), st.integers(0, 3)
)
def test_batches_hold_every_item_once(lengths, size, epoch):
    """In the same order again for the same epoch."""
    found = batches(lengths, size, 7, epoch)
    assert sorted(at for batch in found for at in batch) == list(range(len(lengths)))
    assert found == batches(lengths, size, 7, epoch)
    assert len(found) == -(-len(lengths) // size)


def test_epochs_differ():
    """In the order of their batches, and in what a batch holds."""
    epochs = [batches([1] * 60, 4, 7, epoch) for epoch in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    assert {frozenset(batch) for batch in epochs[0]} != {frozenset(batch) for batch in epochs[1]}
    assert batches([1] * 60, 4, 8, 0) != epochs[0]


def test_batches_are_of_similar_length():
    """Padding of bucketed batches is a fraction of that of unsorted ones."""
    lengths = [1 + (n * 7919) % 97 for n in range(800)]
    padding = sum(
        max(lengths[at] for at in batch) * len(batch) - sum(lengths[at] for at in batch)
        for batch in batches(lengths, 8, 0, 0)
    )
    assert padding < 0.03 * sum(lengths)


def test_figures_by_hand():
    """Macro F1 of three classes; SQuAD's normalization."""
    assert scores.accuracy(["a", None, "b"], ["a", "b", "b"]) == pytest.approx(2 / 3)
    # a: 2*1/(1+2), b: 2*1/(2+1), c: 0
    f1 = scores.macro_f1(["a", "b", "b", "c"], ["a", "a", "b", "d"])
    assert f1 == pytest.approx((2 / 3 + 2 / 3 + 0 + 0) / 4)
    assert scores.exact("The  Cat!", ["a cat", "dog"]) == 1.0
    assert scores.token_f1("red cat", ["the red house", "blue"]) == pytest.approx(0.5)
    assert scores.token_f1("", [""]) == 1.0 and scores.token_f1("x", [""]) == 0.0
    assert labels_of(["10", "9", "b", "a", "9"]) == ["9", "10", "a", "b"]
