"""WARC files of every wrapping, cut and corruption: each record once, whatever happens."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import http, member, nested, page, read, record

from corpusforge import readers
from corpusforge.kernels.ids import document_id
from corpusforge.plan import Piece, estimate
from corpusforge.readers.records import Inflated
from corpusforge.readers.source import BLOCK, Source
from corpusforge.schema import RECORD, check
from corpusforge.spec import Limits, Plan, Read


def write(path: Path, *members: bytes) -> list[int]:
    """Write ``members``; return where each starts."""
    starts, position = [], 0
    for each in members:
        starts.append(position)
        position += len(each)
    path.write_bytes(b"".join(members))
    return starts


def test_a_gzip_member_a_record(tmp_path: Path) -> None:
    """Offsets are the members' starts, ordinals 0, ids the digest of the place."""
    path = tmp_path / "a.warc.gz"
    starts = write(path, *(member(page(number)) for number in range(5)))
    rows = read(path).to_pylist()
    assert [row["offset"] for row in rows] == starts
    assert {row["ordinal"] for row in rows} == {0}
    assert [row["source_id"] for row in rows] == [f"<urn:test:{number}>" for number in range(5)]
    assert rows[3]["url"] == "http://a.test/3"
    assert rows[3]["id"] == document_id("in", starts[3], 0)
    assert "Grüße, page 3" in rows[3]["html"] and rows[3]["charset"] == "utf-8"
    assert {row["outcome"] for row in rows} == {"kept"}


def test_one_member_for_the_whole_file(tmp_path: Path) -> None:
    """Records are told apart by their ordinal, and any cut leaves the file to its first piece."""
    path = tmp_path / "a.warc.gz"
    write(path, member(b"".join(page(number) for number in range(50))))
    table = read(path)
    assert table["ordinal"].to_pylist() == list(range(50))
    assert set(table["offset"].to_pylist()) == {0}
    assert set(table["outcome"].to_pylist()) == {"kept"}
    assert read(path, cuts=(100, 300)).equals(table)


def test_uncompressed_and_zstd_hold_the_same_documents(tmp_path: Path) -> None:
    """The wrapping changes offsets only."""
    pages = [page(number) for number in range(20)]
    write(tmp_path / "a.warc.gz", *map(member, pages))
    starts = write(tmp_path / "b.warc", *pages)
    frames = write(tmp_path / "c.warc.zst", *map(zstandard.compress, pages))
    tables = [read(tmp_path / name) for name in ("a.warc.gz", "b.warc", "c.warc.zst")]
    assert tables[0]["html"].equals(tables[1]["html"])
    assert tables[0]["html"].equals(tables[2]["html"])
    assert tables[1]["offset"].to_pylist() == starts
    assert tables[2]["offset"].to_pylist() == frames
    for name in ("b.warc", "c.warc.zst"):
        assert read(tmp_path / name, cuts=(700, 1500)).equals(read(tmp_path / name))


@pytest.mark.parametrize("packed", [False, True])
def test_zstd_with_a_dictionary_in_its_first_frame(tmp_path: Path, packed: bool) -> None:
    """The layout of the .warc.zst proposal: a skippable frame, then frames that need it."""
    samples = [page(number) * 3 for number in range(200)]
    words = zstandard.train_dictionary(1 << 12, samples)
    held = zstandard.compress(words.as_bytes()) if packed else words.as_bytes()
    head = struct.pack("<II", 0x184D2A5D, len(held)) + held
    packer = zstandard.ZstdCompressor(dict_data=words)
    starts = write(tmp_path / "a.warc.zst", head, *(packer.compress(page(n)) for n in range(9)))
    table = read(tmp_path / "a.warc.zst")
    assert table["offset"].to_pylist() == starts[1:]
    assert set(table["outcome"].to_pylist()) == {"kept"}


