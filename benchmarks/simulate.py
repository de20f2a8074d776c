"""Ranges, hot keys and stragglers of sizes that do not fit here, drawn by seed.

    python benchmarks/simulate.py [--documents 1e6 1e9 1e11] [--workers 1000] [--seed 1]

For each size the plan (`forge clean --plan --assume-documents`) gives units and ranges, with the
larger pieces that it names. Then three tables are drawn:

hot keys    Near-duplicates come in clusters whose sizes follow a power law (exponent 2, up to a
            share of all documents); the documents of a cluster have all band keys in common, which
            is the worst case. A key is in one range, so the range of the largest cluster grows.
            Printed: the largest range over the mean one, and the memory of its reducer.
stragglers  Units take log-normal times (sigma as measured on units of real pages), and a share of
            the workers is slow. Printed: the time of the stage over the time of a perfect division,
            when workers take the next unit as they end one, largest first or as they come, and when
            units are dealt out beforehand, as the local runner does.
lost        A share of the workers dies in the middle of a unit, which is done again. Printed: work
            done twice, over all work.

Nothing of it was run at these sizes.
"""

from __future__ import annotations

import argparse
import heapq
import json
from typing import Any

import numpy as np
import numpy.typing as npt

from corpusforge import dedup_plan, scale_plan
from corpusforge.spec import CleanSpec

Numbers = npt.NDArray[np.float64]
SIGMA = 0.35  # of the logarithm of a unit's time
SLOW, TIMES = 0.02, 4.0  # of the workers, and how much longer they take
DIE = 0.01  # of the workers, once each
MOST = 200_000  # units that are drawn; of more, as many stand for all
LEAST_UNITS = 8  # of a worker: with fewer, some wait for most of the stage
BUFFER = 4  # bytes of a reducer for a byte of keys


def planned(documents: int, workers: int) -> tuple[CleanSpec, dict[str, Any]]:
    """Return spec and plan, with the larger pieces that the plan names."""
    spec = CleanSpec()
    found = scale_plan.planned(spec, documents, workers=workers)
    if found["set"]:
        sets = {key.removeprefix("plan."): value for key, value in found["set"].items()}
        spec = CleanSpec(plan=sets)
        found = scale_plan.planned(spec, documents, workers=workers)
    return spec, found


def hot_keys(
    spec: CleanSpec, documents: int, ranges: int, largest: float, seed: int
) -> dict[str, Any]:
    """Return the loads of ranges where the largest cluster is a share of all documents."""
    draw = np.random.default_rng(seed)
    bands, width = spec.dedup.bands, dedup_plan.key_bytes(spec)["near"] // spec.dedup.bands
    top = max(1.0, largest * documents)
    # Sizes top, top / 2, top / 3, ... down to clusters too small to matter in a range.
    mean = documents * bands / ranges
    count = int(min(top / max(mean / 1000, 1), 1_000_000)) or 1
    sizes = np.floor(top / np.arange(1, count + 1))
    sizes = sizes[np.cumsum(sizes) <= 0.5 * documents]  # half of all documents have a twin
    rest = (documents - sizes.sum()) * bands
    loads = draw.poisson(rest / ranges, ranges).astype(np.float64)
    for size in np.array_split(sizes, max(1, len(sizes) // 100_000)):
        homes = draw.integers(0, ranges, (len(size), bands))
        loads += np.bincount(homes.ravel(), np.repeat(size, bands), minlength=ranges)
    return {
        "largest_cluster": f"{largest:.4%}",
        "ranges": ranges,
        "max_over_mean": round(float(loads.max() / loads.mean()), 2),
        "p99_over_mean": round(float(np.quantile(loads, 0.99) / loads.mean()), 2),
        "reducer_gb": round(float(loads.max()) * width * BUFFER / 1e9, 2),
    }


def makespan(times: Numbers, speeds: Numbers, *, dealt: bool) -> float:
    """Return when the last worker is done; ``times`` in order of units, ``speeds`` of workers."""
    if dealt:
        return max(times[n :: len(speeds)].sum() / speed for n, speed in enumerate(speeds.tolist()))
    free = [(0.0, worker) for worker in range(len(speeds))]
    slow = (1 / speeds).tolist()
    last = 0.0
    for time in times.tolist():
        at, worker = heapq.heappop(free)
        done = at + time * slow[worker]
        last = max(last, done)
        heapq.heappush(free, (done, worker))
    return last


def stragglers(units: int, workers: int, seed: int) -> dict[str, Any]:
    """Return the times of a stage over that of a perfect division of its work."""
    draw = np.random.default_rng(seed)
    drawn = min(units, MOST)
    workers = max(1, min(workers, units // LEAST_UNITS) * drawn // units)
    times = draw.lognormal(0.0, SIGMA, drawn)
    speeds = np.ones(workers)
    speeds[draw.random(workers) < SLOW] = 1 / TIMES
    perfect = times.sum() / speeds.sum()
    first = np.sort(times)[::-1]
    dead = draw.random(workers) < DIE
    again = float(draw.random(int(dead.sum())).sum() * times.mean())
    return {
        "units": units,
        "workers": workers if drawn == units else workers * units // drawn,
        "units_a_worker": round(drawn / workers, 1),
        "next_largest_first": round(makespan(first, speeds, dealt=False) / perfect, 3),
        "next_as_they_come": round(makespan(times, speeds, dealt=False) / perfect, 3),
        "dealt_beforehand": round(makespan(first, speeds, dealt=True) / perfect, 3),
        "done_twice": f"{again / times.sum():.4%}",
    }


def main() -> None:
    """Draw, and print a line of JSON a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=float, nargs="+", default=[1e6, 1e9, 1e11])
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for documents in map(round, given.documents):
        spec, found = planned(documents, given.workers)
        size = {"documents": documents, "unit_bytes": spec.plan.unit_bytes}
        size["range_bytes"] = spec.plan.range_bytes
        for largest in (0.0001, 0.001, 0.01):
            loads = hot_keys(spec, documents, found["ranges"]["near"], largest, given.seed)
            print(json.dumps({"table": "hot keys", **size, **loads}))
        waits = stragglers(found["units"], given.workers, given.seed)
        print(json.dumps({"table": "stragglers", **size, **waits}))


if __name__ == "__main__":
    main()
