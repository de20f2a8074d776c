"""Against an earlier corpus: the same documents stay as where it is cleaned with it, and wins."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from dedup_runs import document_id, families, make
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge import dedup_index
from corpusforge.errors import RunError, UsageError
from corpusforge.kernels import dedup
from corpusforge.shard import read_batches
from corpusforge.spec import CleanSpec


def spec(**dedup: Any) -> CleanSpec:
    """Small ranges, so that there are many."""
    return CleanSpec(**{"dedup": dedup, "plan": {"range_bytes": 1 << 16}})


@settings(max_examples=6, deadline=None)
@given(
    st.integers(0, 1 << 30),
    st.sampled_from(["bytes", "tokens", "none"]),
    st.booleans(),
    st.integers(0, 30),
)
def test_b_against_a_keeps_what_a_and_b_keep(
    seed: int, exact: str, indexed: bool, cut: int
) -> None:
    """Cleaning A, then B against it, keeps the documents of A + B with A protected."""
    rows = [
        ("a.jsonl" if number < cut else "b.jsonl", str(number), text)
        for number, text in enumerate(families(seed, 30))
    ]
    old, new = rows[:cut], rows[cut:]
    with TemporaryDirectory() as folder:
        root = Path(folder)
        both = make(root / "both", rows, spec(exact=exact, protect=["a.jsonl"]))
        first = make(root / "a", old, spec(exact=exact), unit=3)
        against = str(root / "a")
        if indexed:
            dedup_index.build(against, str(root / "index"))
            shutil.rmtree(root / "a")
            against = f"a={root / 'index'}"
        second = make(root / "b", new, spec(exact=exact), [against], unit=4)
    ids = {document_id(row).hex() for row in old}
    assert {**first, **second} == {
        name: (twin, "a" if twin in ids and int(name) >= cut else None)
        for name, (twin, _) in both.items()
    }


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1 << 30))
def test_a_chain_of_corpora(seed: int) -> None:
    """C against A and B, B against A: survivors are named where they are, whatever went between."""
    texts = families(seed, 36)
    rows = [
        ("abc"[number // 12] + ".jsonl", str(number), text) for number, text in enumerate(texts)
    ]
    parts = [rows[:12], rows[12:24], rows[24:]]
    with TemporaryDirectory() as folder:
        paths = [str(Path(folder, name)) for name in "abc"]
        gone = {}
        for place, part in enumerate(parts):
            gone |= make(Path(paths[place]), part, spec(), paths[:place])
    where = {document_id(row).hex(): (row[1], row[0][0]) for row in rows}
    for name, (twin, corpus) in gone.items():
        survivor, home = where[twin]
        assert survivor not in gone
        own = "abc"[int(name) // 12]
        assert corpus == (None if home == own else home)


def test_what_differs_is_named(tmp_path: Path) -> None:
    """Another setting, another version or other permutations are refused by name."""
    rows = [("a.jsonl", str(n), text) for n, text in enumerate(families(1, 6))]
    make(tmp_path / "a", rows, spec())
    index = tmp_path / "index"
    dedup_index.build(str(tmp_path / "a"), str(index))
    for path in (str(tmp_path / "a"), str(index)):
        with pytest.raises(RunError, match=r"dedup.bands \(16 there, 20 here\), dedup.rows \(8 th"):
            dedup_index.find([path], spec(bands=20, rows=13).dedup)
        with pytest.raises(
            RunError, match=r"dedup.exact \('bytes' there, 'tokens' here\)$|dedup.exact"
        ):
            dedup_index.find([path], spec(exact="tokens").dedup)
    facts = json.loads((index / "index.json").read_text())
    for change, message in (
        ({"version": "forge-minhash-0"}, r"version \(forge-minhash-0 there, forge-minhash-1"),
        ({"permutations": {"a": [1], "b": [2]}}, "permutations"),
        ({"format": 99}, "no index of this version"),
    ):
        (index / "index.json").write_text(json.dumps(facts | change))
        with pytest.raises(RunError, match=message):
            dedup_index.find([str(index)], spec().dedup)
    with pytest.raises(UsageError, match="two corpora are called 'a'"):
        dedup_index.find([str(tmp_path / "a"), f"a={tmp_path / 'a'}"], spec().dedup)
    with pytest.raises(UsageError, match="without deduplication"):
        dedup_index.find([str(tmp_path / "a")], spec(exact="none", near="none").dedup)


def test_an_index_is_not_written_over_other_files(tmp_path: Path) -> None:
    """What a killed run left of it is; then it is whole."""
    rows = [("a.jsonl", str(n), text) for n, text in enumerate(families(2, 6))]
    make(tmp_path / "a", rows, spec())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty and is no index"):
        dedup_index.build(str(tmp_path / "a"), str(tmp_path / "mine"))
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / "near-00-00000.tmp.arrow").write_bytes(b"half")
    dedup_index.build(str(tmp_path / "a"), str(torn))
    assert sorted(path.name for path in torn.iterdir()) == [
        *("documents.arrow", "exact.arrow", "index.json", "near.arrow")
    ]


@pytest.mark.parametrize("memory", [1 << 30, 1 << 12])
def test_key_files_are_sorted_and_cut_as_ranges_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: int
) -> None:
    """Every key once, in order, through disk too; the ranges of a reducer share them out."""
    monkeypatch.setattr(dedup_index, "MEMORY", memory)
    monkeypatch.setattr(dedup_index, "ROWS", 50)
    rows = [("a.jsonl", str(n), text) for n, text in enumerate(families(3, 40))]
    gone = make(tmp_path / "a", rows, spec())
    facts = dedup_index.build(str(tmp_path / "a"), str(tmp_path / "index"))
    assert facts["documents"] == 40 and facts["survivors"] == 40 - len(gone)
    table = pa.Table.from_batches(read_batches(str(tmp_path / "index"), "near.arrow"))
    keys = table["key"].to_pylist()
    assert keys == sorted(keys) and len(keys) % 16 == 0 and len(keys) > 200
    for ranges in (1, 3, 64):
        parts = [
            part
            for number in range(ranges)
            for part in dedup_index.keys(
                str(tmp_path / "index"), facts, "near", number, ranges, 1, 100
            )
        ]
        found = pa.concat_tables([dedup.KEYED["near"].empty_table(), *parts])
        assert found["key"].to_pylist() == keys
        assert sorted(found["number"].to_pylist()) == sorted(
            n + 100 for n in table["number"].to_pylist()
        )
    assert not list((tmp_path / "index").glob("*.tmp*"))
