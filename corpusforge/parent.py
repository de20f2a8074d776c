"""Worker processes end with the process that started them."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpusforge.lease import process_start

PARENT = "FORGE_PARENT"  # environment variable: pid:start time:file to live for


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
