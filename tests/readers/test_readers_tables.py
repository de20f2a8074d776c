"""Parquet and Arrow: every row a row, in bounded memory, whatever the file holds or lost."""

from __future__ import annotations

import datetime
import decimal
import gzip
import json
import random
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import read

from corpusforge import readers
from corpusforge.kernels.ids import document_id
from corpusforge.plan import Piece
from corpusforge.readers import ipc_sizes
from corpusforge.spec import Fields, Limits, Read

KINDS = ["a.parquet", "a.arrow", "a.arrows", "zstd.arrow", "a.arrows.gz"]
SAME = ["source_id", "url", "date", "title", "text", "html", "meta", "outcome", "reasons"]


def write(path: Path, table: pa.Table, rows: int = 3) -> Path:
    """Write ``table`` in groups or batches of ``rows`` in the format that the name says."""
    if path.name.endswith(".parquet"):
        codec = "zstd" if path.name.startswith("zstd") else "snappy"
        pq.write_table(table, path, row_group_size=rows, compression=codec)
        return path
    new = ipc.new_file if path.name.endswith(".arrow") else ipc.new_stream
    options = ipc.IpcWriteOptions(compression="zstd" if path.name.startswith("zstd") else None)
    sink = pa.BufferOutputStream()
    with new(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)
    data = sink.getvalue().to_pybytes()
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


RECORDS: list[dict[str, Any]] = [
    {
        **{"id": "a", "text": "Grüße", "html": None, "url": "u", "z": [1.5], "y": {"k": "é"}},
        **{"title": None, "date": None},
    },
    {"id": "b", "text": "x", "html": "<p>y</p>", "title": "T", "date": "2026", "z": []},
    {"id": "c", "text": "", "html": None},
    {"id": "d", "text": None, "html": None},
    {"id": "e", "text": "last", "html": "", "z": [2.0, 3.0]},
]


@pytest.mark.parametrize("name", KINDS)
def test_rows_are_those_of_the_same_json_lines(tmp_path: Path, name: str) -> None:
    """Text, html, the other fields and the decisions; nulls are fields that are not there."""
    lines = [json.dumps({k: v for k, v in r.items() if v is not None}) for r in RECORDS]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    table = read(write(tmp_path / name, pa.Table.from_pylist(RECORDS)))
    rows, theirs = table.to_pylist(), read(tmp_path / "a.jsonl")
    theirs = theirs.set_column(theirs.schema.get_field_index("meta"), "meta", table["meta"])
    assert table.select(SAME).equals(theirs.select(SAME))
    assert [row["outcome"] for row in rows] == ["kept", "kept", "dropped", "failed", "kept"]
    assert rows[0]["meta"] == '{"y":{"k":"é"},"z":[1.5]}' and rows[1]["meta"] == '{"z":[]}'
    places = [(row["offset"], row["ordinal"]) for row in rows]
    assert places == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert rows[4]["id"] == document_id("in", 1, 1) and rows[4]["decode_errors"] is None
    where = "row group 1" if name == "a.parquet" else "batch 1"
    assert rows[3]["detail"] == f"{where}, row 0: it has neither a field 'text' nor 'html'"


def test_field_names_come_from_the_spec(tmp_path: Path) -> None:
    """As for JSON lines."""
    path = write(tmp_path / "a.parquet", pa.table({"body": ["b"], "key": [7], "text": [1]}))
    row = read(path, spec=Read(fields=Fields(text="body", id="key"))).to_pylist()[0]
    assert (row["text"], row["source_id"], row["meta"]) == ("b", "7", '{"text":1}')


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_every_type_becomes_json(tmp_path: Path, name: str) -> None:
    """Times and decimals are strings, bytes their text or base64, what JSON has not is left out."""
    time = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    columns = {
        "text": pa.array(["a", "b"]).dictionary_encode(),
        "date": pa.array([time, None], pa.timestamp("ns", "UTC")),
        "id": pa.array([1, 2], pa.int64()),
        "a": pa.array([float("nan"), 1.5]),
        "b": pa.array([b"x", b"\xff"]),
        "c": pa.array([decimal.Decimal("1.50"), None]),
        "d": pa.array([[{"t": time, "u": b"z"}], None]),
        "e": pa.array([datetime.date(2026, 1, 2), None]),
        "f": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
        "g": pa.array([True, None]),
        "h": pa.array(["v", "w"], pa.large_string()),
        "i": pa.array([None, None], pa.null()),
        "j": pa.array([datetime.timedelta(seconds=2), None], pa.duration("s")),
    }
    first, second = read(write(tmp_path / name, pa.table(columns))).to_pylist()
    assert (first["outcome"], first["text"], first["source_id"]) == ("kept", "a", "1")
    assert first["date"].startswith("2026-01-02 03:04:05")
    meta = json.loads(first["meta"])
    times = meta["d"][0].pop("t")
    assert times.startswith("2026-01-02 03:04:05") and meta.pop("j") == 2
    assert meta == {
        **{"b": "x", "c": "1.50", "d": [{"u": "z"}], "e": "2026-01-02"},
        **{"f": [{"key": "k", "value": 1}], "g": True, "h": "v"},
    }
    assert json.loads(second["meta"]) == {"a": 1.5, "b": "/w==", "h": "w"}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("column", "why"),
    [
        ({"text": [1, 2]}, "field 'text' is a number, not a string"),
        ({"text": [["a"], ["b"]]}, "field 'text' is a list, not a string"),
        ({"body": ["a", "b"]}, "it has neither a field 'text' nor 'html'"),
        ({"text": ["a", "b"], "url": [True, True]}, "field 'url' is a boolean, not a string"),
    ],
)
def test_wrong_types_and_missing_fields_fail(
    tmp_path: Path, name: str, column: dict[str, Any], why: str
) -> None:
    """Each row, in the words of JSON lines."""
    rows = read(write(tmp_path / name, pa.table(column))).to_pylist()
    assert [row["outcome"] for row in rows] == ["failed"] * 2
    assert rows[1]["detail"].endswith(f" 0, row 1: {why}") and rows[1]["stage"] == "read"


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("packed", [False, True])
def test_one_string_that_is_not_utf8_is_one_failed_row(
    tmp_path: Path, name: str, packed: bool
) -> None:
    """Also in a dictionary; the other rows are read."""
    bad = pa.array([b"a", b"b\xff", "ü".encode()]).view(pa.string())
    table = pa.table({"text": bad.dictionary_encode() if packed else bad})
    rows = read(write(tmp_path / name, table)).to_pylist()
    assert [row["text"] for row in rows] == ["a", None, "ü"]
    assert rows[1]["detail"].endswith(" 0, row 1: field 'text' is not UTF-8 at byte 1")


