"""The run folder: one run at a time, one spec, nothing foreign touched."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from corpusforge import run as runs
from corpusforge.errors import RunError, UsageError
from corpusforge.run import RunFolder
from corpusforge.spec import CleanSpec, Dedup, TokenizeSpec

OTHER = CleanSpec(dedup=Dedup(bands=20))


def refused(match, root, spec=None, kind="clean", fresh=False):
    with (
        pytest.raises(RunError, match=match),
        RunFolder(str(root), kind, spec or CleanSpec(), fresh=fresh),
    ):
        pass


def begun(root, spec=None, work="commits/documents/part-00000.commit.json"):
    """A run with some work done."""
    with RunFolder(str(root), "clean", spec or CleanSpec()):
        (root / work).parent.mkdir(parents=True, exist_ok=True)
        (root / work).write_text("{}")


def files(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "work", ["commits/documents/a.commit.json", "checkpoints/step-000010/x", "manifest.json"]
)
def test_a_second_spec_is_refused_with_the_keys(tmp_path, work):
    """The differing keys are named; the same spec goes on; --fresh starts anew."""
    root = tmp_path / "run"
    begun(root, work=work)
    with RunFolder(str(root), "clean", CleanSpec()):
        assert (root / work).exists()
    refused(r"dedup.bands \(16 -> 20\).*--fresh", root, OTHER)
    with RunFolder(str(root), "clean", OTHER, fresh=True):
        assert not (root / work).exists()


def test_a_failed_first_attempt_leaves_no_claim(tmp_path):
    """While nothing is committed, another spec replaces the old one, and the old plan goes."""
    root = tmp_path / "run"
    for spec in (CleanSpec(), OTHER, CleanSpec()):
        with RunFolder(str(root), "clean", spec):
            assert not (root / "plan.json").exists()
            (root / "plan.json").write_text("{}")
            (root / "commits/documents").mkdir(parents=True, exist_ok=True)
    begun(root)
    (root / "plan.json").write_text("{}")
    refused("another spec", root, OTHER)
    with RunFolder(str(root), "clean", CleanSpec()):
        assert (root / "plan.json").exists()


def test_another_kind_is_refused(tmp_path):
    """A clean run's folder is not a tokenize run's."""
    with RunFolder(str(tmp_path / "r"), "clean", CleanSpec()):
        pass
    for fresh in (False, True):
        refused("holds a clean run", tmp_path / "r", TokenizeSpec(), "tokenize", fresh)


def test_fresh_keeps_a_run_of_another_kind(tmp_path):
    """The kind is compared before anything is cleared."""
    root = tmp_path / "run"
    begun(root)
    before = files(root)
    refused("holds a clean run", root, TokenizeSpec(), "tokenize", fresh=True)
    assert files(root) == before


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize(
    "mine",
    [
        {"thesis.tex": "x"},
        {"log.jsonl": "x", "thesis.tex": "x"},
        {"lock.json": "{}", "corpus/a.txt": "x"},
        {"spec.toml": "title = 'mine'"},
        {"spec.toml": "# forge\n"},
        {"spec.toml": "# forge bread\n", "log.jsonl": "x"},
        {"spec.toml": "", "corpus/a.txt": "x"},
    ],
)
def test_a_foreign_folder_is_refused_untouched(tmp_path, mine, fresh):
    """Nothing of the user's is deleted, --fresh or not."""
    for name, text in mine.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    refused("no run folder", tmp_path, fresh=fresh)
    assert files(tmp_path) == {name: text.encode() for name, text in mine.items()}


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("torn", ["", "# forge cl"])
def test_what_a_kill_at_the_start_leaves_is_taken(tmp_path, torn, fresh):
    """A lock, a log, a spec cut in its first line and a temporary name do not stop a run."""
    for name in ("lock.json", "log.jsonl", "spec.toml", "spec.toml.tmp-0123456789abcdef"):
        (tmp_path / name).write_text(torn)
    with RunFolder(str(tmp_path), "clean", CleanSpec(), fresh=fresh):
        assert (tmp_path / "spec.toml").read_text().startswith("# forge clean\n")
    assert sorted(files(tmp_path)) == ["log.jsonl", "spec.toml"]


def test_a_damaged_spec_is_told(tmp_path):
    """A spec.toml of ours that is no TOML: one line, and --fresh helps."""
    root = tmp_path / "run"
    begun(root)
    (root / "spec.toml").write_text("# forge clean\n[dedup\nbands")
    refused("spec.toml: not TOML.*--fresh", root)
    with RunFolder(str(root), "clean", CleanSpec(), fresh=True):
        pass


