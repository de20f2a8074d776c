"""Deduplication as ``forge clean`` does it: the plain tool, formats, options, earlier corpora."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from dedup_runs import families

from corpusforge import api, explain
from corpusforge import spec as specs
from corpusforge.cli import main
from corpusforge.errors import RunError, SpecError
from corpusforge.shard import read_batches

PLAIN = ["rules.use=[]", 'language.keep="all"', "extract.method=none"]


def spec(*settings: str) -> specs.CleanSpec:
    """The plain dedup tool, as docs/dedup.md has it."""
    return specs.load(specs.CleanSpec, overrides=[*PLAIN, *settings])


def write(path: Path, texts: dict[str, str]) -> str:
    """JSON lines of {"id", "text"}."""
    rows = ({"id": name, "text": text} for name, text in texts.items())
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def kept(root: Path | str, column: str = "source_id") -> list[Any]:
    """A column of the corpus."""
    run = api.verify(str(root))
    assert run["counts"]
    names = sorted(Path(root, "corpus").iterdir())
    return [
        value
        for name in names
        for batch in read_batches(str(root), f"corpus/{name.name}", [column])
        for value in batch.column(column).to_pylist()
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], list[str]]:
    """A folder with docs.jsonl, its texts, and the ids that stay."""
    folder = tmp_path_factory.mktemp("data")
    texts = {f"d{number}": text for number, text in enumerate(families(5, 40))}
    write(folder / "docs.jsonl", texts)
    api.clean([str(folder / "docs.jsonl")], str(folder / "run"), spec())
    return folder, texts, kept(folder / "run")


def test_the_survivors_do_not_depend_on_format_or_order(
    data: tuple[Path, dict[str, str], list[str]], tmp_path: Path
) -> None:
    """The same documents as Parquet, as Arrow, or turned round as JSONL keep the same ids."""
    _, texts, stay = data
    assert 3 <= len(stay) < 40
    table = pa.table({"id": list(texts), "text": list(texts.values())})
    pq.write_table(table, tmp_path / "docs.parquet", row_group_size=7)
    with pa.ipc.new_file(tmp_path / "docs.arrow", table.schema) as writer:
        writer.write_table(table.take(list(range(39, -1, -1))))
    write(tmp_path / "turned.jsonl", dict(reversed(texts.items())))
    for name in ("docs.parquet", "docs.arrow", "turned.jsonl"):
        api.clean([str(tmp_path / name)], str(tmp_path / f"run-{name}"), spec())
        assert sorted(kept(tmp_path / f"run-{name}")) == sorted(stay), name


def test_the_table_does_not_depend_on_ranges_units_and_shuffle_files(
    data: tuple[Path, dict[str, str], list[str]], tmp_path: Path
) -> None:
    """Through memory or files, in few ranges or many, of one unit or several: the same bytes."""
    _, texts, _ = data
    names = list(texts)
    parts = [{name: texts[name] for name in names[at::2]} for at in range(2)]
    inputs = [write(tmp_path / f"{at}.jsonl", part) for at, part in enumerate(parts)]
    tables = []
    for number, settings in enumerate(
        ([], ["plan.shuffle_bytes=0", "plan.range_bytes=65536"], ["plan.unit_bytes=65536"])
    ):
        root = tmp_path / f"run{number}"
        api.clean(inputs[:: 1 - 2 * (number % 2)], str(root), spec(*settings))
        tables.append((root / "dedup/removed.arrow").read_bytes())
        assert not (root / "work").exists()
    assert tables[0] == tables[1] == tables[2]


def test_against_names_the_earlier_document(
    data: tuple[Path, dict[str, str], list[str]], tmp_path: Path
) -> None:
    """By the run or its index: each removal says in which corpus its twin is."""
    folder, texts, stay = data
    new = {"same": texts[stay[0]], "near": texts[stay[0]] + " end", "new": "no text like it"}
    path = write(tmp_path / "new.jsonl", new)
    api.index(str(folder / "run"), str(tmp_path / "index"))
    for number, against in enumerate((f"old={folder / 'run'}", f"old={tmp_path / 'index'}")):
        root = str(tmp_path / f"run{number}")
        done = api.clean([path], root, spec(), against=[against])
        assert kept(root) == ["new"] and done.facts["dedup"]["against"][0]["name"] == "old"
        rows = {row["source_id"]: row for row in explain.ledger(root).to_pylist()}
        (old,) = explain.document(str(folder / "run"), stay[0])
        for name in ("same", "near"):
            assert rows[name]["duplicate_of"] == old["id"] and rows[name]["duplicate_in"] == "old"
        said = api.explain(root, "near")[1]
        assert "survivor in old" in said and "bands" in said
        assert (f"survivor {stay[0]} " in said) == (number == 0)  # an index has no names
        with pytest.raises(RunError, match="made against old"):
            api.clean([path], root, spec())
        with pytest.raises(SpecError, match="a run against old cannot be replayed"):
            api.replay(root)
    assert api.clean([path], root, spec(), against=[against]).content == done.content


def test_paragraphs(tmp_path: Path) -> None:
    """The first copy by priority stays; the ledger says what was cut where, and for what."""
    shared, other = "Shared words of a footer. " * 5, "Something else that is long. " * 5
    texts = {
        "long": f"{'Its own first paragraph. ' * 9}\n\n{shared}\n\n{'And a last one of it. ' * 9}",
        "short": f"Title\n\n{shared}\n\nJust this one sentence.\n\n{shared}",
        "all": f"{other}\n\n{shared}",
        "more": f"{other}\n\n{'Third of the texts, unlike the others. ' * 8}",
    }
    path = write(tmp_path / "docs.jsonl", texts)
    api.clean([path], str(tmp_path / "run"), spec("dedup.paragraphs=true"))
    rows = {row["source_id"]: row for row in explain.ledger(str(tmp_path / "run")).to_pylist()}
    found = dict(zip(kept(tmp_path / "run"), kept(tmp_path / "run", "text"), strict=True))
    assert found == {
        "long": texts["long"],
        "short": "Title\n\nJust this one sentence.",
        "more": texts["more"],
    }
    assert [texts["short"][c["start"] : c["end"]] for c in rows["short"]["cut"]] == [
        shared.strip(),
        shared.strip(),
    ]
    assert {c["duplicate_of"] for c in rows["short"]["cut"]} == {rows["long"]["id"]}
    assert rows["short"]["chars"] == len(found["short"]) and rows["short"]["words"] == 5
    assert rows["all"]["outcome"] == "dropped" and rows["all"]["stage"] == "dedup"
    assert rows["all"]["reasons"][0]["rule"] == "duplicate-paragraphs"
    assert rows["long"]["cut"] is None
    assert "cut 2 paragraphs" in api.explain(str(tmp_path / "run"), "short")[1]
    with pytest.raises(SpecError, match=r"dedup\.paragraphs cannot be replayed"):
        api.replay(str(tmp_path / "run"))


def test_sources_of_which_nearly_all_goes_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Shares by source in the manifest; a warning above four fifths; protected sources win."""
    mirror = {f"m{number}": text for number, text in enumerate(families(9, 12, words=300)[:1] * 12)}
    inputs = [
        write(tmp_path / "mirror.jsonl", mirror),
        write(tmp_path / "own.jsonl", {"o": mirror["m0"]}),
    ]
    root = str(tmp_path / "run")
    done = api.clean(inputs, root, spec("dedup.protect=own.jsonl"), quiet=False)
    assert kept(root) == ["o"]
    assert done.facts["dedup"]["sources"] == [
        {"source": "mirror.jsonl", "documents": 12, "removed": 12, "share": 1.0},
        {"source": "own.jsonl", "documents": 1, "removed": 0, "share": 0.0},
    ]
    assert "removed 100.0% of the 12 documents of mirror.jsonl" in capsys.readouterr().err
    with pytest.raises(SpecError, match=r"did you mean 'own\.jsonl'"):
        api.clean(inputs, str(tmp_path / "x"), spec("dedup.protect=own.json"))
    with pytest.raises(SpecError, match="is no signal"):
        api.clean(inputs, str(tmp_path / "x"), spec("dedup.quality=wordz"))


