"""The run folder: lock, spec, resume. It and progress.py alone know time, host and process.

RUN/ spec.toml  plan.json  manifest.json  log.jsonl  lock.json  commits/  progress/  + data folders
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import posixpath
import re
import secrets
import socket
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
from fsspec.implementations.local import LocalFileSystem

from corpusforge import spec as specs
from corpusforge.errors import RunError, UsageError
from corpusforge.progress import beat as beat
from corpusforge.progress import progress, seen
from corpusforge.shard import join, read_json, write_bytes

HEARTBEAT = 5.0  # seconds between two signs of life in lock.json
EXPIRY = 60.0  # seconds after which a lock of another host is stale
WAIT = 10.0  # seconds to wait for others that take or renew a lock at this moment
PARENT = "FORGE_PARENT"  # environment variable: pid:start time:file to live for
KINDS = ("clean", "tokenize", "train", "finetune", "eval")
BEGUN = (
    "manifest.json",
    "commits",
    "checkpoints",
    "tuning",
)  # work that must not be mixed with another's
OURS = (  # all that forge writes into a run folder; nothing else in it is ever removed
    *BEGUN,
    *("plan.json", "report.html", "metrics.jsonl", "counts.parquet", "corpus", "dropped"),
    *("ledger", "signals", "dedup", "work", "progress", "counts", "tokens", "tokenizer", "plans"),
    *("lookup", "difference.html", "log.jsonl", "spec.toml", "lock.json", "sweep"),
    *("head.safetensors", "adapter.safetensors", "task.json", "predictions.jsonl"),
    *("predictions", "results.json"),
)
TEMPORARY = re.compile(r"\.tmp(-\w+)?$")


class RunFolder:
    """A locked run folder of one kind and one spec; a context manager.

    Raises RunError when the folder belongs to another run, spec or kind, is in use, or is none.
    """

    def __init__(self, root: str, kind: str, spec: specs.Model, *, fresh: bool = False) -> None:
        self.root, self.kind, self.spec = root.rstrip("/") or "/", kind, spec
        self.key = specs.digest(spec)
        try:
            self.fs, self.path = fsspec.core.url_to_fs(self.root)
        except (ImportError, ValueError) as error:  # an unknown protocol, or its package is missing
            raise RunError(str(error), file=self.root, remedy="choose another -o") from None
        self.local = isinstance(self.fs, LocalFileSystem)
        self.fresh = fresh
        pid = os.getpid()
        self._me = {"host": socket.gethostname(), "pid": pid, "start": process_start(pid)}
        self._me["token"] = secrets.token_hex(8)  # two runs of one process differ
        self._mutex, self._stop = threading.Lock(), threading.Event()

    def __enter__(self) -> RunFolder:
        try:
            self._written()  # refuses before anything is touched
            threading.Thread(target=self._beat, daemon=True).start()
            self.fs.makedirs(self.path, exist_ok=True)
            self._lock()
            self._sweep()
            self._open(self._written())
        except OSError as error:
            self._leave()
            raise RunError(
                f"this folder cannot be used: {error.strerror or error}",
                file=self.root,
                remedy="choose another -o",
            ) from error
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.log("end", error=f"{kind.__name__}: {error}" if kind else None)
        except (RunError, OSError):
            if error is None:  # else what stopped the run is the better answer
                raise
        finally:
            self._leave()

    def file(self, name: str) -> str:
        """Path of ``name`` under the folder."""
        return join(self.root, name)

    @contextmanager
    def stage(self, name: str, size: int = 0, units: int = 0, *, quiet: bool) -> Iterator[None]:
        """Show the progress of a stage of ``size`` input bytes meanwhile, and log its time."""
        start = time.monotonic()
        with progress(self.root, name, size, units, quiet=quiet):
            yield
        seconds = round(time.monotonic() - start, 3)
        documents = seen(self.root, name).documents
        self.log("stage", stage=name, seconds=seconds, documents=documents, bytes=size)

    def check(self) -> None:
        """Raise RunError if the lock is not this run's any more."""
        with self._mutex:
            mine = self._mine()
        if not mine:
            raise RunError(
                "lock.json is gone or another run's, so this one stops",
                file=self.root,
                remedy="see that no other run works here, then run again to go on",
            )

    def log(self, event: str, **facts: Any) -> None:
        """Append a line to log.jsonl (local folders); the lock is checked first."""
        self.check()
        line = json.dumps({"time": round(time.time(), 3), "event": event, **facts})
        if self.local:
            with Path(self.path, "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def remove(self, *names: str) -> None:
        """Delete files and folders that are no longer needed; the lock is checked first."""
        self.check()
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                self.fs.rm(join(self.path, name), recursive=True)

    # -- spec ------------------------------------------------------------------------------

    def _written(self) -> str | None:
        """Return spec.toml of the run that lies here, None if none does.

        Refuses what is no run folder and a run of another kind.
        """
        if not self.fs.exists(self.path):
            return None
        if not self.fs.isdir(self.path):
            raise RunError(
                "this is a file, not a folder", file=self.root, remedy="choose another -o"
            )
        entries = self.fs.ls(self.path, detail=False)
        names = {posixpath.basename(entry.rstrip("/")) for entry in entries}
        text = ""
        if "spec.toml" in names:
            with self.fs.open(join(self.path, "spec.toml"), "rb") as file:
                text = file.read().decode(errors="replace")
        for kind in KINDS:
            if text.startswith(f"# forge {kind}\n"):
                if kind != self.kind:
                    raise RunError(
                        f"this folder holds a {kind} run",
                        file=self.root,
                        remedy="choose another -o",
                    )
                return text
        # A run that was killed before its spec was whole leaves these, and nothing else.
        first = {"lock.json", "log.jsonl", "spec.toml"}
        torn = any(f"# forge {kind}\n".startswith(text) for kind in KINDS)
        if not torn or {TEMPORARY.sub("", name) for name in names} - first:
            raise RunError(
                "this folder is not empty and is no run folder",
                file=self.root,
                remedy="choose another -o, or empty it",
            )
        return None

    def _open(self, text: str | None) -> None:
        """Go on with the run of spec ``text``, or start one where there is none to go on with."""
        if text is not None:
            begun = any(self.fs.find(join(self.path, name)) for name in BEGUN)
            if begun and not self.fresh:
                self._match_spec(text)
                self.log("continue", spec=self.key)
                return
            # The old spec.toml stays until the new one replaces it: it makes this a run folder.
            kept = {"spec.toml", "lock.json"} | (set() if self.fresh else {"log.jsonl"})
            self.remove(*[name for name in OURS if name not in kept])
        new = f"# forge {self.kind}\n{specs.dump(self.spec)}"
        write_bytes(self.file("spec.toml"), new.encode())
        self.log("start", spec=self.key, kind=self.kind)

    def _match_spec(self, text: str) -> None:
        try:
            old = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise RunError(
                f"not TOML: {error}", file=self.file("spec.toml"), remedy="--fresh to start anew"
            ) from None
        changed = specs.differences(old, tomllib.loads(specs.dump(self.spec)))
        if changed:
            raise RunError(
                f"this folder was made with another spec: {', '.join(changed)}",
                file=self.root,
                remedy="choose another -o, the old settings, or --fresh to start anew",
            )

    def _sweep(self) -> None:
        """Remove temporary files and folders that a killed run left."""
        found = set()
        for entry in self.fs.find(self.path, withdirs=True):
            parts = entry.rstrip("/").removeprefix(self.path).strip("/").split("/")
            last = next((i for i, part in enumerate(parts) if TEMPORARY.search(part)), None)
            if last is not None and TEMPORARY.sub("", parts[0]) in OURS:
                found.add("/".join(parts[: last + 1]))
        self.remove("progress", *sorted(found))

    # -- lock ------------------------------------------------------------------------------

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads and, on a local disk, other processes from lock.json.

        Elsewhere the last of two that write at once holds it; the other's next check tells it.
        """
        with self._mutex, contextlib.ExitStack() as stack:
            if self.local:
                folder = os.open(self.path, os.O_RDONLY)
                stack.callback(os.close, folder)
                self._wait_for(folder)
            yield

    def _wait_for(self, folder: int) -> None:
        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                return  # a disk that cannot do it
        raise RunError(
            "another program holds this folder by flock", file=self.root, remedy="choose another -o"
        )

    def _holder(self) -> dict[str, Any] | None:
        self.fs.invalidate_cache()  # other hosts write here
        values = read_json(self.file("lock.json"))
        whole = isinstance(values, dict) and {"host", "pid", "start", "heartbeat"} <= values.keys()
        return values if whole else None

    def _mine(self) -> bool:
        holder = self._holder()
        return holder is not None and {**holder, **self._me} == holder

    def _sign(self) -> None:
        values = json.dumps({**self._me, "heartbeat": time.time()})
        write_bytes(self.file("lock.json"), values.encode())

    def _lock(self) -> None:
        with self._alone():
            holder = self._holder()
            if holder is not None and _holds(holder):
                raise RunError(
                    f"another run (host {holder['host']}, pid {holder['pid']}) works here",
                    file=self.root,
                    remedy="wait for it, stop it, or choose another -o",
                )
            self._sign()

    def _beat(self) -> None:
        """Renew the lock while it is ours; give it back at the end, where Ctrl-C cannot reach."""
        while not self._stop.wait(HEARTBEAT):
            with contextlib.suppress(OSError, RunError), self._alone():
                if self._mine():
                    self._sign()
        self._unlock()

    def _leave(self) -> None:
        self._stop.set()
        self._unlock()

    def _unlock(self) -> None:
        with contextlib.suppress(OSError, RunError):
            if self._mine():
                with self._alone():
                    if self._mine():
                        self.fs.rm_file(join(self.path, "lock.json"))


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
        pid, before = os.getpid(), os.environ.pop(PARENT, None)
        try:
            os.environ[PARENT] = f"{pid}:{process_start(pid)}:{file.name}"
            yield
        finally:
            os.environ.pop(PARENT, None)
            if before is not None:
                os.environ[PARENT] = before


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


def check_workers(workers: int | None) -> int:
    """Return the number of workers, by default one a core we may use; refuses those below 1."""
    if workers is None:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    if workers < 1:
        raise UsageError(f"--workers {workers}", expected="1 or more", remedy="e.g. --workers 2")
    return workers
