"""trials.jsonl: what a sweep tried and what came of it, one line a trial, without times."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypedDict

from corpusforge.eval.tables import aligned
from corpusforge.manifest import Manifest
from corpusforge.shard import join
from corpusforge.storage import read_bytes

NAME = "trials.jsonl"
STATES = ("complete", "pruned", "failed")


class Trial(TypedDict):
    """One trial."""

    number: int
    state: str  # one of STATES
    settings: dict[str, Any]  # by key of the train spec
    value: float | None  # of the objective, at the last step of a complete trial
    values: list[tuple[int, float]]  # (step, value) at each evaluation
    reason: str | None  # why it failed
    content: str | None  # digest of a complete trial's model


def lines(trials: Sequence[Trial]) -> bytes:
    """Return the file's bytes."""
    return "".join(json.dumps(trial, ensure_ascii=False) + "\n" for trial in trials).encode()


def read(root: str) -> list[Trial]:
    """Return the trials of a finished sweep in order of their numbers."""
    return [json.loads(line) for line in read_bytes(join(root, NAME)).splitlines()]


def ranked(trials: Sequence[Trial], maximize: bool) -> list[Trial]:
    """Return the complete trials, best first; of equal ones the earlier first."""
    complete = [trial for trial in trials if trial["state"] == "complete"]
    sign = -1 if maximize else 1
    return sorted(complete, key=lambda trial: (sign * (trial["value"] or 0.0), trial["number"]))


SHOWN = 10  # trials of the table


def describe(trials: Sequence[Trial], run: Manifest, root: str) -> str:
    """Return the table of the best trials of a sweep in ``root``, and its sum."""
    facts, n = run.facts, run.counts
    names = list(facts["settings"])
    best = ranked(trials, facts["maximize"])[:SHOWN]
    rows = [["trial", facts["objective"], *names]]
    rows += [
        [str(one["number"]), *(short(value) for value in (one["value"], *one["settings"].values()))]
        for one in best
    ]
    lines = aligned(rows)
    lines.append(
        f"trials {n['in']} = complete {n['kept']} + pruned {n['dropped']} + failed {n['failed']}"
        f" · best {facts['best']} · {root}/best.toml · content {run.content}"
    )
    return "\n".join(lines)


def short(value: object) -> str:
    """Write a setting or a value in a few characters."""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def folder(number: int) -> str:
    """Folder of a trial's training run, under that of the sweep."""
    return f"trials/{number:04d}"