def test_wet_text_goes_past_extraction(tmp_path: Path) -> None:
    """A conversion record is a text; null html."""
    path = tmp_path / "a.warc.wet.gz"
    text = "Grüße\nzweite Zeile\n".encode()
    blank = record(1, b" \n", "conversion", Content_Type="text/plain")
    write(path, member(record(0, text, "conversion", Content_Type="text/plain")), member(blank))
    first, second = read(path).to_pylist()
    assert (first["text"], first["html"], first["outcome"]) == (text.decode(), None, "kept")
    assert second["reasons"][0]["rule"] == "empty"


def mixed(levels: list[int]) -> list[bytes]:
    """Members of all kinds: pages, large noise, archives in archives, several records, empty."""
    rng = random.Random(5)
    return [
        member(record(0, b"software: test", "warcinfo"), levels[0]),
        member(page(1), levels[1]),
        nested(2, 300, level=levels[2]),
        member(page(3)),
        member(record(4, http(rng.randbytes(90_000), mime="image/png")), levels[3]),
        member(page(5) + page(6)),
        member(b""),
        nested(7, 3, level=0),
        member(record(8, http(nested(9, 400), mime="application/gzip")), 0),
        *(member(page(number)) for number in range(10, 400)),
    ]


@pytest.fixture(scope="module")
def nest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of ``mixed`` members with a corrupt one among them, cut inside its last."""
    members = mixed([6, 0, 6, 9])
    bad = bytearray(members[200])
    bad[60] ^= 255
    members[200] = bytes(bad)
    path = tmp_path_factory.mktemp("nest") / "nest.warc.gz"
    path.write_bytes(b"".join(members)[:-40])
    return path


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_cut_gives_the_same_rows(nest: Path, data: st.DataObject) -> None:
    """Also inside a stored .warc.gz, a corrupt member, noise; also with tiny batches."""
    size = nest.stat().st_size
    cuts = data.draw(st.lists(st.integers(1, size - 1), min_size=1, max_size=4))
    batch_bytes = data.draw(st.sampled_from([1, 5000, 1 << 24]))
    whole = read(nest)
    assert whole.num_rows == 399 and whole["outcome"].to_pylist().count("failed") == 2
    assert read(nest, tuple(cuts), batch_bytes).equals(whole)


def test_records_of_a_stored_archive_are_no_records(nest: Path) -> None:
    """What a scan for the gzip magic would find inside a record is not in the rows."""
    numbers = [row for row in read(nest)["source_id"].to_pylist() if row]
    assert not [each for each in numbers if each.startswith("<urn:test:10") and len(each) == 15]
    inside = nest.read_bytes().find(member(page(1001)))
    assert inside > 0  # so the trap is there


def noisy(number: int) -> bytes:
    """A page whose packed form cannot be packed again."""
    noise = random.Random(number).randbytes(700).hex().encode()
    return record(number, http(b"<p>" + noise))


@pytest.fixture(scope="module", params=["warc", "warc.zst"])
def trap(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with records that hold whole archives, 500 kB of them, findable byte for byte."""
    pack = zstandard.compress if request.param == "warc.zst" else bytes
    inner = b"".join(pack(noisy(1000 + number)) for number in range(500))
    archive = record(0, http(inner, mime="application/octet-stream"))
    bad = record(1, http(b"<p>wrong"), Content_Length="99")
    members = [pack(noisy(number)) for number in range(2, 200)]
    stored = zstandard.compress(archive, -100) if pack is zstandard.compress else archive
    members[20:20], members[90:90], members[150:150] = [stored], [pack(bad)], [stored]
    path = tmp_path_factory.mktemp("trap") / f"trap.{request.param}"
    path.write_bytes(b"".join(members))
    assert path.read_bytes().find(pack(noisy(1001))) > 0  # the trap is there
    return path


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_cut_of_a_plain_or_zstd_file_gives_the_same_rows(
    trap: Path, data: st.DataObject
) -> None:
    """Also inside a record that holds whole archives, and at one with a wrong length."""
    cuts = data.draw(st.lists(st.integers(1, trap.stat().st_size - 1), min_size=1, max_size=4))
    whole = read(trap)
    assert whole.num_rows == 201 and whole["outcome"].to_pylist().count("failed") == 1
    assert read(trap, tuple(cuts)).equals(whole)


