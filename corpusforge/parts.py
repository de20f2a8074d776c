"""A run done by several processes on any scheduler; all that they share is its folder.

Part i of n does the units i, i + n, ... of every stage. Where a stage needs all units of the one
before, a part waits for the parts that are alive, and ends where one is missing that is not: run
again, it goes on. What is done once (copies gathered, a tokenizer trained) is done under the lock
of the run by the part that comes first. The call that closes the run does no unit: it names the
parts whose units are missing, or writes the manifest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from corpusforge import storage
from corpusforge.errors import RunError, UsageError
from corpusforge.lease import EXPIRY, IF_KILLED, Lease
from corpusforge.shard import exists, join, read_json, write_json

FILE = "parts.json"  # in how many parts a run is done
GRACE = EXPIRY  # seconds that a part waits for another that gives no sign of life
NAMED = 5  # units and parts that a message names


class Stopped(Exception):
    """A part has done what it can; the message says what comes next."""


@dataclass(frozen=True)
class Part:
    """Part ``number`` of ``of``, counted from 0; without a number, the call that closes the run."""

    number: int | None
    of: int

    @classmethod
    def parse(cls, text: str) -> Part:
        """Read ``i/n``. Raises UsageError."""
        number, _, of = text.partition("/")
        if not (number.isdecimal() and of.isdecimal()) or not 0 <= int(number) < int(of):
            raise UsageError(
                f"--part {text}", expected="i/n, with i from 0 to n - 1", remedy="e.g. --part 0/4"
            )
        return cls(int(number), int(of))

    @classmethod
    def given(cls, root: str, part: str | None, finish: bool, fresh: bool) -> Part | None:
        """Return what the flags of a command say; None where the run is not done in parts."""
        if part is None and not finish:
            return None
        if part is not None and finish:
            raise UsageError("--part and --finish", remedy="--finish comes alone, after the parts")
        if fresh:
            raise UsageError("--fresh in parts", remedy="empty the run folder before they begin")
        return cls.parse(part) if part is not None else cls.closing(root)

    @classmethod
    def closing(cls, root: str) -> Part:
        """Return what closes the run in ``root``. Raises RunError where no part has run."""
        values = read_json(join(root, FILE))
        if values is None and exists(root, "manifest.json"):
            return cls(None, 1)  # it is closed
        if not isinstance(values, dict):
            raise RunError(
                "no part has worked here", file=root, remedy="run the parts first: --part 0/4, ..."
            )
        return cls(None, int(values["of"]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def workers(self) -> int:
        """Processes that work at a time."""
        return self.of

    def check(self, output: str, inputs: Sequence[str]) -> None:
        """Nothing beyond the run folder is needed."""

    def has(self, unit: str) -> bool:
        """Tell whether a unit (part-00012) or a range (exact-00003) is of this part."""
        return self.number is not None and _number(unit) % self.of == self.number

    def lease(self, root: str) -> Lease:
        """Return the lease of this part."""
        name = f"part-{self.number:05d}-of-{self.of:05d}"
        return Lease(root, name, part=str(self))

    def wait(self, root: str, stage: str, missing: Callable[[], Sequence[str]]) -> None:
        """Return when ``missing`` names no unit any more.

        Raises Stopped when those that are missing are of parts that are not alive, and RunError
        at once where this closes the run.
        """
        begin = time.monotonic()
        while lost := missing():
            owners = [Part(n, self.of) for n in sorted({_number(unit) % self.of for unit in lost})]
            what = f"{_listed(owners)} of stage {stage} ({len(lost)} units: {_listed(lost)})"
            if self.number is None:
                raise RunError(
                    f"lost: part {what}",
                    file=root,
                    remedy=f"run --part {owners[0]} again, and the others, then --finish",
                )
            others = [part for part in owners if part != self]
            if any(part.lease(root).holder() for part in others):
                begin = time.monotonic()
            elif time.monotonic() - begin > GRACE:
                raise Stopped(
                    f"part {self} has done its share of stage {stage}; missing, and not at work: "
                    f"part {what}; run the parts again to go on"
                )
            time.sleep(pause(root))

    def finished(self) -> None:
        """Raise Stopped where this is a part: only the call that closes the run goes on."""
        if self.number is not None:
            raise Stopped(f"part {self} is done; when all are, --finish closes the run")


def agree(root: str, part: Part, key: str) -> None:
    """Write down in how many parts the run is done, and ``key``: all that its results depend on.

    Raises RunError where a part that is at work has another key: they would wait for each other.
    """
    old, new = read_json(join(root, FILE)), {"of": part.of, "key": key}
    if old == new:
        return
    if isinstance(old, dict) and old["key"] != key and (holder := alive(root, part)):
        raise RunError(
            f"part {holder['part']} (host {holder['host']}) works here with other inputs, files "
            "of the spec or versions",
            file=root,
            remedy="give all parts the same inputs and the same installation",
        )
    write_json(join(root, FILE), new)


def traces(root: str) -> list[str]:
    """Name what parts leave in a run folder, for the call that closes the run."""
    if storage.is_local(storage.file_system(root)[0]):
        return [FILE, "lease"]
    return [FILE, *(f"lease/{name}" for name in _leases(root))]


def _leases(root: str) -> list[str]:
    fs, path = storage.file_system(join(root, "lease"))
    try:
        with storage.errors_of(root):
            names = [entry.rstrip("/").rpartition("/")[2] for entry in fs.ls(path, detail=False)]
    except FileNotFoundError:
        return []
    return sorted(name for name in names if name.startswith("part-"))


def alive(root: str, but: Part | None = None) -> dict[str, Any] | None:
    """Return the holder of one part that is at work here, other than ``but``."""
    leases = (Lease(root, name) for name in _leases(root))
    holders = (holder for lease in leases if (holder := lease.holder()))
    return next((holder for holder in holders if holder["part"] != str(but)), None)


def wait_for_all(root: str, closing: bool) -> None:
    """Raise RunError while parts are at work; the call that closes waits for killed ones first."""
    end = time.monotonic() + (EXPIRY + 1 if closing else 0)
    while holder := alive(root):
        if time.monotonic() > end:
            raise RunError(
                f"part {holder['part']} (host {holder['host']}, pid {holder['pid']}) works here",
                file=root,
                remedy=f"wait for it{IF_KILLED}, stop it, or choose another -o",
            )
        time.sleep(pause(root))


def pause(root: str) -> float:
    """Return the seconds between two looks at a run folder."""
    return 0.5 if storage.is_local(storage.file_system(root)[0]) else 3.0


def _number(unit: str) -> int:
    return int(unit.rpartition("-")[2])


def _listed(values: Sequence[object]) -> str:
    more = f" and {len(values) - NAMED} more" if len(values) > NAMED else ""
    return ", ".join(map(str, values[:NAMED])) + more
