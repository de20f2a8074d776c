"""One content digest of clean and of tokenize on every engine that runs without a cloud."""

import hashlib
import json
import os
import signal
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from services import LIMIT, dask, external_pool, forge, needs_dask

pytestmark = pytest.mark.engines

SAMPLE = Path(__file__).parent.parent.parent / "sample_data"
UNITS = ("--set", "plan.unit_bytes=131072", "--set", "plan.range_bytes=65536")
MULTI = ("--beam", "direct_running_mode=multi_processing")


COMMANDS = {
    "documents": ["clean", SAMPLE, "-o", "clean", *UNITS],
    "encode": ["tokenize", "clean", "-o", "tok", "--vocab-size", "1000"],
}


def run(folder, options):
    """Clean the sample and tokenize it; returns what must be equal everywhere."""
    for command in COMMANDS.values():
        done = forge(folder, *command, *options)
        assert done.returncode == 0, done.stderr
    return what(folder)


def what(folder):
    """Content and counts of both runs, and the counts that a word seen twice would change."""
    found = {}
    for name in ("clean", "tok"):
        made = json.loads((folder / name / "manifest.json").read_text())
        found[name] = (made["content"], made["counts"])
    found["words"] = hashlib.sha256((folder / "tok/counts.parquet").read_bytes()).hexdigest()
    return found


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What one process makes."""
    return run(tmp_path_factory.mktemp("in_memory"), ["--workers", "1"])


@pytest.mark.parametrize("workers", [1, 2])
def test_multi_processing(tmp_path, expected, workers):
    """One and two worker processes of the local engine."""
    assert run(tmp_path, ["--workers", workers, *MULTI]) == expected


def test_an_external_worker_pool_behind_a_job_service(tmp_path, expected):
    """The portable job API; the workers are in another process, in another folder."""
    away = tmp_path / "away"
    away.mkdir()
    with external_pool(away) as options:
        assert run(tmp_path, options) == expected
    assert "Starting worker" in (away / "pool.log").read_text()  # none of the work was done here


@needs_dask
def test_dask_with_a_killed_worker(tmp_path, expected):
    """Of two worker processes one is killed in each command: nothing is lost, nothing is twice."""
    away = tmp_path / "away"
    away.mkdir()
    for stage, command in COMMANDS.items():
        begun = tmp_path / command[command.index("-o") + 1] / "progress" / stage
        with dask(away, threads=2) as (options, workers):

            def kill(process, begun=begun, worker=workers[0]):
                deadline = time.monotonic() + LIMIT
                while not (begun.is_dir() and list(begun.iterdir())):
                    assert process.poll() is None and time.monotonic() < deadline
                    time.sleep(0.01)
                os.kill(worker.pid, signal.SIGKILL)

            done = forge(tmp_path, *command, *options, meanwhile=kill)
            assert done.returncode == 0, done.stderr
            assert workers[0].poll() is not None and workers[1].poll() is None
    assert what(tmp_path) == expected
    ids = pq.ParquetDataset(tmp_path / "clean/ledger").read(["id"])["id"]
    assert len(ids) == len(ids.unique()) == expected["clean"][1]["in"]
