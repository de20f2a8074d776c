"""Training across processes is training in one: losses, parameters, checkpoints, ends."""

import os
import signal
import time

import pytest
from processes import children, ended, files, lines, run, start
from tiny import of, small

from corpusforge.train import checkpoint
from corpusforge.train.metrics import read

pytestmark = pytest.mark.parallel

CHANGES = {
    "model__layers": 2,
    "model__width": 64,
    "model__heads": 4,
    "model__dropout": 0.1,
    "run__steps": 50,
    "run__accumulate": 4,
    "run__checkpoint_every": 20,
    "run__keep_checkpoints": 5,
    "run__evaluate_every": 25,
}


@pytest.fixture(scope="module")
def alone(tokens, tmp_path_factory):
    """A run in one process that computes a batch in four slices."""
    out = tmp_path_factory.mktemp("alone") / "run"
    run(tokens, out, small(**CHANGES), 1)
    return out


@pytest.mark.parametrize("processes", [2, 4])
def test_data_parallel_is_accumulation_bit_for_bit(tokens, alone, tmp_path, processes):
    """Weights, optimizer, state and every figure, with dropout; one process speaks."""
    out = tmp_path / "run"
    answer = run(tokens, out, small(**CHANGES), processes)
    assert files(out) == files(alone)
    assert lines(out) == lines(alone)
    assert answer["steps"] == 50 and len(answer["continuations"]) == 3


@pytest.mark.parametrize("objective", ["masked", "permutation", "spans"])
def test_every_objective(folders, tmp_path, objective):
    """Two processes end in the bits of one, whatever a model is trained for."""
    spec = of(objective, run__accumulate=2, model__dropout=0.1)
    run(folders[objective], tmp_path / "one", spec, 1)
    run(folders[objective], tmp_path / "two", spec, 2)
    assert files(tmp_path / "two") == files(tmp_path / "one")
    assert lines(tmp_path / "two") == lines(tmp_path / "one")


def test_more_processes_than_slices(tokens, tmp_path):
    """A batch has a slice a process at least: the same as so many slices."""
    run(tokens, tmp_path / "one", small(run__accumulate=2), 1)
    run(tokens, tmp_path / "two", small(), 2)
    one, two = lines(tmp_path / "one"), lines(tmp_path / "two")
    assert one == two


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_rank_ends_the_job(tokens, alone, tmp_path, rank):
    """One line within 30 s; the run goes on with as many processes, or with one, in equal bits."""
    out = tmp_path / "run"
    process = start(tokens, out, small(**CHANGES), 4)
    wait_for(process, out, 25)
    os.kill(children(process)[rank], signal.SIGKILL)
    killed = time.monotonic()
    code, said, error = ended(process)
    assert time.monotonic() - killed < 30
    assert code and not said
    (line,) = [line for line in error.splitlines() if line.startswith("forge: ")]
    assert "one of the 4 processes of this run ended" in line and "goes on after" in line
    assert checkpoint.existing(out).step == 20
    run(tokens, out, small(**CHANGES), (1, 2)[rank])
    assert files(out) == files(alone)
    assert lines(out) == lines(alone)


def test_asked_to_stop(tokens, alone, tmp_path):
    """SIGTERM to torchrun: all end after one step, which is saved, and go on from there."""
    out = tmp_path / "run"
    process = start(tokens, out, small(**CHANGES), 2)
    wait_for(process, out, 7)
    process.send_signal(signal.SIGTERM)
    code, _, error = ended(process)
    assert code
    assert error.count("forge: interrupted") == 1, error
    assert checkpoint.existing(out).step == len(read(out)) < 50
    run(tokens, out, small(**CHANGES), 4)
    assert files(out) == files(alone)


def test_a_finished_run_is_answered(tokens, alone):
    """Again, in more processes: nothing is trained."""
    before = files(alone)
    assert run(tokens, alone, small(**CHANGES), 2)["steps"] == 50
    assert files(alone) == before


def test_errors_are_one_line(tokens, tmp_path):
    """Whatever all processes find wrong is said once."""
    for sets, words in (
        (["parallel.data=3"], "are 3 processes, but there are 2"),
        (["run.accumulate=1", "run.batch=3"], "cannot be shared by 2"),
        (["parallel.shard=optimizer", "optim.name=adafactor"], "whose state can be cut"),
        (["optim.learning_rate=1e30", "optim.clip=0"], "expected finite numbers"),
    ):
        code, _, error = ended(start(tokens, tmp_path / "run", small(), 2, *sets))
        said = [line for line in error.splitlines() if line.startswith("forge: ")]
        assert code and len(said) == 1 and words in said[0], error


def wait_for(process, out, step):
    end = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < end:
        if (out / "metrics.jsonl").exists() and len(read(out)) >= step:
            return
        time.sleep(0.01)
    raise AssertionError(ended(process))
