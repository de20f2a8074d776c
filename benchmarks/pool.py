"""The documents stage on the local runner against a bare pool of as many processes.

    python benchmarks/pool.py PAGES.jsonl.gz [--copies 20] [--workers 2] [--rounds 3]

Both do the same units by the same function, each into a folder of its own, compiled before; the
pool takes the next unit when one is done, and knows of no graph, no shuffle and no commits beside
the function's own. Rounds are interleaved. Printed is a line of JSON a round: wall and CPU seconds
of both, and their ratios.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from growth import write  # beside this file

from corpusforge.pipelines import clean as jobs
from corpusforge.pipelines.clean_run import plan
from corpusforge.pipelines.engine import Engine
from corpusforge.plan import Unit, largest_first
from corpusforge.spec import CleanSpec
from corpusforge.stages import clean, warm


def one(task: tuple[str, Unit, CleanSpec]) -> None:
    """Do one unit."""
    clean.documents(*task)


def pool(workers: int, root: str, units: list[Unit], spec: CleanSpec) -> None:
    """Do all units in a pool of fresh processes."""
    with multiprocessing.get_context("spawn").Pool(workers) as processes:
        tasks = [(root, unit, spec) for unit in largest_first(units)]
        for _ in processes.imap_unordered(one, tasks):
            pass
        processes.close()
        processes.join()


def runner(workers: int, root: str, units: list[Unit], spec: CleanSpec) -> None:
    """Do all units on the local runner."""
    engine = Engine(workers=workers, options=("direct_running_mode=multi_processing",))
    jobs.documents(engine, root, units, spec)


def timed(
    work: Callable[[int, str, list[Unit], CleanSpec], None],
    workers: int,
    units: list[Unit],
    spec: CleanSpec,
) -> tuple[float, float]:
    """Return wall and CPU seconds of the work."""

    def used() -> float:
        both = (resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(one.ru_utime + one.ru_stime for one in both)

    with tempfile.TemporaryDirectory() as root:
        before, start = used(), time.monotonic()
        work(workers, root, units, spec)
        return time.monotonic() - start, used() - before


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", type=Path)
    parser.add_argument("--field", default="html", choices=("html", "text"))
    parser.add_argument("--copies", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    os.environ["PYTHONSAFEPATH"] = "1"
    spec = CleanSpec()
    warm.warm(lambda: warm.clean(spec), quiet=True)
    with tempfile.TemporaryDirectory() as name:
        write(given.pages, given.field, Path(name, "in"), given.copies)
        units = plan([f"{name}/in"], spec)
        for _ in range(given.rounds):
            bare = timed(pool, given.workers, units, spec)
            ours = timed(runner, given.workers, units, spec)
            found = {
                "units": len(units),
                "pool_wall_s": round(bare[0], 1),
                "runner_wall_s": round(ours[0], 1),
                "pool_cpu_s": round(bare[1], 1),
                "runner_cpu_s": round(ours[1], 1),
                "wall": round(ours[0] / bare[0], 3),
                "cpu": round(ours[1] / bare[1], 3),
            }
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
