"""The processes of a sweep: each trains a trial at a time and is talked to by lines of JSON."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpusforge.errors import RunError
from corpusforge.run import in_use

ALIVE = "trials/alive"  # locked, shared, by every process that trains
LOG = "trials/worker-{}.log"
ORPHANS = 15.0  # seconds that the processes of a killed sweep are waited for


@dataclass
class Worker:
    """A process, the number of the trial it trains, and how far that is."""

    process: subprocess.Popen[bytes]
    log: Path
    number: int | None = None
    step: int = 0
    buffer: bytes = field(default=b"", repr=False)


class Crew:
    """Up to ``size`` processes with ``threads`` torch threads each; a context manager."""

    def __init__(self, root: Path, size: int, threads: int) -> None:
        self.root, self.size, self.threads = root, size, threads
        self.workers: list[Worker] = []
        self.selector = selectors.DefaultSelector()
        (root / ALIVE).parent.mkdir(exist_ok=True)

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self.workers:
            assert worker.process.stdin is not None
            with contextlib.suppress(OSError):
                worker.process.stdin.close()  # an idle one ends by itself
            if worker.number is not None or error[0] is not None:
                worker.process.kill()
        for worker in self.workers:
            worker.process.wait()
            assert worker.process.stdout is not None
            worker.process.stdout.close()
        self.selector.close()

    @property
    def busy(self) -> list[Worker]:
        """The processes that train."""
        return [worker for worker in self.workers if worker.number is not None]

    @property
    def free(self) -> bool:
        """Whether another trial may begin."""
        return len(self.busy) < self.size

    def begin(self, number: int, task: dict[str, Any]) -> None:
        """Give a trial to an idle process, or to a new one."""
        idle = [w for w in self.workers if w.number is None and w.process.poll() is None]
        worker = idle[0] if idle else self._start()
        worker.number, worker.step = number, 0
        self.send(worker, task)

    def send(self, worker: Worker, message: dict[str, Any]) -> None:
        """Write a message; that the process has ended is told by ``messages``."""
        assert worker.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            worker.process.stdin.write(json.dumps(message).encode() + b"\n")
            worker.process.stdin.flush()

    def messages(self, seconds: float) -> Iterator[tuple[Worker, dict[str, Any]]]:
        """Yield what came meanwhile; {"end": "died", "reason"} of a process that is gone."""
        for key, _ in self.selector.select(seconds):
            worker: Worker = key.data
            data = os.read(key.fd, 1 << 16)
            if not data:
                self._gone(worker)
                yield worker, {"end": "died", "reason": _how(worker)}
                continue
            *lines, worker.buffer = (worker.buffer + data).split(b"\n")
            for line in lines:
                yield worker, json.loads(line)

    def stop(self) -> None:
        """Ask every process that trains to save its state and stop."""
        for worker in self.busy:
            with contextlib.suppress(ProcessLookupError):
                worker.process.send_signal(signal.SIGTERM)

    def _start(self) -> Worker:
        slots = {worker.log for worker in self.workers}
        names = (self.root / LOG.format(slot) for slot in range(len(slots) + 1))
        log = next(name for name in names if name not in slots)
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "corpusforge.train.sweeps.worker", str(self.root / ALIVE)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                process_group=0,  # Ctrl-C reaches the sweep alone, which tells them
                env={
                    **os.environ,
                    "PYTHONSAFEPATH": "1",
                    "OMP_NUM_THREADS": str(self.threads),
                    "OMP_WAIT_POLICY": "PASSIVE",
                },
            )
        worker = Worker(process, log)
        self.workers.append(worker)
        assert process.stdout is not None
        self.selector.register(process.stdout, selectors.EVENT_READ, worker)
        return worker

    def _gone(self, worker: Worker) -> None:
        assert worker.process.stdout is not None
        self.selector.unregister(worker.process.stdout)
        worker.process.wait()
        for pipe in (worker.process.stdin, worker.process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        self.workers.remove(worker)


def _how(worker: Worker) -> str:
    """How a process ended, with the last line it wrote."""
    code = worker.process.returncode
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    lines = worker.log.read_text(errors="replace").strip().splitlines()
    return f"its process ended by {how}" + (f": {lines[-1][:300]}" if lines else "")


def wait_for_orphans(root: Path) -> None:
    """Wait until no process of an earlier, killed sweep here is left; RunError if one stays."""
    if not (root / ALIVE).exists() or in_use(str(root)):  # by a sweep that is to be refused
        return
    end = time.monotonic() + ORPHANS
    with (root / ALIVE).open("rb+") as file:
        while time.monotonic() < end:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(0.05)
    raise RunError(
        "a process of an earlier sweep still trains here",
        file=str(root),
        remedy="end it, then run again to go on",
    )
