"""JSON lines: every line a row, in bounded memory, for any compression and any cut."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random
import tracemalloc
from functools import partial
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import read

from corpusforge.spec import Fields, Limits, Read

PACK = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": zstandard.compress,
    ".bz2": bz2.compress,
    ".xz": partial(lzma.compress, preset=0),
}


def write(path: Path, *lines: bytes | str) -> Path:
    """Write ``lines`` with line ends."""
    data = [line.encode() if isinstance(line, str) else line for line in lines]
    path.write_bytes(b"".join(line + b"\n" for line in data))
    return path


def test_text_html_and_the_other_fields(tmp_path: Path) -> None:
    """html to extract, text as it is where there is no html, the rest to meta in a fixed order."""
    rows = read(
        write(
            tmp_path / "a.jsonl",
            '{"id": 7, "text": "Gr\\u00fc\\u00dfe", "html": "", "url": "u", "z": [1.5], "a": "é"}',
            '{"html": "<p>x</p>", "text": "y", "title": "T", "date": "2026"}',
        )
    ).to_pylist()
    first, second = rows
    assert (first["source_id"], first["text"], first["html"]) == ("7", "Grüße", None)
    assert (first["url"], first["meta"], first["outcome"]) == ("u", '{"a":"é","z":[1.5]}', "kept")
    assert (second["text"], second["html"], second["meta"]) == (None, "<p>x</p>", None)
    assert (second["title"], second["date"], second["offset"]) == ("T", "2026", 84)


def test_field_names_come_from_the_spec(tmp_path: Path) -> None:
    """A renamed field is read, the default name becomes an ordinary one."""
    spec = Read(fields=Fields(text="content", id="key"))
    path = write(tmp_path / "a.jsonl", '{"key": "k", "content": "c", "text": 3}')
    row = read(path, spec=spec).to_pylist()[0]
    assert (row["source_id"], row["text"], row["meta"]) == ("k", "c", '{"text":3}')


BAD = {
    b"{": "not JSON",
    b'{"text": "a"} x': "not JSON",
    b'{"text": "a", "n": NaN}': "not JSON",
    b'{"text": "a", "n": 1e999}': "a field holds a number out of range, or is nested too deeply",
    b'{"text": "\xff"}': "not UTF-8 at byte 10 of the line",
    b"[1]": "a list, not a JSON object",
    b"null": "a number or null, not a JSON object",
    b'{"text": 3}': "field 'text' is a number, not a string",
    b'{"text": ["a"]}': "field 'text' is a list, not a string",
    b'{"text": "a", "url": {}}': "field 'url' is an object, not a string",
    b'{"text": "a", "id": true}': "field 'id' is a boolean, not a string",
    b'{"body": "a"}': "it has neither a field 'text' nor 'html'",
    b'{"text": "\\ud800"}': "field 'text' holds a lone surrogate",
    b'{"text": "a", "url": "\\udc00"}': "field 'url' holds a lone surrogate",
    b'{"text": "a", "x": "\\ud800"}': "a field holds a lone surrogate",
    b'{"text": "a", "x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}": "JSON nested too deeply",
}


def test_a_bad_line_is_one_failed_row_with_its_number(tmp_path: Path) -> None:
    """Number and reason in the detail; blank lines count as lines, not as records."""
    lines = [b'{"text": "good"}', b"", *BAD, b"  \r", b'{"text": "last"}\r']
    rows = read(write(tmp_path / "a.jsonl", *lines)).to_pylist()
    assert [row["outcome"] for row in rows] == ["kept", *["failed"] * len(BAD), "kept"]
    details = [f"line {number}: {reason}" for number, reason in enumerate(BAD.values(), start=3)]
    assert [row["detail"] for row in rows[1:-1]] == details
    assert {row["text"] for row in rows[1:-1]} == {None}
    assert {row["stage"] for row in rows[1:-1]} == {"read"}


def test_an_empty_text_is_a_decision(tmp_path: Path) -> None:
    """Dropped, not failed."""
    rows = read(write(tmp_path / "a.jsonl", '{"text": ""}', '{"text": " \\n"}')).to_pylist()
    assert [row["outcome"] for row in rows] == ["dropped"] * 2
    assert rows[0]["reasons"][0]["rule"] == "empty"


@pytest.mark.parametrize("ending", list(PACK))
def test_every_compression_gives_the_same_rows(tmp_path: Path, ending: str) -> None:
    """Offsets are those of the decompressed stream; several streams in one file are one."""
    lines = [json.dumps({"text": f"line {number} " * 50}).encode() for number in range(300)]
    data = b"\n".join([*lines, b"{", b'{"text": "no end of line"}'])
    half = len(data) // 2
    pack = PACK[ending]
    path = tmp_path / f"a.jsonl{ending}"
    path.write_bytes(pack(data[:half]) + pack(data[half:]))
    plain = tmp_path / "a.jsonl"
    plain.write_bytes(data)
    assert read(path).equals(read(plain))
    assert read(path).num_rows == 302


@pytest.mark.parametrize("ending", [".gz", ".zst", ".bz2", ".xz"])
@pytest.mark.parametrize("cut", [True, False])
def test_a_broken_stream_keeps_the_lines_before(tmp_path: Path, ending: str, cut: bool) -> None:
    """The lines before it, then a failed row that says where and why."""
    rng = random.Random(1)
    lines = [json.dumps({"text": rng.randbytes(40).hex()}).encode() for _ in range(16_000)]
    packed = PACK[ending](b"\n".join(lines))
    packed = packed[: len(packed) * 3 // 4]
    path = tmp_path / f"a.jsonl{ending}"
    path.write_bytes(packed if cut else packed[:-64] + bytes(2000))
    rows = read(path).select(["outcome", "detail"]).to_pylist()
    assert len(rows) > 5000
    what = "the file ends inside its" if cut else ""
    assert rows[-1]["detail"].startswith(f"line {len(rows)}: {what}")
    # Bytes that are inflated before a checksum is tested may make bad lines of their own.
    before = rows[:-1] if cut else rows[:5000]
    assert {row["outcome"] for row in before} == {"kept"} and rows[-1]["outcome"] == "failed"


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_cut_gives_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Lines belong to the range they start in, their numbers to the file."""
    line = st.sampled_from(["", "  ", "{", '{"text": "ä"}', '{"text": "' + "b" * 1100 + '"}', "\r"])
    text = "\n".join(data.draw(st.lists(line, min_size=1, max_size=12))) + data.draw(
        st.sampled_from(["", "\n"])
    )
    path = tmp_path_factory.getbasetemp() / "cuts.jsonl"
    path.write_bytes(text.encode() or b"\n")
    size = path.stat().st_size
    cuts = data.draw(st.lists(st.integers(1, max(1, size - 1)), max_size=5, unique=True))
    spec = Read(limits=Limits(line_bytes=1024))
    assert read(path, tuple(cuts), 500, spec).equals(read(path, spec=spec))


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_huge_line_is_refused_in_bounded_memory(tmp_path: Path, ending: str) -> None:
    """50 MB without a line end: a failed row with value and limit, and the rest is read."""
    path = tmp_path / f"a.jsonl{ending}"
    with gzip.open(path, "wb", 1) if ending else path.open("wb") as file:
        file.write(b'{"text": "a"}\n{"text": "')
        for _ in range(50):
            file.write(b"x" * 1_000_000)
        file.write(b'"}\n{"text": "c"}\n')
    spec = Read(limits=Limits(line_bytes=1_000_000))
    tracemalloc.start()
    rows = read(path, spec=spec).to_pylist()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [row["outcome"] for row in rows] == ["kept", "failed", "kept"]
    reason = {"rule": "limit:line_bytes", "signal": "line_bytes", "value": 50_000_012.0}
    assert rows[1]["reasons"] == [reason | {"comparison": "<=", "threshold": 1e6}]
    assert rows[1]["detail"] == "line 2 is longer than 1000000 bytes"
    assert peak < 12_000_000