def sample(rows: int = 60) -> pa.Table:
    """Random texts, so that no codec shortens them much."""
    rng = random.Random(3)
    return pa.table({"text": [rng.randbytes(200).hex() for _ in range(rows)]})


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_cut_of_parquet_gives_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Row groups belong to the range they start in; batches of any size."""
    path = tmp_path_factory.getbasetemp() / "cuts.parquet"
    if not path.exists():
        write(path, sample(), 7)
    size = path.stat().st_size
    cuts = data.draw(st.lists(st.integers(1, size - 1), max_size=6, unique=True))
    whole = read(path)
    assert whole.num_rows == 60 and set(whole["offset"].to_pylist()) == set(range(9))
    assert read(path, tuple(cuts), data.draw(st.sampled_from([1, 900, 1 << 24]))).equals(whole)


@pytest.mark.parametrize(
    ("name", "kept", "detail"),
    [
        ("a.parquet", 0, "the Parquet file is cut: it does not end with its footer"),
        ("a.arrow", 40, "batch 4 is cut or damaged, and what follows is lost"),
        ("a.arrows", 40, "batch 4 is cut or damaged, and what follows is lost"),
        ("a.arrows.gz", None, "the file ends inside its compressed data"),
    ],
)
def test_a_cut_file(tmp_path: Path, name: str, kept: int | None, detail: str) -> None:
    """What is whole before the cut, then one failed row that says what is lost."""
    path = write(tmp_path / name, sample(), 10)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    *rows, last = read(path).to_pylist()
    assert {row["outcome"] for row in rows} <= {"kept"}
    assert len(rows) == kept if kept is not None else len(rows) >= 10
    assert (last["outcome"], last["stage"], last["detail"]) == ("failed", "read", detail)
    assert (last["offset"], last["ordinal"]) == (len(rows) // 10, 0)


def test_a_cut_that_leaves_whole_batches_is_seen(tmp_path: Path) -> None:
    """A file that lost its footer only, and a stream with bytes behind its end."""
    path = write(tmp_path / "a.arrow", sample(), 10)
    path.write_bytes(path.read_bytes()[:-1])
    rows = read(path).to_pylist()
    assert [row["outcome"] for row in rows] == ["kept"] * 60 + ["failed"]
    assert rows[-1]["detail"] == "the Arrow file is cut: it does not end with its footer"
    path = write(tmp_path / "b.arrows", sample(), 10)
    path.write_bytes(path.read_bytes() * 2)
    assert read(path).to_pylist()[-1]["detail"] == "bytes follow the end of the Arrow stream"


@pytest.mark.parametrize("name", ["zstd.parquet", "zstd.arrow"])
@pytest.mark.parametrize("at", [0, 1, 2, 5, -1])
def test_a_damaged_group_costs_that_group(tmp_path: Path, name: str, at: int) -> None:
    """One failed row with its number; the groups before and behind it are read."""
    path = write(tmp_path / name, sample(), 10)
    data = path.read_bytes()
    frames = [found.start() for found in re.finditer(rb"\x28\xb5\x2f\xfd", data)]
    assert len(frames) >= 6
    path.write_bytes(data[: frames[at]] + b"bad!" + data[frames[at] + 4 :])
    rows = read(path).to_pylist()
    lost = [row for row in rows if row["outcome"] == "failed"]
    assert len(lost) == 1 and "damaged" in lost[0]["detail"] and lost[0]["ordinal"] == 0
    assert len(rows) == 51 and {row["offset"] for row in rows} == set(range(6))


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_mutations_never_crash(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any bytes over, any cut: rows with unique places in order, or none lost without a word."""
    name = data.draw(st.sampled_from(["m.parquet", "m.arrow", "zstd.arrow", "m.arrows"]))
    path = tmp_path_factory.getbasetemp() / name
    table = sample(30).append_column("t", pa.array(["x", "y", None] * 10).dictionary_encode())
    raw = bytearray(
        write(path, table.append_column("l", pa.array([["a"], []] * 15)), 10).read_bytes()
    )
    rng = random.Random(data.draw(st.integers(0, 1 << 30)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = rng.choice([rng.randrange(8, len(raw)), rng.randrange(len(raw) - 800, len(raw))])
        raw[at] ^= 1 << rng.randrange(8)
    path.write_bytes(raw[: rng.choice([len(raw), rng.randrange(12, len(raw))])])
    rows = read(path).to_pylist()
    places = [(row["offset"], row["ordinal"]) for row in rows]
    assert places == sorted(set(places))
    assert len(rows) >= 30 or any(row["outcome"] == "failed" for row in rows)


def bomb(path: Path, size: int) -> Path:
    """A table whose one text is ``size`` equal bytes."""
    table = pa.table({"text": ["ok", "x" * size, "end"]})
    if path.name.endswith(".parquet"):
        pq.write_table(table, path, compression="zstd", use_dictionary=False)
        return path
    return write(path, table)


@pytest.mark.parametrize("name", ["a.parquet", "zstd.arrow"])
def test_a_compressed_bomb_is_not_unpacked(tmp_path: Path, name: str) -> None:
    """20 MB behind a few kB: one failed row with value and limit, and next to no memory."""
    path = bomb(tmp_path / name, 20_000_000)
    before = pa.default_memory_pool().bytes_allocated()
    pool = pa.default_memory_pool()
    row = read(path).to_pylist()[-1]
    assert row["outcome"] == "failed" and row["reasons"][0]["rule"] == "limit:inflate_ratio"
    assert row["reasons"][0]["value"] > row["reasons"][0]["threshold"] == 1000
    assert pool.bytes_allocated() <= before + 1_000_000


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_a_value_used_a_million_times_is_met_in_bounded_memory(tmp_path: Path, name: str) -> None:
    """One string of 1 MB in a dictionary, 100,000 rows of it: stopped by the ratio."""
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), ["y" * 1_000_000])
    path = write(tmp_path / name, pa.table({"text": words}), 100_000)
    assert path.stat().st_size < 2_000_000
    tracemalloc.start()
    spec = Read(limits=Limits(inflate_ratio=100))
    rows = 0
    size = path.stat().st_size
    kind = readers.sniff(str(path))
    for batch in readers.read(Piece(str(path), "in", *kind, 0, size, size), spec, 1 << 24):
        rows += batch.num_rows
        last = batch.slice(batch.num_rows - 1).to_pylist()[0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows < 1000 and last["reasons"][0]["rule"] == "limit:inflate_ratio"
    assert peak < 60_000_000


def test_a_row_over_the_limit_fails_alone(tmp_path: Path) -> None:
    """Value and limit; its neighbours are read."""
    path = write(tmp_path / "a.parquet", pa.table({"text": ["a", "b" * 5000, "c"]}))
    rows = read(path, spec=Read(limits=Limits(line_bytes=2000))).to_pylist()
    assert [row["outcome"] for row in rows] == ["kept", "failed", "kept"]
    reason = {"rule": "limit:line_bytes", "signal": "line_bytes", "value": 5000.0}
    assert rows[1]["reasons"] == [reason | {"comparison": "<=", "threshold": 2000.0}]


@pytest.mark.parametrize("codec", [None, "zstd", "lz4"])
def test_the_sizes_of_messages_are_those_of_their_buffers(codec: str | None) -> None:
    """What the flatbuffer says is what pyarrow unpacks."""
    table = sample().append_column("n", pa.array(range(60)))
    sink = pa.BufferOutputStream()
    with ipc.new_stream(
        sink, table.schema, options=ipc.IpcWriteOptions(compression=codec)
    ) as writer:
        writer.write_table(table)
    messages = list(ipc.MessageReader.open_stream(sink.getvalue()))
    size = ipc_sizes.inflated(messages[1].metadata.to_pybytes(), memoryview(messages[1].body))
    buffers = table.combine_chunks().to_batches()[0].get_total_buffer_size()
    assert abs(size - buffers) < 600  # padding of plain buffers


def test_hostile_metadata_is_an_error() -> None:
    """Offsets that point anywhere."""
    rng = random.Random(1)
    for _ in range(300):
        try:
            ipc_sizes.inflated(rng.randbytes(rng.randrange(60)), memoryview(b""))
        except ValueError as error:
            assert "outside" in str(error)
