"""Training across processes is training in one: losses, parameters, checkpoints, ends."""

import os
import shutil
import signal
import time

import pytest
from ranks import COPIES, RESAVE, apart, children, ended, files, lines, run, start, within
from tiny import of, small

from corpusforge import spec as specs
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


LAYOUTS = {
    "2 optimizer": (2, "parallel.shard=optimizer"),
    "2 gradients": (2, "parallel.shard=gradients"),
    "2 full": (2, "parallel.shard=true"),
    "2 tensor": (2, "parallel.tensor=2"),
    "4 optimizer": (4, "parallel.shard=optimizer"),
    "4 gradients": (4, "parallel.shard=gradients"),
    "4 full": (4, "parallel.shard=full", "run.recompute=true"),
    "4 tensor": (4, "parallel.tensor=4"),
    "2 x 2": (4, "parallel.data=2", "parallel.tensor=2"),
    "2 gradients x 2": (4, "parallel.tensor=2", "parallel.shard=gradients"),
    "2 full x 2": (4, "parallel.tensor=2", "parallel.shard=full"),
}
EQUAL = {"run__accumulate": 4, "run__steps": 50, "model__width": 64, "model__heads": 4}


@pytest.fixture(scope="module")
def equal(tokens, tmp_path_factory):
    """A run in one process without dropout, whose draws tensor processes do not share."""
    out = tmp_path_factory.mktemp("equal") / "run"
    run(tokens, out, small(**EQUAL), 1)
    return out


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_trains_the_same_model(tokens, equal, tmp_path, layout):
    """The bars: losses 1e-5, parameters 1e-4; biases of keys have no gradient but noise."""
    processes, *sets = LAYOUTS[layout]
    spec = small(**EQUAL, run__recompute="run.recompute=true" in sets)
    run(tokens, tmp_path / "run", spec, processes, *sets)
    losses, parameters = apart(equal, tmp_path / "run", skip="key.bias")
    print(f"{layout}: losses {losses:.1e}, parameters {parameters:.1e}")
    assert losses <= 1e-5 and parameters <= 1e-4
    held = [line["heldout_loss"] for line in lines(tmp_path / "run") if "heldout_loss" in line]
    want = [line["heldout_loss"] for line in lines(equal) if "heldout_loss" in line]
    assert held == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("layout", ["2 optimizer", "2 full", "4 tensor", "2 x 2", "2 full x 2"])
def test_checkpoints_know_no_layout(tokens, equal, tmp_path, layout):
    """Read in a layout and written again: equal bytes; then read by one process, and again."""
    processes, *sets = LAYOUTS[layout]
    out = tmp_path / "run"
    shutil.copytree(equal, out)
    shutil.copy(equal.parent / "run.toml", tmp_path)
    before = files(out)
    manifest = checkpoint.existing(out).path / "manifest.json"
    for number in (processes, 1):
        written = manifest.stat().st_mtime_ns
        within(RESAVE, tokens, out, number, *(sets if number > 1 else []))
        assert files(out) == before
        assert manifest.stat().st_mtime_ns != written


@pytest.mark.parametrize("objective", ["masked", "spans"])
def test_tensor_parallel_of_every_stack(folders, tmp_path, objective):
    """The encoder with its heads, cross attention, biases by head; a vocabulary that is uneven."""
    changes = {"run__accumulate": 2, "model__heads": 4, "loss__smoothing": 0.1}
    if objective == "masked":
        changes |= {"loss__focal": 1.0, "loss__z_loss": 1e-3}
    else:
        changes |= {"model__tied": False, "model__kv_heads": 2, "model__activation": "swiglu"}
    spec = of(objective, **changes)
    run(folders[objective], tmp_path / "one", spec, 1)
    run(folders[objective], tmp_path / "two", spec, 2, "parallel.tensor=2")
    losses, parameters = apart(tmp_path / "one", tmp_path / "two", skip="key.bias")
    assert losses <= 1e-5 and parameters <= 1e-4
    one, two = (lines(tmp_path / name)[-1] for name in ("one", "two"))
    for name in ("heldout_loss", "pseudo_perplexity", "masked_accuracy"):
        assert two.get(name, 0) == pytest.approx(one.get(name, 0), rel=1e-5)


@pytest.mark.parametrize("data", [1, 2])
def test_copies_stay_copies(tokens, tmp_path, data):
    """With dropout, whose draws differ inside the stacks and not around them."""
    spec = small(model__dropout=0.3, model__heads=4, model__norm="post", model__position="learned")
    (tmp_path / "run.toml").write_text(specs.dump(spec))
    within(COPIES, tokens, tmp_path / "run", 2 * data, "parallel.tensor=2")


def test_two_streams_divided_fully(folders, tmp_path):
    """What is not cut by tensor is refused in one line; full sharding divides it."""
    spec = of("permutation", run__accumulate=2, corrupt__memory=8)
    run(folders["permutation"], tmp_path / "one", spec, 1)
    run(folders["permutation"], tmp_path / "two", spec, 2, "parallel.shard=full")
    losses, parameters = apart(tmp_path / "one", tmp_path / "two")
    assert losses <= 1e-5 and parameters <= 1e-4
    code, _, error = ended(
        start(folders["permutation"], tmp_path / "no", spec, 2, "parallel.tensor=2")
    )
    assert code and error.count("forge: ") == 1 and "two streams is not cut" in error


def test_killed_and_resumed_in_another_layout(tokens, equal, tmp_path):
    """Tensor and full sharding on four, killed; on with optimizer sharding on two, then alone."""
    out, spec = tmp_path / "run", small(**EQUAL)
    for step, processes, *sets in (
        (12, *LAYOUTS["2 full x 2"]),
        (24, *LAYOUTS["2 optimizer"]),
        (36, *LAYOUTS["2 tensor"]),
    ):
        process = start(tokens, out, spec, processes, *sets)
        wait_for(process, out, step)
        os.kill(children(process)[-1], signal.SIGKILL)
        killed = time.monotonic()
        code, _, error = ended(process)
        assert code and time.monotonic() - killed < 30
        assert error.count("forge: one of the") == 1, error
    run(tokens, out, spec, 1)
    losses, parameters = apart(equal, out, skip="key.bias")
    assert losses <= 1e-5 and parameters <= 1e-4


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
    code, _, error = ended(start(tokens, alone, small(), 2))  # which the first process alone finds
    assert code and error.count("forge: ") == 1 and "made with another spec" in error
    assert files(alone) == before


def test_errors_are_one_line(tokens, tmp_path):
    """Whatever all processes find wrong is said once."""
    for sets, words in (
        (["parallel.data=3"], "are 3 processes, but there are 2"),
        (["run.accumulate=1", "run.batch=3"], "cannot be shared by 2"),
        (["data.packing=pairs"], "expected bestfit or chop"),
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
