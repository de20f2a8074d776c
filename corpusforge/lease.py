"""Who works on something in a folder that several hosts see, and whether they still do.

A lease is a row of files, lease/NAME/00000001.json and on, each put only where there is none, so
of two that take it at once one wins. The last file counts; its holder renews it. One that was not
renewed for EXPIRY seconds is taken over by the next number. None is deleted, so a holder that was
taken for dead sees that it was.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpusforge import storage
from corpusforge.shard import exists, join, read_json, write_bytes

HEARTBEAT = 5.0  # seconds between two signs of life
EXPIRY = 60.0  # seconds without one after which a holder on another host is taken for dead
IF_KILLED = f" ({EXPIRY:.0f} s if it was killed)"
_NAME = re.compile(r"\d{8}\.json")


class Lease:
    """A lease of ``name`` under ``root`` for this process; ``facts`` stand in its file."""

    def __init__(self, root: str, name: str, **facts: Any) -> None:
        self.root, self.name = root, name
        self.me = {**identity(), **facts}
        self.local = storage.is_local(storage.file_system(root)[0])
        self._number = 0  # of the file that is ours
        self._writes = threading.Lock()  # no sign of life after it was given back

    def take(self) -> dict[str, Any] | None:
        """Take it; returns None, or who holds it. One that ran out is watched a while first."""
        number = self._last()
        while True:
            holder = number and self._read(number)
            if holder and self._holds(holder):
                return dict(holder)
            if holder and not holder.get("ended") and not self._is_gone(holder):
                time.sleep(2 * HEARTBEAT)  # its clock may be behind: does it renew?
                if self._read(number) != holder:
                    return dict(holder)
            if storage.put_new(join(self.root, self._file(number + 1)), self._signed()):
                self._number = number + 1
                if self.mine():
                    return None
            number += 1  # the listing was old, or another was faster

    def mine(self) -> bool:
        """Tell whether it is ours: nobody has the next number."""
        return bool(self._number) and not exists(self.root, self._file(self._number + 1))

    def renew(self) -> None:
        """Give a sign of life, if it is ours."""
        with self._writes:
            if self.mine():
                write_bytes(join(self.root, self._file(self._number)), self._signed())

    def release(self) -> None:
        """Give it back, if it is ours."""
        with self._writes:
            if self.mine():
                write_bytes(join(self.root, self._file(self._number)), self._signed(ended=True))
            self._number = 0

    def holder(self) -> dict[str, Any] | None:
        """Return who holds it now."""
        number = self._last()
        found = number and self._read(number)
        return found if found and self._holds(found) else None

    def _file(self, number: int) -> str:
        return f"lease/{self.name}/{number:08d}.json"

    def _last(self) -> int:
        fs, path = storage.file_system(join(self.root, f"lease/{self.name}"))
        try:
            with storage.errors_of(self.root):
                names = [entry.rpartition("/")[2] for entry in fs.ls(path, detail=False)]
        except FileNotFoundError:
            return 0
        return max((int(name[:8]) for name in names if _NAME.fullmatch(name)), default=0)

    def _read(self, number: int) -> dict[str, Any]:
        values = read_json(join(self.root, self._file(number)))
        return values if isinstance(values, dict) else {"ended": True}

    def _signed(self, **more: Any) -> bytes:
        return json.dumps({**self.me, "heartbeat": time.time(), **more}).encode()

    def _is_gone(self, holder: Mapping[str, Any]) -> bool:
        """Tell whether the processes of this host say that the holder is none of them."""
        return self.local and holder["host"] == self.me["host"] and not lives(holder)

    def _holds(self, holder: Mapping[str, Any]) -> bool:
        if holder.get("ended"):
            return False
        return lives(holder) if self.local else fresh(holder)


def identity() -> dict[str, Any]:
    """Return what tells this process and this moment from all others."""
    pid = os.getpid()
    token = secrets.token_hex(8)  # two runs of one process differ
    return {
        "host": socket.gethostname(),
        "pid": pid,
        "start": process_start(pid),
        "token": token,
    }


def fresh(holder: Mapping[str, Any]) -> bool:
    """Tell whether the last sign of life is younger than EXPIRY."""
    return bool(time.time() - float(holder["heartbeat"]) < EXPIRY)


def lives(holder: Mapping[str, Any]) -> bool:
    """Tell whether a process is alive: of this host by its start, of another by its signs."""
    if holder["host"] != socket.gethostname():
        return fresh(holder)
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
