"""Ten times the input: what time and memory do, of `forge clean` and `forge tokenize`.

    python benchmarks/growth.py PAGES.jsonl.gz [--field html|text] [--workers N] [--rounds N]

The larger input is every record once as it is and nine times with the words of each paragraph in
another order: as many documents more, none a copy of another, all as hard to read as real ones.
Printed are wall and CPU seconds and the peak RSS of the command's own process and of its largest
worker, at one and at ten times, and their ratios.
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

TIMES = 10
WORDS = re.compile(r"[^<>]{40,}")  # a run of text between two tags


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
    """Write ``copies`` of the records to ``folder``, a file each."""
    folder.mkdir()
    for copy in range(copies):
        with (
            gzip.open(pages, "rt") as source,
            gzip.open(folder / f"copy-{copy}.jsonl.gz", "wt", compresslevel=1) as target,
        ):
            for number, line in enumerate(source):
                row = json.loads(line)
                text = row[field] if copy == 0 else shuffled(row[field], number * TIMES + copy)
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


def measure(command: list[str]) -> dict[str, float]:
    """Run a command; returns wall and CPU seconds, peak MB of its process and largest worker."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peaks: dict[int, int] = {}

    def watch() -> None:
        while process.poll() is None:
            for pid in (process.pid, *tree(process.pid)):
                try:
                    peaks[pid] = max(peaks.get(pid, 0), high_water(pid))
                except OSError:
                    continue
            time.sleep(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    watcher.join()
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    own = peaks.pop(process.pid)
    return {
        "wall": time.monotonic() - start,
        "cpu": cpu,
        "parent_mb": own / 1e6,
        "worker_mb": max(peaks.values(), default=0) / 1e6,
    }


def main() -> None:
    """Measure and print a line of JSON for each command and round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", type=Path)
    parser.add_argument("--field", default="html", choices=("html", "text"))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    os.environ["PYTHONSAFEPATH"] = "1"
    forge = [sys.executable, "-m", "corpusforge"]
    modes = ["--workers", str(given.workers), "--quiet", "--fresh"]
    if given.workers > 1:
        modes += ["--beam", "direct_running_mode=multi_processing"]
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        for times in (1, TIMES):
            write(given.pages, given.field, here / f"in-{times}", times)
        for _ in range(given.rounds):
            found: dict[str, dict[int, dict[str, float]]] = {"clean": {}, "tokenize": {}}
            for times in (1, TIMES):
                clean, made = str(here / f"clean-{times}"), str(here / f"tok-{times}")
                source = str(here / f"in-{times}")
                both = {
                    "clean": [source, "-o", clean],
                    "tokenize": [clean, "-o", made, "--vocab-size", "8000"],
                }
                for stage, arguments in both.items():
                    found[stage][times] = measure([*forge, stage, *arguments, *modes])
            for stage, values in found.items():
                one, ten = values[1], values[TIMES]
                ratio = {k: round(ten[k] / one[k], 2) for k in one if one[k]}
                told = {str(t): {k: round(v, 1) for k, v in values[t].items()} for t in values}
                print(json.dumps({"stage": stage, **told, "ratio": ratio}), flush=True)


if __name__ == "__main__":
    main()
