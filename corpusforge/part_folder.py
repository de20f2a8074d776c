"""The run folder as one part of several sees it: a lease of its own, the lock only at times."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from corpusforge import parts
from corpusforge import spec as specs
from corpusforge.errors import RunError
from corpusforge.lease import EXPIRY, HEARTBEAT
from corpusforge.parts import Part
from corpusforge.run import RunFolder
from corpusforge.shard import write_bytes


class PartFolder(RunFolder):
    """A run folder that other parts work in too: nothing in it is removed, no log is written.

    Raises RunError as RunFolder does, and where the same part is at work already.
    """

    def __init__(self, root: str, kind: str, spec: specs.Model, part: Part) -> None:
        super().__init__(root, kind, spec)
        self.part, self._own = part, part.lease(self.root)
        self._me["part"] = str(part)
        if self._lease:
            self._lease.me["part"] = str(part)

    def _begin(self) -> None:
        end = time.monotonic() + EXPIRY + 1
        while holder := self._own.take():
            if time.monotonic() > end:
                raise RunError(
                    f"part {self.part} (host {holder['host']}, pid {holder['pid']}) works here",
                    file=self.root,
                    remedy="wait for it or stop it",
                )
            time.sleep(parts.pause(self.root))
        with self.alone():
            self._open(self._written())

    def _open(self, text: str | None) -> None:
        if text is not None:
            self._match_spec(text)
        else:
            new = f"# forge {self.kind}\n{specs.dump(self.spec)}"
            write_bytes(self.file("spec.toml"), new.encode())

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock of the run; other parts are waited for, another run is refused."""
        end = time.monotonic() + EXPIRY
        while holder := self._try_lock():
            silent = time.time() - float(holder["heartbeat"]) > 3 * HEARTBEAT  # soon taken over
            over = time.monotonic() > end + (2 * EXPIRY if silent else 0)
            if "part" not in holder and over:
                raise RunError(
                    f"another run (host {holder['host']}, pid {holder['pid']}) works here",
                    file=self.root,
                    remedy="wait for it, stop it, or choose another -o",
                )
            time.sleep(parts.pause(self.root))
        try:
            yield
        finally:
            super()._unlock()

    def agree(self, key: str) -> None:
        """Make sure that all parts do the same run: ``key`` is all that it depends on."""
        with self.alone():
            parts.agree(self.root, self.part, key)

    def once(self, done: Callable[[], bool], act: Callable[[], object]) -> None:
        """Do what is done once a run, unless another part has done it meanwhile."""
        if not done():
            with self.alone():
                if not done():
                    act()

    def check(self) -> None:
        """Raise RunError if another process has become this part."""
        if not self._own.mine():
            raise RunError(
                f"part {self.part} is another process now, so this one stops",
                file=self.root,
                remedy="run each part once at a time",
            )

    def log(self, event: str, **facts: Any) -> None:
        """Nothing: the log is of one writer."""
        self.check()

    def remove(self, *names: str) -> None:
        """Nothing: other parts need it."""

    def _renew(self) -> None:
        self._own.renew()
        super()._renew()

    def _unlock(self) -> None:
        super()._unlock()
        self._own.release()