def test_fresh_clears_what_forge_wrote_and_no_more(tmp_path):
    """The user's notes in a run folder survive --fresh, and a continued run."""
    root = tmp_path / "run"
    begun(root)
    for name in ("corpus/part-00000.arrow", "report.html", "notes/a.md", "a.tmp-1/b", "todo.txt"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("x")
    with RunFolder(str(root), "clean", CleanSpec()):
        assert (root / "corpus/part-00000.arrow").exists()
    with RunFolder(str(root), "clean", CleanSpec(), fresh=True):
        pass
    found = ["a.tmp-1/b", "log.jsonl", "notes/a.md", "spec.toml", "todo.txt"]
    assert sorted(files(root)) == found


def test_places_that_cannot_be_used_are_told(tmp_path):
    """A file, a folder under a file, a name the disk refuses, an unknown protocol: one line."""
    (tmp_path / "notes.jsonl").write_text("x")
    refused("notes.jsonl: this is a file", tmp_path / "notes.jsonl")
    refused("notes.jsonl/x: .*Not a directory", tmp_path / "notes.jsonl/x")
    refused(f"{'x' * 300}: .*File name too long", tmp_path / ("x" * 300))
    refused("nosuch://x: .*nosuch", "nosuch://x")
    assert (tmp_path / "notes.jsonl").read_text() == "x"


@pytest.mark.skipif(not Path("/proc/sys").is_dir(), reason="needs Linux's /proc")
def test_a_place_without_permission_is_told():
    """What the system does not let us create is told with its reason (root may not either)."""
    refused("/proc/forge-run: this folder cannot be used: ", "/proc/forge-run")


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


def test_a_lock_of_another_shape_is_taken_over(tmp_path):
    """JSON that is no lock counts as torn."""
    for text in ("[]", "{}", '{"pid": 1}'):
        (tmp_path / "lock.json").write_text(text)
        with RunFolder(str(tmp_path), "clean", CleanSpec()):
            pass


def test_of_many_that_find_a_stale_lock_one_holds(tmp_path):
    """Racing runs: exactly one enters, the others are refused, round after round."""
    root, rounds, racers = tmp_path / "run", 40, 4
    with RunFolder(str(root), "clean", CleanSpec()):
        pass
    stale = {"host": "elsewhere", "pid": 1, "start": "1", "heartbeat": 0}
    barrier = threading.Barrier(racers, timeout=60)
    held, others = [], []

    def race():
        for number in range(rounds):
            if barrier.wait() == 0:
                lock(tmp_path, **stale)
            barrier.wait()
            try:
                with RunFolder(str(root), "clean", CleanSpec()):
                    held.append(number)
                    barrier.wait()
            except RunError as error:
                others.append(str(error))
                barrier.wait()

    threads = [threading.Thread(target=race) for _ in range(racers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held == list(range(rounds))
    assert len(others) == rounds * (racers - 1)
    assert all("works here" in text for text in others)


def test_a_run_whose_lock_was_taken_stops_and_leaves_it(tmp_path):
    """It stops at its next line of log, removal or end; the other's lock and files stay."""
    root = tmp_path / "run"
    me = os.getpid()
    for other in (
        {"host": "elsewhere", "pid": me, "start": runs.process_start(me)},
        {"host": socket.gethostname(), "pid": me, "start": "1"},
    ):
        for act in (
            lambda run: run.log("x"),
            lambda run: run.remove("spec.toml"),
            lambda run: run.check(),
            lambda run: None,
        ):
            with (
                pytest.raises(RunError, match=r"another run's.*stops"),
                RunFolder(str(root), "clean", CleanSpec()) as run,
            ):
                lock(tmp_path, **other, heartbeat=0)
                act(run)
            assert json.loads((root / "lock.json").read_text()) == {**other, "heartbeat": 0}
            assert (root / "spec.toml").exists()
            (root / "lock.json").unlink()


def test_the_heartbeat_renews_only_the_own_lock(tmp_path, monkeypatch):
    """The sign of life moves; a lock of another process of the same pid is left alone."""
    monkeypatch.setattr(runs, "HEARTBEAT", 0.01)
    file = tmp_path / "run/lock.json"
    run = RunFolder(str(file.parent), "clean", CleanSpec())

    def moves():
        before = file.read_text()
        for _ in range(100):
            time.sleep(0.01)
            if file.read_text() != before:
                return True
        return False

    with pytest.raises(RunError, match="another run's"), run:
        assert moves()
        run._mutex.acquire()
        lock(tmp_path, host=socket.gethostname(), pid=os.getpid(), start="1", heartbeat=0)
        run._mutex.release()
        assert not moves()


def test_what_stopped_a_run_is_told_even_when_its_lock_is_gone(tmp_path):
    """The first error is the answer."""
    with (
        pytest.raises(ZeroDivisionError),
        RunFolder(str(tmp_path / "run"), "clean", CleanSpec()),
    ):
        (tmp_path / "run/lock.json").unlink()
        _ = 1 / 0


def test_a_folder_held_by_flock_is_told(tmp_path, monkeypatch):
    """A program that locks the folder itself does not make a run wait for ever."""
    import fcntl

    monkeypatch.setattr(runs, "WAIT", 0.05)
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    refused("flock", tmp_path)
    os.close(folder)
    with RunFolder(str(tmp_path), "clean", CleanSpec()):
        pass


INTERRUPTED = """
import os, signal, sys
from corpusforge.run import RunFolder
from corpusforge.spec import CleanSpec
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it

class Impatient(RunFolder):
    "Gets Ctrl-C where it hurts."
    def log(self, event, **facts):
        super().log(event, **facts)
        if event == sys.argv[2]:
            os.kill(os.getpid(), signal.SIGINT)
    def _unlock(self):
        import threading
        if threading.current_thread() is threading.main_thread():
            os.kill(os.getpid(), signal.SIGINT)
        super()._unlock()

try:
    with Impatient(sys.argv[1], "clean", CleanSpec()):
        pass
except KeyboardInterrupt:
    import time
    for _ in range(500):
        if not os.path.exists(sys.argv[1] + "/lock.json"):
            sys.exit(130)
        time.sleep(0.01)
"""


@pytest.mark.parametrize("event", ["start", "end"])
def test_ctrl_c_twice_leaves_no_lock(tmp_path, event):
    """Once while entering or ending, once more while the lock is given back."""
    root = str(tmp_path / "run")
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, root, event])
    assert done.returncode == 130


def test_an_error_after_locking_leaves_no_lock(tmp_path):
    """A folder refused for its spec is free again."""
    begun(tmp_path / "run")
    refused("another spec", tmp_path / "run", OTHER)
    assert not (tmp_path / "run/lock.json").exists()


def test_stale_temporary_files_are_swept(tmp_path):
    """What a killed run left under a temporary name, file or folder, is gone; the rest stays."""
    root = tmp_path / "x.tmp-1/run"
    begun(root)
    before = sorted(files(root))
    for name in (
        "corpus/part-00000.arrow.tmp-12ab",
        "tokenizer.tmp-999/tokenizer.json",
        "tokenizer.tmp/tokenizer.json",
        "checkpoints/step-000100.tmp/deep/model.safetensors",
        "lock.json.tmp-00ff",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    (root / "counts.tmp-7").mkdir()
    (root / "corpus/part-00001.arrow").write_text("x")
    with RunFolder(str(root), "clean", CleanSpec()):
        pass
    assert sorted(files(root)) == sorted([*before, "corpus/part-00001.arrow"])
    assert not [path for path in root.rglob("*") if ".tmp" in path.name]


def test_a_store_that_is_no_disk(tmp_path):
    """The same laws on a file system of fsspec without rename or flock."""
    root = f"memory://{tmp_path.name}/run"
    with RunFolder(root, "clean", CleanSpec()) as run:
        refused("works here", root)
        run.fs.pipe(f"{run.path}/commits/a.commit.json", b"{}")
        run.fs.pipe(f"{run.path}/notes.txt", b"x")
    refused("another spec", root, OTHER)
    with RunFolder(root, "clean", OTHER, fresh=True):
        assert not run.fs.exists(f"{run.path}/commits")
        run.fs.pipe(f"{run.path}/tokenizer.tmp-9/a", b"x")
    with RunFolder(root, "clean", OTHER):
        pass
    names = [path.removeprefix(run.path) for path in run.fs.find(run.path)]
    leases = [name for name in names if name.startswith("/lease/run/")]
    assert leases and set(names) - {*leases} == {"/notes.txt", "/spec.toml"}


def test_workers_below_one_are_refused():
    """--workers 0 is a usage error with an example."""
    with pytest.raises(UsageError, match="--workers 0; expected 1 or more"):
        runs.check_workers(0)
    assert runs.check_workers(None) >= 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs CPU affinity")
def test_workers_are_one_a_core_that_we_may_use():
    """A process bound to one core starts one worker."""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert runs.check_workers(None) == 1
    finally:
        os.sched_setaffinity(0, before)


def test_the_environment_is_as_before_a_living_parent(monkeypatch):
    """What is started after the block does not end itself for the block's sake."""
    monkeypatch.delenv(runs.PARENT, raising=False)
    with pytest.raises(ZeroDivisionError), runs.living_parent():
        outer = os.environ[runs.PARENT]
        with runs.living_parent():
            assert os.environ[runs.PARENT] != outer
        assert os.environ[runs.PARENT] == outer
        _ = 1 / 0
    assert runs.PARENT not in os.environ
    code = "from corpusforge.run import exit_with_parent as e; e(); import time; time.sleep(1.5)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


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
        time.sleep(0.1)
    os.kill(pid, 9)
    raise AssertionError("the child outlived its parent")
