"""The shared dev WARC: every record's kind against the outcome the design promises."""

from __future__ import annotations

import bisect
import gzip
import json
import random
from collections import Counter
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pytest
from fastwarc.warc import ArchiveIterator
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import read

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(
    not (DATA / "pages_dev.warc.gz").exists(), reason="../shared/data is not there"
)

EXPECTED = {
    "warcinfo": ("dropped", "record-type"),
    "metadata": ("dropped", "record-type"),
    "redirect": ("dropped", "http-status"),
    "notfound": ("dropped", "http-status"),
    "nonhtml": ("dropped", "mime"),
    "garbage": ("dropped", "mime-magic"),
    "empty": ("dropped", "empty"),
    "badgzip": ("failed", None),
    "truncated": ("kept", None),
    "badmime": ("kept", None),
    "deep": ("kept", None),
    "dup": ("kept", None),
    "page": ("kept", None),
}
CHARSETS = {"gb2312": "gb18030", "gbk": "gb18030", "iso-8859-1": "windows-1252"}


@lru_cache
def whole(name: str) -> pa.Table:
    """The rows of a file read in one piece."""
    return read(DATA / name)


def test_every_record_of_the_dev_pages() -> None:
    """513 records, 513 rows, each with the outcome, the flag and the charset of its kind."""
    with gzip.open(DATA / "pages_dev.manifest.jsonl.gz") as file:
        manifest = [json.loads(line) for line in file]
    rows = read(DATA / "pages_dev.warc.gz").drop(["html"]).to_pylist()
    assert len(rows) == len(manifest) == 513
    charsets: Counter[tuple[str, str]] = Counter()
    for record, row in zip(manifest, rows, strict=True):
        rule = row["reasons"][0]["rule"] if row["reasons"] else None
        assert (row["outcome"], rule) == EXPECTED[record["kind"]], record
        assert row["truncated"] == (record["kind"] == "truncated")
        if record["record_id"]:
            assert row["source_id"] == record["record_id"]
        if record["kind"] == "page":
            charsets[CHARSETS.get(record["charset"], record["charset"]), row["charset"]] += 1
    wrong = {pair: count for pair, count in charsets.items() if pair[0] != pair[1]}
    assert wrong == {("windows-1252", "utf-8"): 1}  # this one is all ASCII


def test_the_broken_file_loses_its_two_broken_records_only() -> None:
    """40 records: the 21st member is corrupt, the last one cut; the others are as in the whole."""
    table = read(DATA / "pages_dev_broken.warc.gz")
    whole = read(DATA / "pages_dev.warc.gz")
    assert table.num_rows == 40
    rows = table.select(["outcome", "detail", "offset"]).to_pylist()
    assert (rows[20]["detail"], rows[20]["offset"]) == ("corrupt gzip data", 590641)
    assert rows[39]["detail"] == "the file ends inside this record"
    same = ["source_id", "html", "outcome", "charset", "meta"]
    intact = [*range(20), *range(21, 39)]
    first = whole.filter(
        [name in set(table["source_id"].to_pylist()) for name in whole["source_id"].to_pylist()]
    )
    assert table.take(intact).select(same).slice(0, 20).equals(first.slice(0, 20).select(same))
    names = first["source_id"].to_pylist()
    for number in intact[20:]:
        at = names.index(table["source_id"][number].as_py())
        assert table.slice(number, 1).select(same).equals(first.slice(at, 1).select(same))


def same_by_steps(name: str, step: int) -> None:
    """Reading by ranges of ``step`` bytes gives the rows of the whole."""
    path = DATA / name
    cuts = tuple(range(step, path.stat().st_size, step))
    assert read(path, cuts).equals(whole(name))


@settings(max_examples=6, deadline=None)
@given(step=st.integers(1 << 16, 1 << 19))
def test_byte_ranges_of_the_broken_file_give_the_same_rows(step: int) -> None:
    """Any size of range from 64 KiB up."""
    same_by_steps("pages_dev_broken.warc.gz", step)


def test_byte_ranges_give_the_same_rows() -> None:
    """One size in the default suite; the next test tries others."""
    same_by_steps("pages_dev.warc.gz", 1_000_003)


@pytest.mark.faults
@settings(max_examples=25, deadline=None)
@given(step=st.integers(1 << 16, 1 << 22))
def test_any_byte_ranges_give_the_same_rows(step: int) -> None:
    """Any size of range from 64 KiB up, on the whole file."""
    same_by_steps("pages_dev.warc.gz", step)


def test_intact_records_are_those_of_fastwarc() -> None:
    """An outside reader of the whole file agrees on every record id, place and length."""
    table = whole("pages_dev.warc.gz")
    with (DATA / "pages_dev.warc.gz").open("rb") as file:
        theirs = [
            (record.headers.get("WARC-Record-ID"), record.stream_pos)
            for record in ArchiveIterator(file, parse_http=False)
        ]
    ours = zip(table["source_id"].to_pylist(), table["offset"].to_pylist(), strict=True)
    assert list(ours) == theirs


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(20))
def test_flipped_bytes_cost_the_members_they_hit(tmp_path: Path, seed: int) -> None:
    """Ten places of 200: every other record is as it was, the hit one has a row at its offset."""
    rng, intact = random.Random(seed), whole("pages_dev.warc.gz")
    raw = bytearray((DATA / "pages_dev.warc.gz").read_bytes())
    starts = intact["offset"].to_pylist()
    hit = set()
    for _ in range(10):
        at = rng.randrange(len(raw))
        raw[at] ^= 1 << rng.randrange(8)
        hit.add(bisect.bisect_right(starts, at) - 1)
    (tmp_path / "a.warc.gz").write_bytes(raw)
    table = read(tmp_path / "a.warc.gz")
    places = table["offset"].to_pylist()
    for number in range(intact.num_rows):
        if number not in hit:
            at = places.index(starts[number])
            assert table.slice(at, 1).equals(intact.slice(number, 1)), number
        elif number - 1 not in hit:  # two in a row may be one broken region
            assert starts[number] in places, number
    failed = sum(outcome == "failed" for outcome in table["outcome"].to_pylist())
    assert failed >= len(hit) // 2
