"""The run folder: lock, spec, resume. Time, host and process are known here, and in what it uses:
lease.py, parts.py, parent.py, progress.py.

RUN/ spec.toml  plan.json  manifest.json  log.jsonl  lock.json  commits/  progress/  + data folders
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import posixpath
import re
import resource
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from corpusforge import parts, storage
from corpusforge import spec as specs
from corpusforge.errors import RunError, UsageError
from corpusforge.lease import HEARTBEAT, IF_KILLED, Lease, identity, lives
from corpusforge.lease import process_start as process_start
from corpusforge.parent import PARENT as PARENT
from corpusforge.parent import exit_with_parent as exit_with_parent
from corpusforge.parent import living_parent as living_parent
from corpusforge.progress import beat as beat
from corpusforge.progress import progress, seen
from corpusforge.shard import join, read_json, write_bytes

WAIT = 10.0  # seconds to wait for others that take or renew a lock at this moment
HOLDER = {"host", "pid", "start", "heartbeat"}  # keys of lock.json
KINDS = ("clean", "tokenize", "train", "finetune", "eval", "sweep")
BEGUN = (  # work that must not be mixed with another's
    *("manifest.json", "commits", "checkpoints", "tuning", "study.db"),
)
OURS = (  # all that forge writes into a run folder; nothing else in it is ever removed
    *BEGUN,
    *("plan.json", "report.html", "metrics.jsonl", "counts.parquet", "corpus", "dropped"),
    *("ledger", "signals", "dedup", "work", "progress", "counts", "tokens", "tokenizer", "plans"),
    *("lookup", "difference.html", "log.jsonl", "spec.toml", "lock.json", "lease", "sweep"),
    "parts.json",
    *("head.safetensors", "adapter.safetensors", "task.json", "predictions.jsonl"),
    *("study.db-journal", "trials", "trials.jsonl", "best.toml"),
    *("predictions", "results.json"),
)
TEMPORARY = re.compile(r"\.tmp(-\w+)?$")


class RunFolder:
    """A locked run folder of one kind and one spec; a context manager.

    Raises RunError when the folder belongs to another run, spec or kind, is in use, or is none.
    """

    def __init__(
        self,
        root: str,
        kind: str,
        spec: specs.Model,
        *,
        fresh: bool = False,
        closing: bool = False,
    ) -> None:
        self.root, self.kind, self.spec = root.rstrip("/") or "/", kind, spec
        self.key = specs.digest(spec)
        self.fs, self.path = storage.file_system(self.root)
        self.local = storage.is_local(self.fs)
        self.fresh, self.closing = fresh, closing
        self._me = identity()
        self._lease = None if self.local else Lease(self.root, "run")
        self._mutex, self._stop = threading.Lock(), threading.Event()

    def __enter__(self) -> RunFolder:
        try:
            self._written()  # refuses before anything is touched
            threading.Thread(target=self._beat, daemon=True).start()
            if self.local:
                self.fs.makedirs(self.path, exist_ok=True)
            self._begin()
        except OSError as error:
            self._leave()
            if told := storage.explained(error, self.root):
                raise told from error
            raise RunError(
                f"this folder cannot be used: {error.strerror or error}",
                file=self.root,
                remedy="choose another -o",
            ) from error
        except BaseException as error:
            self._leave()
            if told := storage.explained(error, self.root):
                raise told from error
            raise
        return self

    def _begin(self) -> None:
        parts.wait_for_all(self.root, self.closing)  # without the lock, which they need to end
        self._lock()
        parts.wait_for_all(self.root, closing=False)
        self._sweep()
        self._open(self._written())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        told = error and storage.explained(error, self.root)
        try:
            self.log("end", error=f"{kind.__name__}: {error}" if kind else None)
        except (RunError, OSError):
            if error is None:  # else what stopped the run is the better answer
                raise
        finally:
            self._leave()
        if told:
            raise told from error

    def file(self, name: str) -> str:
        """Path of ``name`` under the folder."""
        return join(self.root, name)

    def write(self, name: str, data: bytes) -> None:
        """Write a small file under the folder atomically."""
        write_bytes(self.file(name), data)

    @contextmanager
    def stage(self, name: str, size: int = 0, units: int = 0, *, quiet: bool) -> Iterator[None]:
        """Show the progress of a stage of ``size`` input bytes meanwhile, and log its time."""
        start, used = time.monotonic(), _cpu_seconds()
        with progress(self.root, name, size, units, quiet=quiet):
            yield
        facts = {
            "seconds": round(time.monotonic() - start, 3),
            "cpu": round(_cpu_seconds() - used, 3),  # of this process and of workers that ended
            "documents": seen(self.root, name).documents,
            "bytes": size,
        }
        self.log("stage", stage=name, **facts)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one who changes the folder: this run is, all the time."""
        yield

    def agree(self, key: str) -> None:
        """Nothing: there are no other parts."""

    def once(self, done: Callable[[], bool], act: Callable[[], object]) -> None:
        """Do what is done once a run, if it is not done yet."""
        if not done():
            act()

    def check(self) -> None:
        """Raise RunError if the lock is not this run's any more."""
        with self._mutex:
            mine = self._mine()
        if not mine:
            raise RunError(
                "the lock of this folder is gone or another run's, so this one stops",
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
        first = {"lock.json", "lease", "log.jsonl", "spec.toml"}
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
            kept = {"spec.toml", "lock.json", "lease"} | (set() if self.fresh else {"log.jsonl"})
            self.remove(*[name for name in OURS if name not in kept])
        new = f"# forge {self.kind}\n{specs.dump(self.spec)}"
        self.write("spec.toml", new.encode())
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
        """Keep other threads and, on a local disk, other processes from the lock."""
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
        whole = isinstance(values, dict) and values.keys() >= HOLDER
        return values if whole else None

    def _mine(self) -> bool:
        if self._lease:
            return self._lease.mine()
        holder = self._holder()
        return holder is not None and {**holder, **self._me} == holder

    def _sign(self) -> None:
        if self._lease:
            self._lease.renew()
        else:
            signed = json.dumps({**self._me, "heartbeat": time.time()})
            write_bytes(self.file("lock.json"), signed.encode())

    def _try_lock(self) -> dict[str, Any] | None:
        """Take the lock; returns None, or who holds it."""
        with self._alone():
            holder = self._lease.take() if self._lease else self._holder()
            if holder is not None and (self._lease or lives(holder)):
                return holder
            if not self._lease:
                self._sign()
        return None

    def _lock(self) -> None:
        if holder := self._try_lock():
            raise RunError(
                f"another run (host {holder['host']}, pid {holder['pid']}) works here",
                file=self.root,
                remedy=f"wait for it{'' if self.local else IF_KILLED}, stop it, or choose "
                "another -o",
            )

    def _beat(self) -> None:
        """Renew the lock while it is ours; give it back at the end, where Ctrl-C cannot reach."""
        while not self._stop.wait(HEARTBEAT):
            with contextlib.suppress(OSError, RunError):
                self._renew()
        self._unlock()

    def _renew(self) -> None:
        with self._alone():
            if self._mine():
                self._sign()

    def _leave(self) -> None:
        self._stop.set()
        self._unlock()

    def _unlock(self) -> None:
        with contextlib.suppress(OSError, RunError):
            if self._mine():
                with self._alone():
                    if self._lease:
                        self._lease.release()
                    elif self._mine():
                        self.fs.rm_file(join(self.path, "lock.json"))


def in_use(root: str) -> bool:
    """Tell whether a run that is alive holds the local folder ``root``."""
    holder = read_json(join(root, "lock.json"))
    return isinstance(holder, dict) and holder.keys() >= HOLDER and lives(holder)


def _cpu_seconds() -> float:
    both = (resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def check_workers(workers: int | None) -> int:
    """Return the number of workers, by default one a core we may use; refuses those below 1."""
    if workers is None:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    if workers < 1:
        raise UsageError(f"--workers {workers}", expected="1 or more", remedy="e.g. --workers 2")
    return workers
