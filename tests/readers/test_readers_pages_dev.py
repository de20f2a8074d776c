"""The shared dev WARC: every record's kind against the outcome the design promises."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
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


@pytest.mark.parametrize("step", [1 << 16, 1 << 20])
def test_byte_ranges_give_the_same_rows(step: int) -> None:
    """From 64 KiB up; the smallest on the broken file, which is small."""
    path = DATA / ("pages_dev.warc.gz" if step > 1 << 16 else "pages_dev_broken.warc.gz")
    cuts = tuple(range(step, path.stat().st_size, step))
    assert read(path, cuts).equals(read(path))
