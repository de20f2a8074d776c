"""A process that trains trials, one after another, for the sweep that started it.

stdin and stdout carry a line of JSON a message. In: a task, {"folder", "tokens", "objective",
"spec"}, or the answer {"go": bool} to a value. Out: {"at": step}, {"value": x, "step": n} (an
answer is waited for), and at the end {"end": "complete", "values", "content"}, {"end": "failed",
"reason"}, {"end": "pruned"}, {"end": "stopped"} or {"end": "error", ...}, which is no trial's.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import queue
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

from safetensors import SafetensorError

from corpusforge import spec as specs
from corpusforge.errors import Diverged, ForgeError, InputError, UsageError

SHOWN = 0.5  # seconds between two steps that are told


class Ended(Exception):
    """The pruner ends the trial."""


class Channel:
    """Lines of JSON to and from the sweep."""

    def __init__(self, read: TextIO, write: TextIO) -> None:
        self._read, self._write, self._told = read, write, 0.0
        self._given: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, **message: Any) -> None:
        """Write a message."""
        self._write.write(json.dumps(message) + "\n")
        self._write.flush()

    def receive(self) -> dict[str, Any]:
        """Wait for a message."""
        return self._given.get()

    def _listen(self) -> None:
        """Read messages; end the process, whatever it does, where there will be none."""
        for line in self._read:
            if line.endswith("\n"):
                self._given.put(json.loads(line))
        os._exit(3)

    def reporter(self, objective: str, steps: int) -> Any:
        """Return what the trainer calls with each record."""

        def report(record: dict[str, Any]) -> None:
            if "message" in record:
                return
            if "heldout_loss" in record:
                if objective not in record:
                    raise UsageError(
                        f"sweep.objective = '{objective}' is no held-out figure of this training",
                    )
                value = record[objective]
                if not math.isfinite(value):
                    raise Diverged(f"{objective} is {value} at step {record['step']}")
                self.send(value=value, step=record["step"])
                if not self.receive()["go"] and record["step"] < steps:
                    raise Ended
            elif time.monotonic() - self._told > SHOWN:
                self._told = time.monotonic()
                self.send(at=record["step"])

        return report


def run(task: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Train one trial, or go on with it; returns the closing message."""
    from ..metrics import read
    from ..run_train import run_train

    objective = task["objective"]
    try:
        spec = specs.parse(specs.TrainSpec, task["spec"])
        report = channel.reporter(objective, spec.run.steps)
        done = run_train(
            task["tokens"], task["folder"], spec, workers=1, fresh=False, quiet=True, report=report
        )
    except Ended:
        return {"end": "pruned"}
    except KeyboardInterrupt:
        return {"end": "stopped"}
    except ForgeError as error:
        if _of_its_settings(error, task["tokens"]):
            return {"end": "failed", "reason": _plain(error, task["folder"])}
        return {"end": "error", "reason": str(error), "code": error.exit_code}
    except (OSError, SafetensorError) as error:  # a full disk, most of the time
        where = f"{getattr(error, 'filename', None) or task['folder']}: "
        return {"end": "error", "reason": f"{where}{error}", "code": 3}
    except Exception as error:  # what torch raises for settings that do not fit, or memory
        return {
            "end": "failed",
            "reason": f"{type(error).__name__}: {' '.join(str(error).split())}",
        }
    values = [
        (record["step"], record[objective])
        for record in read(Path(task["folder"]))
        if objective in record
    ]
    if not values:
        return {"end": "failed", "reason": "the token folders have no held-out text"}
    return {"end": "complete", "values": values, "content": done.content}


def _of_its_settings(error: ForgeError, tokens: list[str]) -> bool:
    """Tell an error that other settings would not have from one of the data or the disk."""
    if isinstance(error, InputError):
        return not (error.file and error.file.startswith(tuple(tokens)))
    return isinstance(error, UsageError | Diverged)


def _plain(error: ForgeError, folder: str) -> str:
    """The message without the place of the sweep, which differs between equal sweeps."""
    return str(error).replace(f"{folder}: ", "").replace(folder, "")


def main() -> None:
    """Serve the sweep until its end of stdin is closed."""
    channel = Channel(sys.stdin, os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)  # what a library prints is no message
    alive = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o666)
    fcntl.flock(alive, fcntl.LOCK_SH)  # until the process ends
    while True:
        channel.send(**run(channel.receive(), channel))


if __name__ == "__main__":
    main()