def test_plain_and_zstd_files_are_cut_into_units(trap: Path, tmp_path: Path) -> None:
    """By the plan; a zstd file of one frame is one unit."""
    plan, size = Plan(unit_bytes=1 << 16), trap.stat().st_size
    units = readers.units([str(trap)], plan)
    assert len(units) == -(-size // (1 << 16))
    owners = [sum(b.num_rows for b in readers.read(u.pieces[0], Read(), 1 << 20)) for u in units]
    assert sum(owners) == 201 and sum(count > 0 for count in owners) > 3
    (tmp_path / "one.warc.zst").write_bytes(
        zstandard.compress(b"".join(noisy(number) for number in range(200)))
    )
    (unit,) = readers.units([str(tmp_path / "one.warc.zst")], plan)
    assert unit.bytes > 1 << 16
    assert "is one zstd frame" in estimate([unit], 1, plan)


def test_skippable_frames_hold_no_records(tmp_path: Path) -> None:
    """What pzstd writes before, and the seekable format behind, the frames of records."""
    path = tmp_path / "a.warc.zst"
    note = struct.pack("<II", 0x184D2A50, 4) + b"note"
    frames = [zstandard.compress(page(number)) for number in range(3)]
    starts = write(path, *(part for frame in frames for part in (note, frame)), note)
    rows = read(path).to_pylist()
    assert [row["outcome"] for row in rows] == ["kept"] * 3
    assert [row["offset"] for row in rows] == starts[1:6:2]
    write(path, frames[0], struct.pack("<II", 0x184D2A50, 1 << 30) + b"cut")
    assert [row["outcome"] for row in read(path).to_pylist()] == ["kept", "failed"]


@pytest.mark.parametrize("flip", [0, 1, 3, 12, 40, 100, -8, -1])
def test_one_bad_byte_costs_one_record(tmp_path: Path, flip: int) -> None:
    """Wherever the byte is: one failed row at the member's offset, all others as before."""
    path = tmp_path / "a.warc.gz"
    members = [member(page(number)) for number in range(7)]
    starts = write(path, *members)
    whole = read(path)
    bad = bytearray(members[3])
    bad[flip] ^= 0x55
    write(path, *members[:3], bytes(bad), *members[4:])
    table = read(path)
    if flip == 3:  # the byte of flags: a member may survive it
        assert table["offset"].to_pylist() == starts
        return
    row = table.slice(3, 1).to_pylist()[0]
    assert (row["outcome"], row["stage"], row["offset"]) == ("failed", "read", starts[3])
    assert row["detail"] == "corrupt gzip data" and row["html"] is None
    assert table.slice(0, 3).equals(whole.slice(0, 3))
    assert table.slice(4).equals(whole.slice(4))
    assert table.num_rows == 7


def test_a_cut_file_fails_its_last_record_by_name(tmp_path: Path) -> None:
    """The record that breaks off is one failed row, with the id and URL that can be read."""
    path = tmp_path / "a.warc.gz"
    noise = record(1, http(random.Random(1).randbytes(5000)))
    write(path, member(page(0)), member(noise)[:-3000])
    kept, failed = read(path).to_pylist()
    assert kept["outcome"] == "kept"
    assert (failed["outcome"], failed["source_id"]) == ("failed", "<urn:test:1>")
    assert failed["detail"] == "the file ends inside this record"


def test_bytes_between_members(tmp_path: Path) -> None:
    """Zero padding is nothing; other bytes are one failed row where they start."""
    path = tmp_path / "a.warc.gz"
    first, junk = member(page(0)), b"no member at all" * 9
    write(path, first, bytes(700), member(page(1)), junk, member(page(2)), bytes(9))
    rows = read(path).to_pylist()
    assert [row["outcome"] for row in rows] == ["kept", "kept", "failed", "kept"]
    assert rows[2]["offset"] == len(first) + 700 + len(member(page(1)))


def test_a_member_that_is_no_warc_is_one_row(tmp_path: Path) -> None:
    """Good gzip around other content: failed, and reading goes on behind it."""
    path = tmp_path / "a.warc.gz"
    write(path, member(page(0)), member(b"hello\r\n\r\nWARC/1.0\r\n"), member(page(2)))
    rows = read(path).to_pylist()
    assert [row["outcome"] for row in rows] == ["kept", "failed", "kept"]
    assert rows[1]["detail"] == "this is no WARC record"


@pytest.mark.parametrize("length", ["-5", "x", "", "99", "999999"])
def test_a_wrong_content_length_of_the_record(tmp_path: Path, length: str) -> None:
    """Never a silently shortened page."""
    bad = record(1, http(b"<p>" + b"text " * 90), Content_Length=length)
    write(tmp_path / "a.warc.gz", member(page(0)), member(bad), member(page(2)))
    write(tmp_path / "a.warc", page(0), bad, page(2))
    for name in ("a.warc.gz", "a.warc"):
        rows = read(tmp_path / name).to_pylist()
        assert [row["outcome"] for row in rows] == ["kept", "failed", "kept"], rows
        assert rows[1]["source_id"] == "<urn:test:1>"


def test_the_limit_of_a_record(tmp_path: Path) -> None:
    """A bomb in the member or in the body is a failed row with value and limit."""
    spec = Read(limits=Limits(inflated_bytes=20_000, inflate_ratio=100_000))
    path = tmp_path / "a.warc.gz"
    big = http(b"<p>" + b"a" * 3_000_000)
    body = http(member(b"<p>" + b"b" * 3_000_000), "Content-Encoding: gzip")
    picture = http(b"\x89PNG\r\n" + bytes(50_000), mime="image/png")
    write(path, *map(member, (record(0, big), record(1, body), record(2, picture), page(3))))
    rows = read(path, spec=spec).to_pylist()
    assert [row["outcome"] for row in rows] == ["failed", "failed", "dropped", "kept"]
    first, second = (row["reasons"][0] for row in rows[:2])
    assert first == {
        "rule": "limit:inflated_bytes",
        "signal": "inflated_bytes",
        "value": float(len(big)),
        "comparison": "<=",
        "threshold": 20_000.0,
    }
    assert second["rule"] == "limit:inflated_bytes" and second["value"] == 20_001


@pytest.mark.parametrize("pack", ["gzip", "zstd"])
def test_the_ratio_of_a_member(tmp_path: Path, pack: str) -> None:
    """A bomb is left at the ratio, named by its header, and the members behind it are read."""
    packed = {"gzip": member, "zstd": zstandard.compress}[pack]
    path = tmp_path / {"gzip": "a.warc.gz", "zstd": "a.warc.zst"}[pack]
    zeros = record(1, http(bytes(50_000_000)))
    records = (page(0), zeros, page(2), record(3, bytes(900_000)), page(4))
    starts = write(path, *map(packed, records))
    spec = Read(limits=Limits(inflate_ratio=800))
    table = read(path, spec=spec)
    rows = table.to_pylist()
    assert [row["offset"] for row in rows] == starts
    assert [row["outcome"] for row in rows] == ["kept", "failed", "kept", "failed", "kept"]
    (reason,) = rows[1]["reasons"]
    assert reason["rule"] == "limit:inflate_ratio" and reason["signal"] == "inflate_ratio"
    assert reason["value"] > reason["threshold"] == 800 and reason["comparison"] == "<="
    assert rows[1]["detail"] == "inflates to more than 800 times its bytes"
    assert rows[1]["source_id"] == "<urn:test:1>"
    assert rows[3]["reasons"] == []  # under 1 MiB the ratio does not count
    size = path.stat().st_size
    assert read(path, (starts[1] + 5, size // 2, starts[4] - 3), spec=spec).equals(table)


def test_a_file_of_one_member_is_one_unit(tmp_path: Path) -> None:
    """It is found before it is cut, so nobody looks for cuts in it."""
    rng = random.Random(4)
    pages = [record(n, http(b"<p>" + rng.randbytes(2000).hex().encode())) for n in range(100)]
    write(tmp_path / "one.warc.gz", member(b"".join(pages)))
    write(tmp_path / "each.warc.gz", *map(member, pages))
    plan = Plan(unit_bytes=1 << 16)
    assert len(readers.units([str(tmp_path / "one.warc.gz")], plan)) == 1
    assert len(readers.units([str(tmp_path / "each.warc.gz")], plan)) == 4
    assert len(readers.units([str(tmp_path / "one.warc.gz")], Plan())) == 1
    (tmp_path / "cut.warc.gz").write_bytes((tmp_path / "one.warc.gz").read_bytes()[:90_000])
    (unit,) = readers.units([str(tmp_path / "cut.warc.gz")], plan)
    assert unit.bytes == 90_000


def test_batches_are_cut_by_bytes(tmp_path: Path) -> None:
    """Each batch holds about ``batch_bytes`` of pages, in the order of the file."""
    path = tmp_path / "a.warc.gz"
    write(path, *(member(record(n, http(b"<p>" + b"x" * 10_000))) for n in range(30)))
    size = path.stat().st_size
    piece = Piece(str(path), "in", "warc", "gzip", 0, size, size)
    batches = list(readers.read(piece, Read(), 50_000))
    assert [batch.num_rows for batch in batches] == [5] * 6
    assert pa.Table.from_batches(batches).combine_chunks().equals(read(path))
    assert all(check(batch, RECORD) is batch for batch in batches)


@given(chunks=st.integers(1, 40))
def test_a_head_is_found_across_the_borders_of_chunks(chunks: int) -> None:
    """The blank line counts wherever the inflated chunks break."""
    data = page(1)
    stream = Inflated(data[at : at + chunks] for at in range(0, len(data), chunks))
    head = stream.head()
    assert head is not None and head.endswith(b"\r\n\r\n") and head.count(b"\r\n\r\n") == 1
    assert stream.take(8) == b"HTTP/1.1" and stream.consumed == len(head) + 8


@pytest.mark.parametrize("before", [BLOCK - 2, BLOCK - 1, BLOCK, 2 * BLOCK - 1])
def test_a_search_crosses_the_borders_of_blocks(before: int) -> None:
    """Position and bytes are right wherever the needle lies."""
    source = Source(io.BytesIO(bytes(before) + b"needle" + bytes(BLOCK)))
    assert source.find(b"needle") and source.position == before
    assert source.read(6) == b"needle"
    assert not source.find(b"needle") and source.read(1) == b""


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_mutations_never_crash_and_leave_the_rest(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any bytes over, any cut: rows in order, unique places, at least the untouched members."""
    rng = random.Random(data.draw(st.integers(0, 1 << 30)))
    kind = data.draw(st.sampled_from(["a.warc.gz", "a.warc", "a.warc.zst"]))
    pack = {"a.warc.gz": member, "a.warc": bytes, "a.warc.zst": zstandard.compress}[kind]
    members = [pack(page(number) + b"") for number in range(6)]
    raw = bytearray(b"".join(members))
    first = data.draw(st.integers(len(members[0]), len(raw) - 1))
    for at in range(first, min(len(raw), first + data.draw(st.integers(1, 40)))):
        raw[at] = rng.randrange(256)
    end = data.draw(st.sampled_from([len(raw), rng.randrange(len(members[0]), len(raw))]))
    path = tmp_path_factory.getbasetemp() / kind
    path.write_bytes(bytes(raw[:end]))
    rows = read(path, cuts=(rng.randrange(1, end),)).to_pylist()
    places = [(row["offset"], row["ordinal"]) for row in rows]
    assert places == sorted(set(places))
    assert rows[0]["outcome"] == "kept"
    touched = range(first, first + 40)
    starts = [sum(map(len, members[:number])) for number in range(6)]
    for number, start in enumerate(starts):
        stop = start + len(members[number])
        if stop + 5 <= min(first, end) or (start > touched.stop and stop <= end):
            assert ("kept", start) in {(row["outcome"], row["offset"]) for row in rows}, number
