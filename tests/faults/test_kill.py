"""kill -9 of the whole process group at seeded random moments; run again; the same bytes.

FORGE_KILLS says how often each command is killed (2 in CI, 20 by ``make faults``).
"""

import contextlib
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from processes import start

from corpusforge import api, manifest

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parent.parent.parent
SAMPLE = str(ROOT / "sample_data")
KILLS = int(os.environ.get("FORGE_KILLS", "3"))
CLEAN = ["--set", "plan.unit_bytes=131072", "--workers", "2"]
CLEAN += ["--beam", "direct_running_mode=multi_processing"]
TOKENIZE = ["--algo", "bpe", "--vocab-size", "2000", "--workers", "2"]
TOKENIZE += ["--beam", "direct_running_mode=multi_processing"]
TRAIN = ["--steps", "24"]
for key, value in {
    "run.checkpoint_every": 5, "run.batch": 4, "run.evaluate_every": 10, "data.sequence": 64,
    "model.width": 32, "model.layers": 2, "model.heads": 2, "run.threads": 1,
}.items():  # fmt: skip
    TRAIN += ["--set", f"{key}={value}"]


def finish(arguments, folder):
    process = start(arguments, folder)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def sums(done):
    """Name and sha256 of the files of a run, but for the metrics: they hold rates."""
    return [(shard.name, shard.sha256) for shard in done.shards if shard.name != "metrics.jsonl"]


def losses(folder):
    lines = (folder / "run" / "model" / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    return [{k: v for k, v in r.items() if k not in ("tokens_per_second", "mfu")} for r in records]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Undisturbed runs of the three commands, and how long each took."""
    folder = tmp_path_factory.mktemp("reference")
    seconds = {}
    for name, arguments in COMMANDS.items():
        begin = time.monotonic()
        finish(arguments, folder)
        seconds[name] = time.monotonic() - begin
    return folder, seconds


COMMANDS = {
    "clean": ["clean", SAMPLE, "-o", "run/clean", *CLEAN],
    "tokenize": ["tokenize", "run/clean", "-o", "run/tok", *TOKENIZE],
    "train": ["train", "run/tok", "-o", "run/model", *TRAIN],
}
KIND = {"clean": "clean", "tokenize": "tok", "train": "model"}


@pytest.mark.parametrize("name", list(COMMANDS))
def test_killed_and_run_again_gives_the_same(name, reference, tmp_path):
    """Content digest and, for train, the final checkpoint's bytes are those of the whole run."""
    folder, seconds = reference
    want = manifest.read(str(folder / "run" / KIND[name]), name)
    moments = random.Random(f"corpusforge {name}")
    landed = 0
    for number in range(KILLS):
        here = tmp_path / str(number)
        for earlier in ("clean", "tok"):
            if earlier != KIND[name] and (earlier, name) != ("tok", "clean"):
                shutil.copytree(folder / "run" / earlier, here / "run" / earlier)
        here.mkdir(exist_ok=True)
        process = start(COMMANDS[name], here)
        time.sleep(moments.uniform(0.2, 0.9) * seconds[name])
        landed += process.poll() is None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        finish(COMMANDS[name], here)
        got = manifest.read(str(here / "run" / KIND[name]), name)
        assert got.content == want.content, f"kill {number}"
        assert sums(got) == sums(want), f"kill {number}"
        if name == "train":
            assert losses(here) == losses(folder), f"kill {number}"
        api.verify(str(here / "run" / KIND[name]))
        shutil.rmtree(here)
    print(f"{name}: {landed} of {KILLS} kills hit a running process")
    assert landed
