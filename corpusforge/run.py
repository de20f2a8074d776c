"""The run folder: lock, resume, progress. The only file that knows time, host and process.

RUN/ spec.toml  plan.json  manifest.json  log.jsonl  lock.json  commits/  progress/  + data folders
"""

from __future__ import annotations

import json
import os
import posixpath
import socket
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import fsspec

from corpusforge import spec as specs
from corpusforge.errors import RunError, UsageError
from corpusforge.shard import join, read_json, write_bytes

HEARTBEAT = 5.0  # seconds between two signs of life in lock.json
EXPIRY = 60.0  # seconds after which a lock of another host is stale
PARENT = "FORGE_PARENT"  # environment variable: pid:start time:file to live for


class RunFolder:
    """A locked run folder of one kind and one spec; a context manager.

    Raises RunError when the folder belongs to another run, spec or kind, or is in use.
    """

    def __init__(self, root: str, kind: str, spec: specs.Model, *, fresh: bool = False) -> None:
        self.root, self.kind, self.spec = root.rstrip("/"), kind, spec
        self.key = specs.digest(spec)
        self.fs, self.path = fsspec.core.url_to_fs(self.root)
        self.fresh = fresh
        self._stop = threading.Event()
        self._heart: threading.Thread | None = None

    def __enter__(self) -> RunFolder:
        if self.fs.exists(self.path) and not self.fs.isdir(self.path):
            raise RunError(
                "this is a file, not a folder", file=self.root, remedy="choose another -o"
            )
        self._refuse_foreign()
        self.fs.makedirs(self.path, exist_ok=True)
        self._lock()
        try:
            if self.fresh:
                self._clear()
            self._match_spec()
            self._sweep()
        except BaseException:
            self._unlock()
            raise
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._heart.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.log("end", error=f"{kind.__name__}: {error}" if kind else None)
        self._stop.set()
        if self._heart:
            self._heart.join()
        self._unlock()

    def file(self, name: str) -> str:
        """Path of ``name`` under the folder."""
        return join(self.root, name)

    def log(self, event: str, **facts: Any) -> None:
        """Append a line to log.jsonl (local folders)."""
        line = json.dumps({"time": round(time.time(), 3), "event": event, **facts})
        if isinstance(self.fs, fsspec.implementations.local.LocalFileSystem):
            with Path(self.path, "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def remove(self, *folders: str) -> None:
        """Delete folders that are no longer needed."""
        for name in folders:
            if self.fs.exists(join(self.path, name)):
                self.fs.rm(join(self.path, name), recursive=True)

    def _refuse_foreign(self) -> None:
        if not self.fs.exists(self.path):
            return
        names = {
            posixpath.basename(entry.rstrip("/")) for entry in self.fs.ls(self.path, detail=False)
        }
        if names and not names & {"spec.toml", "lock.json", "log.jsonl"}:
            raise RunError(
                "this folder is not empty and is no run folder",
                file=self.root,
                remedy="choose another -o, or empty it",
            )

    def _match_spec(self) -> None:
        path = join(self.path, "spec.toml")
        if not self.fs.exists(path):
            text = f"# forge {self.kind}\n{specs.dump(self.spec)}"
            write_bytes(self.file("spec.toml"), text.encode())
            self.log("start", spec=self.key, kind=self.kind)
            return
        with self.fs.open(path, "rb") as file:
            text = file.read().decode()
        kind = text.splitlines()[0].removeprefix("# forge ").strip()
        if kind != self.kind:
            raise RunError(
                f"this folder holds a {kind} run", file=self.root, remedy="choose another -o"
            )
        changed = specs.differences(tomllib.loads(text), tomllib.loads(specs.dump(self.spec)))
        if changed:
            raise RunError(
                f"this folder was made with another spec: {', '.join(changed)}",
                file=self.root,
                remedy="choose another -o, the old settings, or --fresh to start anew",
            )
        self.log("continue", spec=self.key)

    def _clear(self) -> None:
        for entry in self.fs.ls(self.path, detail=False):
            if posixpath.basename(entry.rstrip("/")) != "lock.json":
                self.fs.rm(entry, recursive=True)

    def _sweep(self) -> None:
        """Remove temporary files that a killed run left."""
        for entry in self.fs.find(self.path):
            if ".tmp-" in posixpath.basename(entry):
                self.fs.rm_file(entry)
        self.remove("progress")

    # -- lock ------------------------------------------------------------------------------

    def _lock(self) -> None:
        me = {"host": socket.gethostname(), "pid": os.getpid(), "start": process_start(os.getpid())}
        path = join(self.path, "lock.json")
        for _ in range(3):
            try:
                with self.fs.open(path, "xb") as file:
                    file.write(json.dumps({**me, "heartbeat": time.time()}).encode())
                return
            except FileExistsError:
                holder = read_json(path)
                if holder is None:
                    time.sleep(0.2)  # being written, or torn by a kill
                    holder = read_json(path)
                if holder is not None and _holds(holder):
                    raise RunError(
                        f"another run (host {holder['host']}, pid {holder['pid']}) works here",
                        file=self.root,
                        remedy="wait for it, stop it, or choose another -o",
                    ) from None
                self.fs.rm_file(path)
        raise RunError("the lock cannot be taken", file=path, remedy="remove lock.json")

    def _beat(self) -> None:
        path = join(self.path, "lock.json")
        while not self._stop.wait(HEARTBEAT):
            holder = read_json(path)
            if holder is not None and holder["pid"] == os.getpid():
                write_bytes(path, json.dumps({**holder, "heartbeat": time.time()}).encode())

    def _unlock(self) -> None:
        path = join(self.path, "lock.json")
        if self.fs.exists(path):
            self.fs.rm_file(path)


def _holds(holder: Mapping[str, Any]) -> bool:
    """Tell whether the process that wrote a lock is alive."""
    if holder["host"] != socket.gethostname():
        return bool(time.time() - float(holder["heartbeat"]) < EXPIRY)
    start = process_start(int(holder["pid"]))
    return start is not None and start == holder["start"]


def process_start(pid: int) -> str | None:
    """Return the start time of a process in the kernel's own count, None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        if stat.rpartition(")")[2].split()[0] == "Z":
            return None
        return stat.rpartition(")")[2].split()[19]
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    try:  # systems without /proc: existence alone
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "0"


@contextmanager
def living_parent() -> Iterator[None]:
    """While the block runs, processes that called ``exit_with_parent`` may live; then they end.

    They are told by the environment for whom they live: this process, and a file that stands for
    the block.
    """
    with tempfile.NamedTemporaryFile(prefix="forge-") as file:
        pid = os.getpid()
        os.environ[PARENT] = f"{pid}:{process_start(pid)}:{file.name}"
        yield


_watching = threading.Event()


def exit_with_parent() -> None:
    """Start a thread, once a process, that ends this process when the parent's block is over."""
    named = os.environ.get(PARENT, "")
    pid, _, rest = named.partition(":")
    start, _, file = rest.partition(":")
    if not pid or int(pid) == os.getpid() or _watching.is_set():
        return
    _watching.set()

    def watch() -> None:
        while process_start(int(pid)) == start and Path(file).exists():
            time.sleep(0.5)
        os._exit(3)

    threading.Thread(target=watch, daemon=True).start()


# -- progress ----------------------------------------------------------------------------------


def beat(root: str, stage: str, unit: str, documents: int, done: int) -> None:
    """Leave a sign of progress of one unit: documents and input bytes done."""
    fs, path = fsspec.core.url_to_fs(join(root, f"progress/{stage}/{unit}.json"))
    fs.makedirs(posixpath.dirname(path), exist_ok=True)
    with fs.open(path, "wb") as file:
        file.write(json.dumps({"documents": documents, "bytes": done}).encode())


def _seen(root: str, stage: str) -> tuple[int, int]:
    fs, path = fsspec.core.url_to_fs(join(root, f"progress/{stage}"))
    signs = [read_json(entry) for entry in (fs.find(path) if fs.exists(path) else [])]
    whole = [sign for sign in signs if sign]
    return sum(s["documents"] for s in whole), sum(s["bytes"] for s in whole)


@contextmanager
def progress(root: str, stage: str, total: int, *, quiet: bool = False) -> Iterator[None]:
    """Show documents/s, MB/s and the time left on stderr while the block runs.

    ``total`` is in input bytes. A terminal gets a live bar, a log file a line every ten seconds.
    """
    if quiet:
        yield
        return
    stop = threading.Event()
    show = _bar if sys.stderr.isatty() else _lines
    thread = threading.Thread(target=show, args=(root, stage, total, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _rates(root: str, stage: str, total: int, start: float) -> tuple[int, str]:
    documents, done = _seen(root, stage)
    seconds = max(time.monotonic() - start, 1e-3)
    left = (total - done) * seconds / done if done else 0.0
    return done, (
        f"{documents:,} docs · {documents / seconds:,.0f} docs/s · "
        f"{done / seconds / 1e6:.1f} MB/s · ETA {left:,.0f} s"
    )


def _lines(root: str, stage: str, total: int, stop: threading.Event) -> None:
    start = time.monotonic()
    while not stop.wait(10.0):
        done, text = _rates(root, stage, total, start)
        print(f"{stage}: {100 * done / max(total, 1):.0f} % · {text}", file=sys.stderr)
    documents, _ = _seen(root, stage)
    print(
        f"{stage}: {documents:,} docs in {time.monotonic() - start:.1f} s",
        file=sys.stderr,
        flush=True,
    )


def _bar(root: str, stage: str, total: int, stop: threading.Event) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    start = time.monotonic()
    columns = (TextColumn(f"{stage:>10}"), BarColumn(), TextColumn("{task.fields[text]}"))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(stage, total=max(total, 1), text="")
        while not stop.wait(0.5):
            done, text = _rates(root, stage, total, start)
            bar.update(task, completed=done, text=text)
        bar.update(task, completed=max(total, 1), text=_rates(root, stage, total, start)[1])


def check_workers(workers: int | None) -> int:
    """Return the number of workers, by default one a core; refuses numbers below 1."""
    if workers is None:
        return os.cpu_count() or 1
    if workers < 1:
        raise UsageError(f"--workers {workers}", expected="1 or more", remedy="e.g. --workers 2")
    return workers
