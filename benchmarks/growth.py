"""More of the same input: what time and memory of `forge clean` and `forge tokenize` do.

    python benchmarks/growth.py PAGES.jsonl.gz [--field html|text] [--times 1 4 16] [--workers N]

At 1 the input is every record as it is. At N it is that and N - 1 times as many records more, with
the words of each paragraph in another order: none is a copy of another, and all are as hard to read
as real ones. A line of JSON for each command says, at each size, documents, wall and CPU seconds,
the same in milliseconds a document, the CPU seconds of each stage, and the peak RSS in MB of the
command's own process and of its largest worker. Inputs are made by seed, the same everywhere.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

WORDS = re.compile(r"[^<>]{40,}")  # a run of text between two tags
SEEDS = 1000  # of each record: that of its copy N is N on from that of the record


def shuffled(text: str, seed: int) -> str:
    """Put the words of every paragraph in another order; tags, scripts and styles stay."""
    order = random.Random(seed)

    def mix(found: re.Match[str]) -> str:
        if any(mark in found[0] for mark in "{};="):
            return found[0]
        words = found[0].split(" ")
        order.shuffle(words)
        return " ".join(words)

    return WORDS.sub(mix, text)


def write(pages: Path, field: str, folder: Path, copies: int) -> None:
    """Write ``copies`` of the records to ``folder``, a file each; those that are there stay."""
    folder.mkdir(exist_ok=True)
    for copy in range(copies):
        path = folder / f"copy-{copy:03d}.jsonl.gz"
        if path.exists():
            continue
        with gzip.open(pages, "rt") as source, gzip.open(path, "wt", compresslevel=1) as target:
            for number, line in enumerate(source):
                row = json.loads(line)
                text = row[field] if copy == 0 else shuffled(row[field], number * SEEDS + copy)
                made = {"id": f"{number}-{copy}", field: text}
                made["url"] = f"https://copy{copy}.example/{number}"
                target.write(json.dumps(made) + "\n")


def tree(pid: int) -> Iterator[int]:
    """Yield the processes below ``pid``."""
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            yield int(child)
            yield from tree(int(child))


def high_water(pid: int) -> int:
    """Peak RSS of a living process in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) << 10
    return 0


def measure(command: list[str], run: str) -> dict[str, float]:
    """Run a command that makes ``run``; returns its counts, times, and memory."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peaks: dict[int, int] = {}

    def watch() -> None:
        while process.poll() is None:
            try:
                for pid in (process.pid, *tree(process.pid)):
                    peaks[pid] = max(peaks.get(pid, 0), high_water(pid))
            except OSError:  # one of them has ended
                continue
            time.sleep(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, _ = process.communicate()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    documents = json.loads(out.splitlines()[-1])["counts"]["in"]
    own = peaks.pop(process.pid)
    log = [json.loads(line) for line in Path(run, "log.jsonl").read_text().splitlines()]
    stages = {e["stage"]: round(e["cpu"], 2) for e in log if e["event"] == "stage"}
    return {
        "documents": documents,
        "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "wall_ms_each": round(wall / documents * 1e3, 3),
        "cpu_ms_each": round(cpu / documents * 1e3, 3),
        "parent_mb": round(own / 1e6),
        "worker_mb": round(max(peaks.values(), default=0) / 1e6),
        **{f"{name}_cpu_s": seconds for name, seconds in stages.items()},
    }


def main() -> None:
    """Measure, and print a line of JSON for each command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", type=Path)
    parser.add_argument("--field", default="html", choices=("html", "text"))
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    os.environ["PYTHONSAFEPATH"] = "1"
    forge = [sys.executable, "-m", "corpusforge"]
    modes = ["--workers", str(given.workers), "--quiet", "--json"]
    if given.workers > 1:
        modes += ["--beam", "direct_running_mode=multi_processing"]
    found: dict[str, dict[int, dict[str, float]]] = {"clean": {}, "tokenize": {}}
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        for times in sorted(given.times):
            write(given.pages, given.field, here / "in", times)
            clean, made = str(here / f"clean-{times}"), str(here / f"tok-{times}")
            both = {
                "clean": [str(here / "in"), "-o", clean],
                "tokenize": [clean, "-o", made, "--vocab-size", "8000"],
            }
            for stage, arguments in both.items():
                found[stage][times] = measure([*forge, stage, *arguments, *modes], arguments[2])
                print(stage, times, found[stage][times], file=sys.stderr, flush=True)
    for stage, values in found.items():
        least, most = values[min(values)], values[max(values)]
        ratio = {k: round(most[k] / least[k], 2) for k in least if least[k]}
        print(json.dumps({"stage": stage, **values, "ratio": ratio}), flush=True)


if __name__ == "__main__":
    main()
