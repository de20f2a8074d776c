"""Sweeps whose processes are killed at seeded moments, or asked to stop; none of it shows.

FORGE_KILLS says how often each sweep is killed (2 in CI, 20 by ``make faults``).
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import SMALL

from corpusforge import api, manifest, trials
from corpusforge import spec as specs
from corpusforge.errors import RunError
from corpusforge.run import in_use, process_start

pytestmark = pytest.mark.faults

KILLS = int(os.environ.get("FORGE_KILLS", "3"))
TRIALS = 6
STEPS = 60


@pytest.fixture(scope="module")
def setting(tokens, tmp_path_factory):
    """Start a sweep with so many workers in a folder; the spec file."""
    folder = tmp_path_factory.mktemp("killed")
    train = {table: dict(fields) for table, fields in SMALL.items()}
    train["model"] |= {"dropout": 0.1}
    train["run"] |= {
        "steps": STEPS, "checkpoint_every": 4, "keep_checkpoints": STEPS, "evaluate_every": 10,
    }  # fmt: skip
    values = {
        "train": train,
        "sweep": {"trials": TRIALS, "warmup": 2, "keep": TRIALS},
        "ranges": {
            "optim.learning_rate": {"low": 1e-5, "high": 3e-2, "log": True},
            "model.activation": ["gelu", "swiglu"],
            "run.batch": {"low": 4, "high": 8, "step": 4},
        },
    }
    spec = folder / "sweep.toml"
    spec.write_text(specs.dump(specs.parse(specs.SweepSpec, values)))

    def start(out, workers):
        command = ["sweep", str(spec), tokens, "-o", str(out), "--workers", str(workers)]
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "corpusforge", *command, "--quiet"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    return start


def finish(process):
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return out


@pytest.fixture(scope="module")
def whole(setting, tmp_path_factory):
    """An undisturbed sweep of one worker, and how long it took."""
    out, begin = tmp_path_factory.mktemp("whole") / "sweep", time.monotonic()
    finish(setting(out, 1))
    return out, time.monotonic() - begin


def children(pid):
    """Processes that a process has started and that are alive."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in found if process_start(int(one)) is not None]


def checkpoints(out):
    """Every finished checkpoint's file by path, and what tells it from one that is written anew."""
    found = {}
    for path in out.glob("trials/*/checkpoints/step-??????/model.safetensors"):
        about = path.stat()
        found[path] = (about.st_ino, about.st_mtime_ns)
    return found


def wait_for(process, out, count):
    """Until so many checkpoints are there, or the sweep has ended."""
    while process.poll() is None and len(checkpoints(out)) < count:
        time.sleep(0.02)


def check(out, saved):
    """Every trial once, begun once, each step once, and what was saved was not computed again."""
    found = trials.read(str(out))
    assert [one["number"] for one in found] == list(range(TRIALS))
    assert {one["state"] for one in found} <= {"complete", "pruned"}
    assert sorted(path.name for path in out.glob("trials/????")) == [
        f"{number:04d}" for number in range(TRIALS)
    ]
    for one in found:
        folder = out / trials.folder(one["number"])
        events = [json.loads(line)["event"] for line in (folder / "log.jsonl").open()]
        assert events.count("start") == 1, events
        steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").open()]
        last = STEPS if one["state"] == "complete" else one["values"][-1][0]
        assert steps == list(range(1, last + 1))
        assert [step for step, _ in one["values"]] == list(range(10, last + 1, 10))
    now = checkpoints(out)
    assert all(now.get(path) == about for path, about in saved.items() if path in now)
    assert len(saved.keys() - now.keys()) == sum(
        path.parent.parent.parent.name in pruned(found) for path in saved
    )
    assert not in_use(str(out))
    api.verify(str(out))
    return found


def pruned(found):
    return {f"{one['number']:04d}" for one in found if one["state"] != "complete"}


