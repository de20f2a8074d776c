"""The scripts of docs/storage.md with four processes that are killed at random and started again.

A task of the Slurm array is a process of its script; the ssh loop runs with an ``ssh`` that drops
the host. What comes out is what a plain run gives, once.
"""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import start

from corpusforge import api, manifest

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parent.parent.parent
SAMPLE = str(ROOT / "sample_data")
PARTS = 4
KILLS = min(5, int(os.environ.get("FORGE_KILLS", "3")))  # of each part: a round may take a minute
SETTINGS = '[clean.plan]\nunit_bytes = 131072\n[tokenize]\nalgo = "bpe"\nvocab_size = 2000\n'
LIMIT = 600  # seconds


def script(first):
    """The block of the page that begins with ``first``."""
    page = (ROOT / "docs/storage.md").read_text()
    return next(b for b in re.findall(r"```bash\n(.*?)```", page, re.S) if b.startswith(first))


@pytest.fixture
def shell(tmp_path):
    """A folder with a forge.toml, and the environment that the scripts run in."""
    commands = tmp_path / "bin"
    commands.mkdir()
    forge = f'#!/bin/bash\nexec "{sys.executable}" -m corpusforge "$@"\n'
    for name, text in (("forge", forge), ("ssh", '#!/bin/bash\nshift\nexec "$@"\n')):
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    (tmp_path / "forge.toml").write_text(SETTINGS)
    path = f"{commands}:{os.environ['PATH']}"
    return tmp_path, {**os.environ, "PATH": path, "PYTHONSAFEPATH": "1"}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The run and its tokens in one process."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "forge.toml").write_text(SETTINGS)
    for arguments in (["clean", SAMPLE, "-o", "run"], ["tokenize", "run", "-o", "tok"]):
        process = start(arguments, folder)
        assert process.wait(LIMIT) == 0, process.stderr.read()
    return folder


def kill(process):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def same(root, other, kind):
    """One digest, one set of files: nothing lost, nothing twice, nothing left over."""
    got, want = (manifest.read(str(path), kind) for path in (root, other))
    assert got.content == want.content and got.counts == want.counts
    assert [(s.name, s.sha256) for s in got.shards] == [(s.name, s.sha256) for s in want.shards]
    api.verify(str(root))
    assert {path.name for path in root.iterdir()} == {path.name for path in other.iterdir()}
    assert not [path for path in root.rglob("*") if ".tmp" in path.name]


def array(text, folder, env, draw):
    """Run the tasks of an array; each is killed KILLS times, then left alone; returns the kills."""

    def task(number):
        own = {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_ARRAY_TASK_COUNT": str(PARTS)}
        return subprocess.Popen(
            ["bash", "-c", text],
            cwd=folder,
            env={**env, **own},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    tasks = {number: task(number) for number in range(PARTS)}
    left = dict.fromkeys(tasks, KILLS)
    moments = {number: time.monotonic() + draw.uniform(2, 14) for number in tasks}
    end, landed = time.monotonic() + LIMIT, 0
    while tasks:
        assert time.monotonic() < end
        time.sleep(0.05)
        for number, process in list(tasks.items()):
            if process.poll() is not None:
                assert process.returncode == 0, process.stderr.read()
                del tasks[number]
            elif left[number] and time.monotonic() > moments[number]:
                kill(process)
                landed, left[number] = landed + 1, left[number] - 1
                tasks[number] = task(number)
                moments[number] = time.monotonic() + draw.uniform(2, 14)
    return landed


def test_an_array_whose_tasks_die(shell, plain):
    """The script as it stands, and then tokenize the same way."""
    folder, env = shell
    draw = random.Random("parts")
    text = script("#!/bin/bash")
    kills = array(text, folder, {**env, "PAGES": SAMPLE, "RUN": "run"}, draw)
    closing = start(["clean", SAMPLE, "-o", "run", "--finish"], folder)
    assert closing.wait(LIMIT) == 0, closing.stderr.read()
    same(folder / "run", plain / "run", "clean")
    text = text.replace("forge clean", "forge tokenize")
    kills += array(text, folder, {**env, "PAGES": "run", "RUN": "tok"}, draw)
    closing = start(["tokenize", "run", "-o", "tok", "--finish"], folder)
    assert closing.wait(LIMIT) == 0, closing.stderr.read()
    same(folder / "tok", plain / "tok", "tokenize")
    print(f"{kills} kills hit a running part")
    assert kills >= PARTS


def test_the_ssh_loop_whose_hosts_die(shell, plain):
    """A host that dies in the first round is made up for in the next."""
    folder, env = shell
    hosts = {**env, "PAGES": SAMPLE, "RUN": "run", "HOSTS": "a b c d"}
    text = script("until forge")
    loop = subprocess.Popen(["bash", "-c", text], cwd=folder, env=hosts, start_new_session=True)
    try:
        victims = set()
        end = time.monotonic() + LIMIT
        while len(victims) < 2 and loop.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    words = entry.read_bytes().split(b"\0")
                    mine = os.getpgid(int(entry.parent.name)) == loop.pid
                    part = words[words.index(b"--part") + 1] if b"--part" in words else b""
                    begun = (folder / "run/work").exists()
                    if mine and begun and part in (b"1/4", b"2/4") and part not in victims:
                        victims.add(part)
                        os.kill(int(entry.parent.name), signal.SIGKILL)
        assert loop.wait(LIMIT) == 0
        assert len(victims) == 2
    finally:
        kill(loop)
    same(folder / "run", plain / "run", "clean")
    shutil.rmtree(folder / "run")