@pytest.mark.faults
@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_a_line_of_a_gigabyte(tmp_path: Path, ending: str) -> None:
    """With the default limits: one failed row, the rest is read, in the memory of the limit."""
    path, size = tmp_path / f"a.jsonl{ending}", 1 << 30
    block = b"x" * (1 << 20)
    if ending:
        with gzip.open(path, "wb", 1) if ending == ".gz" else zstandard.open(path, "wb") as file:
            file.write(b'{"text": "a"}\n')
            for _ in range(1 << 10):
                file.write(block)
            file.write(b'\n{"text": "c"}\n')
    else:
        with path.open("wb") as file:
            file.write(b'{"text": "a"}\n')
            file.seek(size, 1)
            file.write(b'\n{"text": "c"}\n')
    tracemalloc.start()
    rows = read(path).to_pylist()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [row["outcome"] for row in rows] == ["kept", "failed", "kept"]
    assert rows[1]["reasons"][0]["value"] == size
    assert rows[1]["reasons"][0]["threshold"] == Limits().line_bytes
    assert peak < 3 * Limits().line_bytes


def test_a_byte_order_mark_at_the_start(tmp_path: Path) -> None:
    """Some Windows tools write one; it is not part of the first object."""
    row = read(write(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"text": "a"}')).to_pylist()[0]
    assert row["outcome"] == "kept"
