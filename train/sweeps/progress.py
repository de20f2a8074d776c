"""Progress of a sweep on stderr: a line a trial that ends, and the state of those that run."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Sequence

from corpusforge import trials
from corpusforge.spec import SweepSpec
from corpusforge.trials import Trial

from .crew import Worker

OFTEN, SELDOM = 0.5, 10.0  # seconds between two lines, on a terminal and in a log


class Progress:
    """What is shown of the trials of a sweep; nothing where it is quiet."""

    def __init__(self, spec: SweepSpec, wanted: int, quiet: bool) -> None:
        self.spec, self.wanted, self.quiet = spec, wanted, quiet
        self.live = sys.stderr.isatty()
        self.start = self.shown = time.monotonic()
        self.before = 0  # trials that had ended when the command began
        self.found: Sequence[Trial] = ()

    def begin(self, found: Sequence[Trial], left: int) -> None:
        """Say what lies there already."""
        self.found, self.before = found, len(found)
        if found or left:
            self._line(f"goes on after {len(found)} trials" + f", {left} unfinished" * bool(left))

    def ended(self, found: Sequence[Trial], number: int) -> None:
        """Tell how a trial ended."""
        self.found = found
        trial = next(one for one in found if one["number"] == number)
        about = {
            "complete": f"{self.spec.sweep.objective} {trial['value'] or 0.0:.5g}",
            "pruned": f"pruned at step {trial['values'][-1][0] if trial['values'] else 0}",
            "failed": f"failed: {trial['reason']}",
        }[trial["state"]]
        given = ", ".join(
            f"{key} {trials.short(value)}" for key, value in trial["settings"].items()
        )
        self._line(f"trial {number} · {about} · {given}")

    def show(self, busy: Sequence[Worker]) -> None:
        """Show the state, now and then."""
        now = time.monotonic()
        if self.quiet or now - self.shown < (OFTEN if self.live else SELDOM):
            return
        self.shown = now
        states = Counter(trial["state"] for trial in self.found)
        parts = [f"{len(self.found)}/{self.wanted}"]
        parts += [f"{name} {states[name]}" for name in trials.STATES]
        if ranked := trials.ranked(self.found, self.spec.sweep.maximize):
            parts.append(f"best {ranked[0]['value']:.5g} (trial {ranked[0]['number']})")
        parts += [f"trial {worker.number} at step {worker.step}" for worker in busy]
        if done := len(self.found) - self.before:
            left = (now - self.start) / done * (self.wanted - len(self.found))
            parts.append(f"ETA {left:,.0f} s")
        self._line(" · ".join(parts), end="" if self.live else "\n")

    def close(self) -> None:
        """Leave the last line."""
        if self.live and not self.quiet:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _line(self, text: str, end: str = "\n") -> None:
        if self.quiet:
            return
        text = f"sweep: {text}"
        if self.live:
            width = os.get_terminal_size(sys.stderr.fileno()).columns - 1
            text = "\r\x1b[K" + (text if end else text[:width])  # the live line stays one
        print(text, end=end, file=sys.stderr, flush=True)