@pytest.mark.parametrize("workers", [1, 2])
def test_the_sweep_is_killed(setting, whole, tmp_path, workers):
    """kill -9 of the sweep alone at random moments, over and over; then it ends.

    With one worker its content is that of a sweep that was left alone.
    """
    out, seconds = tmp_path / "sweep", whole[1]
    moments = random.Random(f"corpusforge sweep {workers}")
    landed, resumed, saved = 0, 0, {}
    for number in range(KILLS):
        process = setting(out, workers)
        if number % 3 == 0:  # at any time, also while it starts
            time.sleep(moments.uniform(0.05, 0.6) * seconds)
        else:
            wait_for(process, out, len(saved) + moments.randrange(1, 1 + 40 // KILLS))
            time.sleep(moments.uniform(0, 0.2))
        landed += process.poll() is None
        before = children(process.pid) if process.poll() is None else []
        process.kill()
        process.wait()
        while any(process_start(one) is not None for one in before):
            time.sleep(0.01)  # they end with it
        now = checkpoints(out)
        resumed += bool(now)
        saved = now | saved
    finish(setting(out, workers))
    found = check(out, saved)
    print(f"{landed} of {KILLS} kills hit a running sweep, {resumed} after a checkpoint")
    assert landed and resumed
    if workers == 1:
        assert found == trials.read(str(whole[0]))
        assert (
            manifest.read(str(out), "sweep").content
            == manifest.read(str(whole[0]), "sweep").content
        )
        assert any(one["state"] == "pruned" for one in found)


def test_its_workers_are_killed(setting, whole, tmp_path):
    """kill -9 of a worker: the sweep itself goes on with the trial, from its checkpoint."""
    out, saved, hit = tmp_path / "sweep", {}, set()
    process = setting(out, 1)
    while process.poll() is None and len(hit) < 2:
        time.sleep(0.02)
        now = checkpoints(out)
        running = {path.parents[2].name for path in now} - hit
        workers = children(process.pid)
        if running and workers:
            newest = max(running)
            os.kill(workers[0], signal.SIGKILL)
            hit.add(newest)
            saved |= now
    finish(process)
    assert len(hit) == 2
    assert check(out, saved) == trials.read(str(whole[0]))


def worker_on(process, out, event):
    """The one worker, once its first trial has such an event in its log."""
    log = out / "trials/0000/log.jsonl"
    while process.poll() is None:
        if log.exists() and f'"event": "{event}"' in log.read_text() and children(process.pid):
            return children(process.pid)[0]
        time.sleep(0.02)
    raise AssertionError(process.communicate()[1])


def test_a_trial_whose_process_ends_twice_has_failed(setting, whole, tmp_path):
    """With what ended it; all others are trained."""
    out = tmp_path / "sweep"
    process = setting(out, 1)
    for event in ("start", "continue"):
        one = worker_on(process, out, event)
        wait_for(process, out, 1)
        os.kill(one, signal.SIGKILL)
        while process_start(one) is not None:
            time.sleep(0.01)
    finish(process)
    first, *others = trials.read(str(out))
    assert first["state"] == "failed" and first["reason"].startswith("2 times")
    assert "signal 9" in first["reason"]
    assert len(others) == TRIALS - 1 and all(one["state"] != "failed" for one in others)


def test_a_worker_is_told_to_stop_by_others(setting, whole, tmp_path):
    """It saves its trial, which goes on in another."""
    out = tmp_path / "sweep"
    process = setting(out, 1)
    one = worker_on(process, out, "start")
    wait_for(process, out, 1)
    os.kill(one, signal.SIGTERM)
    finish(process)
    assert check(out, {}) == trials.read(str(whole[0]))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_is_asked_to_stop(setting, whole, tmp_path, number):
    """Trials save their state, one line says how to go on, and nothing is left running."""
    out, saved = tmp_path / "sweep", {}
    process = setting(out, 1)
    while not checkpoints(out):
        time.sleep(0.02)
        assert process.poll() is None
    workers = children(process.pid)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130 and len(err.strip().splitlines()) == 1
    assert "run the same command again to go on" in err
    assert not any(process_start(one) is not None for one in workers)
    saved = checkpoints(out)
    log = [json.loads(line) for line in next(out.glob("trials/*/log.jsonl")).open()]
    assert log[-1]["event"] == "end" and "KeyboardInterrupt" in log[-1]["error"]
    finish(setting(out, 1))
    assert check(out, saved) == trials.read(str(whole[0]))


def test_a_second_sweep_in_the_folder_is_refused_at_once(setting, whole, tmp_path):
    """And does no harm to the first."""
    out = tmp_path / "sweep"
    first = setting(out, 1)
    while not checkpoints(out):
        time.sleep(0.02)
        assert first.poll() is None
    second = setting(out, 1)
    _, err = second.communicate(timeout=60)
    assert second.returncode == 3 and "works here" in err
    assert first.poll() is None, "the first one ended before the second was refused"
    finish(first)
    assert check(out, {}) == trials.read(str(whole[0]))


def test_the_folder_of_a_trial_is_removed(setting, whole, tmp_path):
    """Of one that was running: it begins anew, under its number; of a finished one: it stays so."""
    out = tmp_path / "sweep"
    process = setting(out, 1)
    while not (out / "trials/0001/checkpoints").exists():
        time.sleep(0.02)
        assert process.poll() is None
    process.kill()
    process.wait()
    time.sleep(1)
    for folder in out.glob("trials/????"):
        shutil.rmtree(folder)
    finish(setting(out, 1))
    assert trials.read(str(out)) == trials.read(str(whole[0]))


def test_damaged_data_stop_the_sweep_and_fail_no_trial(tokens, tmp_path):
    """Mended, the sweep goes on with the same trial."""
    data, out = tmp_path / "tok", str(tmp_path / "s")
    shutil.copytree(tokens, data)
    shard = next((data / "tokens").glob("*.arrow"))
    good = shard.read_bytes()
    shard.write_bytes(good[:1000] + bytes(8) + good[1008:])
    values = {"train": SMALL, "sweep": {"trials": 1}, "ranges": {"run.batch": [4, 8]}}
    spec = specs.parse(specs.SweepSpec, values)
    with pytest.raises(RunError, match="run again to go on"):
        api.sweep([str(data)], out, spec)
    shard.write_bytes(good)
    run = api.sweep([str(data)], out, spec)
    assert (run.counts["in"], run.counts["kept"]) == (1, 1)
