"""The plan of any size: validated by a real run of the sample, and what must hold at every size."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpusforge import api, dedup_plan, scale_plan
from corpusforge.cli import main
from corpusforge.pipelines.clean_run import plan
from corpusforge.shard import read_batches
from corpusforge.spec import MIB, CleanSpec
from corpusforge.stages import dedup

SAMPLE = Path(__file__).parent.parent / "sample_data"
SMALL = {"unit_bytes": 1 << 17, "range_bytes": 1 << 16, "shuffle_bytes": 0}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A clean run of the sample that judges nothing and has exact copies off: all is shuffled."""
    root = tmp_path_factory.mktemp("scale") / "run"
    asked = CleanSpec(plan=SMALL, rules={"use": []}, dedup={"exact": "none", "bands": 64})
    return str(root), asked, api.clean([str(SAMPLE)], str(root), asked)


def test_the_plan_of_the_real_size_is_the_real_run(run):
    """Ranges, blobs and bytes, from the number of documents that reach deduplication."""
    root, asked, _ = run
    signals = sorted(Path(root, "signals").glob("*.parquet"))
    rows = [
        sum(batch.num_rows for batch in read_batches(root, f"signals/{file.name}", ["candidate"]))
        for file in signals
    ]
    layout = dedup.layout([(f.stem, n) for f, n in zip(signals, rows, strict=True)], [], asked, "k")
    shuffled = [
        len(blob) for file in signals for _, blob in _packed(root, file.stem, asked, layout)
    ]
    found = scale_plan.planned(asked, sum(rows))
    found["blobs"] = scale_plan.blobs(asked, "near", sum(rows), len(signals))
    made = list(Path(root, "commits/dedup").glob("edges-*.commit.json"))
    assert found["ranges"] == {"near": len(made)} and len(made) > dedup_plan.LEAST_RANGES
    assert len(shuffled) <= found["blobs"] <= 1.3 * len(shuffled)
    crossing = found["shuffle_bytes"]["near"] + scale_plan.HEAD * len(shuffled)
    assert sum(shuffled) == pytest.approx(crossing, rel=0.1)


def test_units_of_as_many_documents_are_the_units_there_are():
    """Bytes are those of the inputs; pieces are never divided quite evenly, so units are more."""
    asked = CleanSpec(plan=SMALL)
    units = plan([str(SAMPLE)], asked)
    found = scale_plan.planned(asked, dedup_plan.documents(units), units)
    assert found["bytes"] == pytest.approx(sum(unit.bytes for unit in units), rel=0.01)
    assert 0.8 * len(units) <= found["units"] <= len(units)


def _packed(root, unit, asked, layout):
    memory = dedup.Layout(**{**vars(layout), "files": False})
    return dedup.pack(root, "near", unit, asked, memory)


def test_figures_grow_with_documents_and_no_faster():
    """Ten times the documents: ten times the work, not more."""
    one, ten = (scale_plan.planned(CleanSpec(), n, workers=8) for n in (10**8, 10**9))
    for name in ("bytes", "units", "disk_bytes"):
        assert ten[name] == pytest.approx(10 * one[name], rel=0.01), name
    assert sum(ten["core_hours"].values()) == pytest.approx(
        10 * sum(one["core_hours"].values()), rel=0.01
    )
    assert ten["worker_bytes"] == one["worker_bytes"]
    assert ten["parent_bytes"] < 3 * one["parent_bytes"]


@pytest.mark.parametrize("documents", [10**6, 10**9, 10**10])
def test_larger_pieces_make_blobs_worth_sending(documents):
    """With the settings that the plan names, a blob holds more keys than head."""
    asked = CleanSpec()
    found = scale_plan.planned(asked, documents)
    if found["set"]:
        sets = {key.removeprefix("plan."): value for key, value in found["set"].items()}
        found = scale_plan.planned(CleanSpec(plan=sets), documents)
    assert not found["set"]
    assert found["crossing_bytes"] < 2 * sum(found["shuffle_bytes"].values())


def test_the_spec_matters():
    """No deduplication shuffles nothing; smaller ranges are more."""
    off = CleanSpec(dedup={"exact": "none", "near": "none"})
    assert scale_plan.planned(off, 10**6)["ranges"] == {}
    assert scale_plan.planned(off, 10**6)["crossing_bytes"] == 0
    fine = CleanSpec(plan={"range_bytes": 1 * MIB})
    many, few = (scale_plan.planned(s, 10**6)["ranges"]["near"] for s in (fine, CleanSpec()))
    assert many > 50 * few


def test_the_command_needs_no_inputs(tmp_path, monkeypatch):
    """It prints units, ranges, bytes, memory and core-hours, and as JSON the same."""
    monkeypatch.chdir(tmp_path)
    call = ["clean", "--plan", "--assume-documents", "1e9", "--workers", "100"]
    told = CliRunner().invoke(main, call)
    assert told.exit_code == 0, told.output
    for part in ("1,000,000,000 documents", "units of", "ranges", "a worker", "core-hours"):
        assert part in told.output
    values = json.loads(CliRunner().invoke(main, [*call, "--json"]).output.splitlines()[-1])
    assert values["documents"] == 10**9 and values["workers"] == 100
    wrong = CliRunner().invoke(main, ["clean", "--assume-documents", "1e9"])
    assert wrong.exit_code != 0
    assert not list(tmp_path.iterdir())