def test_the_plan_is_printed_and_nothing_done(
    data: tuple[Path, dict[str, str], list[str]], tmp_path: Path
) -> None:
    """Curve, recall, disk, shuffle, memory; as text and as JSON."""
    path, root = str(data[0] / "docs.jsonl"), tmp_path / "run"
    command = ["clean", path, "-o", str(root), "--plan"]
    found = CliRunner().invoke(
        main, [*command, "--set", "dedup.bands=20", "--set", "dedup.rows=13"]
    )
    assert "20 bands x 13 rows" in found.stdout and "0.80 67." in found.stdout
    assert "of shuffle through memory" in found.stdout
    values = json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)
    assert values["dedup"]["curve"]["0.80"] == pytest.approx(0.947, abs=1e-3)
    assert set(values["dedup"]["recall"]) == {"0.70", "0.80", "0.90"}
    assert not root.exists()


def test_killed_between_its_stages(
    data: tuple[Path, dict[str, str], list[str]], tmp_path: Path
) -> None:
    """Without any of the files that a kill can leave unwritten, a run gives the same bytes."""
    folder, *_ = data
    want = json.loads((folder / "run/manifest.json").read_text())
    for lost in ("dedup", "commits/dedup/removed.commit.json", "commits/settle"):
        root = tmp_path / lost.replace("/", "-")
        shutil.copytree(folder / "run", root)
        (root / "manifest.json").unlink()
        path = root / lost
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        done = api.clean([str(folder / "docs.jsonl")], str(root), spec())
        assert done.content == want["content"]
        assert [shard.sha256 for shard in done.shards] == [s["sha256"] for s in want["shards"]]
