"""Progress of a run: signs that its units leave in the folder, shown as rates and time left."""

from __future__ import annotations

import json
import os
import posixpath
import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from corpusforge import storage
from corpusforge.shard import join, read_json


def beat(root: str, stage: str, unit: str, documents: int, done: int, failed: int = 0) -> None:
    """Leave a sign of progress of one unit: documents, input bytes done, documents that failed."""
    fs, path = storage.file_system(join(root, f"progress/{stage}/{unit}.json"))
    if storage.is_local(fs):
        fs.makedirs(posixpath.dirname(path), exist_ok=True)
    with fs.open(path, "wb") as file:
        file.write(json.dumps({"documents": documents, "bytes": done, "failed": failed}).encode())


class Seen(NamedTuple):
    """What the units of a stage have done so far."""

    begun: int
    documents: int
    bytes: int
    failed: int


def seen(root: str, stage: str) -> Seen:
    """Sum the signs of a stage."""
    fs, path = storage.file_system(join(root, f"progress/{stage}"))
    entries = fs.find(path) if fs.exists(path) else []
    signs = [read_json(fs.unstrip_protocol(entry)) for entry in entries]
    whole = [sign for sign in signs if sign]
    names = ("documents", "bytes", "failed")
    return Seen(len(signs), *(sum(sign[name] for sign in whole) for name in names))


def memory() -> int:
    """Return the bytes that this process and those it started hold; its own peak off Linux."""
    if not Path("/proc/self/statm").exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    parents, held = dict[int, int](), dict[int, int]()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text().rpartition(")")[2].split()[1]
                )
                held[int(entry.name)] = int((entry / "statm").read_text().split()[1])
            except OSError:  # it has ended
                continue
    mine, pages = {os.getpid()}, 0
    for pid in sorted(held, key=lambda one: (one != os.getpid(), one)):
        if pid in mine or parents.get(pid) in mine:
            mine.add(pid)
            pages += held[pid]
    return pages * resource.getpagesize()


@contextmanager
def progress(
    root: str, stage: str, total: int, units: int = 0, *, quiet: bool = False
) -> Iterator[None]:
    """Show units, documents/s, MB/s, time left, failures and memory on stderr meanwhile.

    ``total`` is in input bytes, ``units`` how many there are to do. A terminal gets a live line,
    a log file a line every ten seconds.
    """
    if quiet:
        yield
        return
    stop, start = threading.Event(), time.monotonic()
    show = _bar if sys.stderr.isatty() else _lines
    what = (root, stage, total, units, start, stop)
    thread = threading.Thread(target=show, args=what, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    now = seen(root, stage)
    text = f"{now.documents:,} docs" if now.documents else "done"  # some stages count no documents
    text += f", {now.failed:,} failed," if now.failed else ""
    print(f"{stage}: {text} in {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)


def _rates(root: str, stage: str, total: int, units: int, start: float) -> tuple[int, str]:
    now = seen(root, stage)
    seconds = max(time.monotonic() - start, 1e-3)
    parts = [f"unit {now.begun:,}/{units:,}"] if units > 1 else []
    if now.documents:
        parts.append(f"{now.documents:,} docs · {now.documents / seconds:,.0f} docs/s")
    if total:
        left = f"{(total - now.bytes) * seconds / now.bytes:,.0f} s" if now.bytes else "?"
        parts.append(f"{now.bytes / seconds / 1e6:.1f} MB/s · ETA {left}")
    if now.failed:
        parts.append(f"{now.failed:,} failed")
    return now.bytes, " · ".join([*parts, f"{memory() / 1e6:,.0f} MB"])


def _lines(
    root: str, stage: str, total: int, units: int, start: float, stop: threading.Event
) -> None:
    while not stop.wait(10.0):
        done, text = _rates(root, stage, total, units, start)
        share = f"{100 * done / total:.0f} % · " if total else ""
        print(f"{stage}: {share}{text}", file=sys.stderr, flush=True)


def _bar(
    root: str, stage: str, total: int, units: int, start: float, stop: threading.Event
) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    text = TextColumn("{task.fields[text]}", markup=False)
    columns = (TextColumn(stage), BarColumn(10) if total else SpinnerColumn(), text)
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(stage, total=max(total, 1), text="")
        while not stop.wait(0.25):
            done, line = _rates(root, stage, total, units, start)
            bar.update(task, completed=done, text=line)
