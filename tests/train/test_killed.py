"""Real processes, killed at seeded moments or asked to stop; the end has the same bits."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from tiny import small

from corpusforge import spec as specs
from corpusforge.train import checkpoint
from corpusforge.train.metrics import read

SCRIPT = """
import sys
from corpusforge import spec
from corpusforge.train.trainer import train
loaded = spec.load(spec.TrainSpec, file=sys.argv[3])
try:
    train([sys.argv[1]], sys.argv[2], loaded)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture(scope="module")
def setting(tokens, tmp_path_factory):
    """Spec file, arguments of a run in a folder, and the files of an undisturbed run."""
    folder = tmp_path_factory.mktemp("killed")
    spec = small(
        run__steps=60, run__checkpoint_every=3, run__keep_checkpoints=1,
        model__dropout=0.1, run__evaluate_every=30,
    )  # fmt: skip
    (folder / "spec.toml").write_text(specs.dump(spec))

    def start(out):
        arguments = [sys.executable, "-c", SCRIPT, tokens, str(out), str(folder / "spec.toml")]
        return subprocess.Popen(arguments, env={**os.environ, "PYTHONSAFEPATH": "1"})

    assert start(folder / "whole").wait(120) == 0
    return start, final(folder / "whole")


def final(out):
    path = checkpoint.existing(out).path
    files = [path / name for name in (*checkpoint.FILES, "manifest.json")]
    return [file.read_bytes() for file in [*files, out / "metrics.jsonl"]]


def wait_for_step(process, out, step):
    while process.poll() is None and sum(1 for line in read_quietly(out)) < step:
        time.sleep(0.005)
    assert process.poll() is None, "it ended before it could be killed"


def read_quietly(out):
    return read(out) if (out / "metrics.jsonl").exists() else []


def test_killed_three_times(setting, tmp_path):
    """kill -9 at three seeded moments: weights, optimizer, state and metrics are bit-equal."""
    start, want = setting
    draw = random.Random("corpusforge train")
    for step in (5, 20, 40):
        process = start(tmp_path)
        wait_for_step(process, tmp_path, step)
        time.sleep(draw.uniform(0, 0.1))  # while computing, logging or saving
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    process = start(tmp_path)
    assert process.wait(120) == 0
    assert final(tmp_path) == want
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000060"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop(setting, tmp_path, number):
    """SIGTERM and Ctrl-C save the step in progress; the next run goes on from there."""
    start, want = setting
    process = start(tmp_path)
    wait_for_step(process, tmp_path, 10)
    process.send_signal(number)
    assert process.wait(60) == 130
    assert checkpoint.existing(tmp_path).step == len(read(tmp_path)) < 60
    assert start(tmp_path).wait(120) == 0
    assert final(tmp_path) == want
