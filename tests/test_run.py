"""The run folder: one run at a time, one spec, nothing foreign touched."""

import json
import os
import socket
import subprocess
import sys

import pytest

from corpusforge import run as runs
from corpusforge.errors import RunError, UsageError
from corpusforge.run import RunFolder
from corpusforge.spec import CleanSpec, Dedup, TokenizeSpec


def test_a_second_spec_is_refused_with_the_keys(tmp_path):
    """The differing keys are named; the same spec goes on; --fresh starts anew."""
    root = str(tmp_path / "run")
    with RunFolder(root, "clean", CleanSpec()):
        pass
    with RunFolder(root, "clean", CleanSpec()):
        pass
    other = CleanSpec(dedup=Dedup(bands=20))
    with (
        pytest.raises(RunError, match=r"dedup.bands \(16 -> 20\).*--fresh"),
        RunFolder(root, "clean", other),
    ):
        pass
    (tmp_path / "run/old").write_text("x")
    with RunFolder(root, "clean", other, fresh=True):
        assert not (tmp_path / "run/old").exists()


def test_another_kind_is_refused(tmp_path):
    """A clean run's folder is not a tokenize run's."""
    with RunFolder(str(tmp_path / "r"), "clean", CleanSpec()):
        pass
    with (
        pytest.raises(RunError, match="holds a clean run"),
        RunFolder(str(tmp_path / "r"), "tokenize", TokenizeSpec()),
    ):
        pass


def test_a_foreign_folder_and_a_file_are_refused(tmp_path):
    """Nothing of the user's is deleted, --fresh or not."""
    (tmp_path / "thesis.tex").write_text("x")
    for fresh in (False, True):
        with (
            pytest.raises(RunError, match="no run folder"),
            RunFolder(str(tmp_path), "clean", CleanSpec(), fresh=fresh),
        ):
            pass
    with (
        pytest.raises(RunError, match="this is a file"),
        RunFolder(str(tmp_path / "thesis.tex"), "clean", CleanSpec()),
    ):
        pass
    assert (tmp_path / "thesis.tex").read_text() == "x"


def lock(tmp_path, **holder):
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "run/lock.json").write_text(json.dumps(holder))


def test_a_living_holder_is_respected_and_a_dead_one_is_not(tmp_path):
    """Alive on this host: refused. Dead, reused pid, or silent on another host: taken over."""
    root, me = str(tmp_path / "run"), os.getpid()
    alive = {"host": socket.gethostname(), "pid": me, "start": runs.process_start(me)}
    lock(tmp_path, **alive, heartbeat=0)
    with pytest.raises(RunError, match=f"pid {me}"), RunFolder(root, "clean", CleanSpec()):
        pass
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    for holder in (
        {**alive, "pid": child.pid},
        {**alive, "start": "1"},
        {**alive, "host": "elsewhere"},
    ):
        lock(tmp_path, **holder, heartbeat=0)
        with RunFolder(root, "clean", CleanSpec()):
            pass
    assert not (tmp_path / "run/lock.json").exists()


def test_a_torn_lock_is_taken_over(tmp_path):
    """A lock file cut by a kill does not stop the next run."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/lock.json").write_text('{"host": "x", "pi')
    with RunFolder(str(tmp_path / "run"), "clean", CleanSpec()):
        pass


def test_stale_temporary_files_are_swept(tmp_path):
    """What a killed run left under a temporary name is gone; the rest stays."""
    root = tmp_path / "run"
    with RunFolder(str(root), "clean", CleanSpec()):
        pass
    (root / "corpus").mkdir()
    (root / "corpus/part-00000.arrow.tmp-12ab").write_text("x")
    (root / "corpus/part-00001.arrow").write_text("x")
    with RunFolder(str(root), "clean", CleanSpec()):
        assert [p.name for p in (root / "corpus").iterdir()] == ["part-00001.arrow"]


def test_workers_below_one_are_refused():
    """--workers 0 is a usage error with an example."""
    with pytest.raises(UsageError, match="--workers 0; expected 1 or more"):
        runs.check_workers(0)
    assert runs.check_workers(None) >= 1


def test_a_child_ends_with_its_parent(tmp_path):
    """A worker whose parent was killed is gone within seconds."""
    code = (
        "import os, subprocess, sys, time\n"
        "from corpusforge.run import living_parent\n"
        "with living_parent():\n"
        "  child = subprocess.Popen([sys.executable, '-c', 'import time\\n"
        "from corpusforge.run import exit_with_parent\\n"
        "exit_with_parent()\\ntime.sleep(60)'])\n"
        "  print(child.pid, flush=True)\n"
        "  time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    for _ in range(200):
        if runs.process_start(pid) is None:
            return
        import time

        time.sleep(0.1)
    os.kill(pid, 9)
    raise AssertionError("the child outlived its parent")
