"""One measurement in a process of its own: the CPU seconds of a contestant's work on an input.

    python measure.py STAGE.py CONTESTANT INPUT TINY

Runs in our environment or a peer's, so it needs the standard library only. Imports, compilation,
tables that are built once and reading the input are not timed: the contestant runs once on TINY
before, and each of its passes over INPUT begins with an untimed set-up.
"""

from __future__ import annotations

import json
import resource
import runpy
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path

ENOUGH = 0.5  # CPU seconds of work; passes are repeated up to there


def cpu_seconds() -> float:
    """CPU seconds of this process, its threads, and its children that have ended."""
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    return total


def measure(stage: str, contestant: str, path: str, tiny: str) -> dict[str, object]:
    """Return the CPU seconds, the units of work done, and the versions of what was imported."""
    prepare = runpy.run_path(stage)[contestant]
    prepare(Path(tiny))()
    seconds, units = 0.0, Counter[str]()
    while seconds < ENOUGH:
        work = prepare(Path(path))
        start = cpu_seconds()
        done = work()
        seconds += cpu_seconds() - start
        units.update(done)
    owners = metadata.packages_distributions()
    names = {owner for module in list(sys.modules) for owner in owners.get(module, ())}
    versions = {name: metadata.version(name) for name in sorted(names)}
    return {"cpu_seconds": seconds, "units": dict(units), "versions": versions}


if __name__ == "__main__":
    print("\n" + json.dumps(measure(*sys.argv[1:])))
