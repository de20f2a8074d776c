"""Progress of a run: signs that its units leave in the folder, shown as rates and time left."""

from __future__ import annotations

import json
import posixpath
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import fsspec

from corpusforge.shard import join, read_json


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
    what = f"{documents:,} docs" if documents else "done"  # some stages count no documents
    print(f"{stage}: {what} in {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)


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
