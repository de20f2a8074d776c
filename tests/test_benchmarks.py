"""Benchmarks: every stage is complete, its input is made, and our side of it runs; no peers."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RUN = runpy.run_path(str(ROOT / "benchmarks/run.py"))
INPUTS = runpy.run_path(str(ROOT / "benchmarks/inputs.py"))
STAGES = RUN["stages"]()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A function from a kind of input to a little of it, made once."""
    folder = tmp_path_factory.mktemp("inputs")

    def made(kind):
        if not (folder / kind).exists():
            INPUTS["make"](kind, folder / kind, INPUTS["TINY"], [str(ROOT / "sample_data")])
        return folder / kind

    return made


def test_there_is_a_stage_for_each_part():
    """No stage is lost unnoticed."""
    assert set(STAGES) >= {
        *("extraction", "signals", "signing", "learning", "encoding", "loading", "training"),
        "clean",
    }


@pytest.mark.parametrize("name", STAGES)
def test_stage_is_complete(name):
    """A stage says what it measures, and has an input, contestants and pinned peers."""
    stage = STAGES[name]
    assert stage["__doc__"].splitlines()[0]
    assert stage["INPUT"] in INPUTS["KINDS"]
    assert stage["MEGABYTES"] > INPUTS["TINY"]
    assert next(iter(stage["CONTESTANTS"])) == "forge"
    assert len(stage["CONTESTANTS"]) > 1
    for who, peer in stage["CONTESTANTS"].items():
        assert stage[who].__doc__
        if peer:
            wanted = (ROOT / f"benchmarks/peers/{peer}.txt").read_text().split()
            assert wanted
            assert all("==" in line for line in wanted)


@pytest.mark.parametrize("name", STAGES)
def test_our_side_runs(name, tiny, monkeypatch):
    """The work gets done, and says how much it was."""
    stage = STAGES[name]
    monkeypatch.setitem(stage["forge"].__globals__, "STEPS", 1)
    done = stage["forge"](tiny(stage["INPUT"]))()
    assert done
    assert all(amount > 0 for amount in done.values())


@pytest.mark.parametrize("kind", INPUTS["KINDS"])
def test_input_is_the_same_each_time(kind, tiny, tmp_path):
    """Equal bytes for equal arguments, and at least two documents."""
    path = tiny(kind)
    INPUTS["make"](kind, tmp_path / "again", INPUTS["TINY"], [str(ROOT / "sample_data")])
    for file in [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]:
        twin = tmp_path / "again" / file.relative_to(path)
        assert file.read_bytes() == twin.read_bytes()
    if kind in ("pages", "texts"):
        assert len(path.read_text().splitlines()) >= 2


def test_encoders_give_as_many_tokens(tiny):
    """The encoders are compared over equal work."""
    stage = STAGES["encoding"]
    path = tiny("tokenizer")
    assert stage["forge"](path)() == stage["tokenizers"](path)()


STAGE = '''"""A stage for tests."""
import subprocess, sys, time

INPUT = "pages"
MEGABYTES = 0.2
CONTESTANTS = {"forge": None, "child": None}
cold = [0.3]

def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

def forge(path):
    spin(0.3)  # set-up
    def work():
        if cold:
            spin(cold.pop())  # what a first call costs
        block = b"x" * (100 << 20)
        spin(0.6)
        return {"things": 12, "lines": len(path.read_text().splitlines())}
    return work

def child(path):
    burn = "import time\\nblock = b'x' * (150 << 20)\\nwhile time.process_time() < 0.6: pass"
    def work():
        subprocess.run([sys.executable, "-c", burn], check=True)
        return {"things": 6}
    return work

def broken(path):
    raise ValueError("no such thing")
'''


@pytest.fixture
def stage(tmp_path):
    """The file of the stage for tests."""
    file = tmp_path / "odd.py"
    file.write_text(STAGE)
    return file


def test_runner(stage, tmp_path):
    """One row and one JSON line a contestant; counted is the work alone, of child processes too."""
    results = tmp_path / "results.jsonl"
    lean = f"""
import argparse, runpy  # a process of its own: a child's peak RSS starts at that of its parent
run = runpy.run_path({str(ROOT / "benchmarks/run.py")!r})
arguments = argparse.Namespace(
    rounds=1, megabytes=None, data=[{str(ROOT / "sample_data")!r}], results={str(results)!r}
)
run["compare"]("odd", runpy.run_path({str(stage)!r}), arguments)
"""
    done = subprocess.run([sys.executable, "-c", lean], capture_output=True, text=True, check=True)
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["odd", "forge"],
        ["odd", "child"],
    ]
    ours, child = (json.loads(line) for line in results.read_text().splitlines())
    for line, who, units, least in ((ours, "forge", 12, 100), (child, "child", 6, 150)):
        assert (line["stage"], line["contestant"], line["megabytes"]) == ("odd", who, 0.2)
        assert line["data"] == ["sample_data"]
        assert {"date", "machine", "commit", "versions"} <= set(line)
        (measured,) = line["rounds"]
        assert measured["units"]["things"] == units
        assert measured["cpu_seconds"] > 0
        assert least < line["peak_mib"] < least + 45
    assert child["forge_is"]["median"] == pytest.approx(2, rel=0.25)
    assert ours["rounds"][0]["units"]["lines"] > 2
    assert str(ROOT) not in results.read_text()


def test_failure_names_stage_and_contestant(stage, tmp_path):
    """What went wrong is one line."""
    with pytest.raises(RUN["BenchmarkFailed"], match=r"^odd: broken failed: .*no such thing$"):
        RUN["measure"](str(stage), "broken", sys.executable, str(tmp_path))


def test_ratios_are_taken_by_pairs():
    """A slow round slows both sides of its pair and leaves the ratio."""

    def runs(*rates):
        return [{"cpu_seconds": 2.0, "units": {"MB": 2 * r}, "peak_mib": 1.0} for r in rates]

    found = RUN["summary"](runs(1, 2, 5), runs(10, 4, 50))
    assert found["forge_is"] == {"median": 10, "min": 2, "max": 10}
    assert found["per_cpu_second"] == {"MB": 2}


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--list"], 0), (["no-such"], 2), (["clean", "--rounds", "0"], 2)]
)
def test_command_line(arguments, code):
    """Stages are listed; an unknown one is refused."""
    command = [sys.executable, str(ROOT / "benchmarks/run.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert all(name in done.stdout + done.stderr for name in (STAGES if not code else ()))
