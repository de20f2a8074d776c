"""The whole table of extraction: quality and speed of forge and its peers on the same pages.

    python benchmarks/table.py [--rounds N] [--stride N] [--no-archive]

Pages, their labels and the scorer are those of ``shared/`` beside the repository; without it the
pages of sample_data are measured for speed alone. Every extractor runs in one process of its own
environment. They take turns on pieces of 40 pages, so that all of them meet the same neighbours.
CPU seconds leave out start-up; the time of a page is the least of the rounds, as neighbours only
add to it, and all other figures are made of these.

From WARC to text whole processes are measured, start-up included, on the archive and on one three
times as long, which tells start-up from work: `loop` is fastwarc and trafilatura in a plain loop,
`forge` our readers and extraction in one, `forge clean` the command, which also identifies
languages, measures signals and keeps a ledger, without rules and deduplication.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from run import HERE, ONE_THREAD, SAMPLE, make_inputs, python_of

SHARED = HERE.parent.parent / "shared"
PEERS = {
    "forge": None,
    "trafilatura": "trafilatura",
    "trafilatura_fast": "trafilatura",
    "resiliparse": None,
    "readability": "readability",
}
PIECE = 40  # pages a turn
WEAK = ("forum", "collection", "listing", "product", "service")
COPIES = 3
TEXT_ONLY = ("rules.use=[]", "dedup.exact=none", "dedup.near=none")


class Worker:
    """One extractor, waiting for pages."""

    def __init__(self, name: str, pages: Path, texts: Path) -> None:
        self.name, self.texts = name, texts
        script = str(HERE / "extractors.py")
        self._process = subprocess.Popen(
            [python_of(PEERS[name]), script, name, str(pages), str(texts)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **ONE_THREAD},
        )

    def ready(self) -> None:
        """Wait until it is warm."""
        self._answer()

    def do(self, first: int, last: int) -> dict[str, Any]:
        """Extract pages [first, last)."""
        assert self._process.stdin is not None
        print(first, last, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with exit code {self._process.wait()}")
        return dict(json.loads(line))

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def race(pages: list[dict[str, Any]], folder: Path, rounds: int) -> dict[str, dict[str, Any]]:
    """Let all extractors do ``pages`` in turns; returns CPU seconds by page and texts of each."""
    listed = folder / "pages.jsonl"
    with listed.open("w", encoding="utf-8") as out:
        for page in pages:
            out.write(json.dumps({"id": page["id"], "html": page["html"]}) + "\n")
    workers = [Worker(name, listed, folder / f"{name}.jsonl") for name in PEERS]
    found: dict[str, dict[str, Any]] = {
        name: {"page": [float("inf")] * len(pages)} for name in PEERS
    }
    for worker in workers:
        worker.ready()
    for _ in range(rounds):
        for first in range(0, len(pages), PIECE):
            last = min(first + PIECE, len(pages))
            for worker in workers:
                done, mine = worker.do(first, last), found[worker.name]
                mine["page"][first:last] = map(min, mine["page"][first:last], done["cpu"])
    for worker in workers:
        worker.close()
        with worker.texts.open(encoding="utf-8") as lines:
            found[worker.name]["texts"] = [json.loads(line)["text"] for line in lines]
    return found


def speed(
    pages: list[dict[str, Any]], found: dict[str, dict[str, Any]]
) -> list[tuple[str, list[str]]]:
    """Rows of the table about time."""
    size = sum(len(page["html"].encode()) for page in pages) / 1e6
    cpu = {name: sum(run["page"]) for name, run in found.items()}
    ratios = {name: cpu["trafilatura"] / seconds for name, seconds in cpu.items()}
    tail = {name: max(run["page"]) / statistics.median(run["page"]) for name, run in found.items()}
    return [
        ("pages per CPU-s", [f"{len(pages) / cpu[name]:.1f}" for name in PEERS]),
        ("MB per CPU-s", [f"{size / cpu[name]:.1f}" for name in PEERS]),
        ("times trafilatura", [f"{ratios[name]:.2f}" for name in PEERS]),
        ("slowest / median page", [f"{tail[name]:.0f}" for name in PEERS]),
        ("slowest page, ms", [f"{1000 * max(found[name]['page']):.0f}" for name in PEERS]),
    ]


def quality(
    scorer: Any, pages: list[dict[str, Any]], found: dict[str, dict[str, Any]]
) -> list[tuple[str, list[str]]]:
    """Rows of the table about the text, by word 4-grams."""
    counts = {
        name: [scorer.counts(p["text"], t, 4) for p, t in zip(pages, run["texts"], strict=True)]
        for name, run in found.items()
    }

    def row(key: str, chosen: Any = lambda page: True) -> list[str]:
        rows = [number for number, page in enumerate(pages) if chosen(page)]
        marks = [scorer.summary([counts[name][number] for number in rows])[key] for name in PEERS]
        return [f"{mark:.4f}" if isinstance(mark, float) else str(mark) for mark in marks]

    def group(name: str, chosen: Any) -> tuple[str, list[str]]:
        return f"F1 {name} ({sum(map(chosen, pages))})", row("F1", chosen)

    kinds = sorted({page["kind"] for page in pages})
    return [
        (f"F1 ({len(pages)} pages)", row("F1")),
        ("P", row("P")),
        ("R", row("R")),
        ("mean F1 of a page", row("docF1")),
        *(group(kind, lambda page, kind=kind: page["kind"] == kind) for kind in kinds),
        group("+".join(kind[:4] for kind in WEAK), lambda page: page["kind"] in WEAK),
        group("English", lambda page: page["lang"] == "en"),
        group("not English", lambda page: page["lang"] != "en"),
        ("pages left empty", row("empty")),
    ]


def snippets(
    scorer: Any, pages: list[dict[str, Any]], found: dict[str, dict[str, Any]]
) -> list[tuple[str, list[str]]]:
    """Rows of the table about snippets that the text must, and must not, hold."""
    marks = {
        name: scorer.snippet_summary(
            [scorer.snippet_counts(p, t) for p, t in zip(pages, run["texts"], strict=True)]
        )
        for name, run in found.items()
    }
    names = {"F1": f"snippets F1 ({len(pages)})", "P": "snippets P", "R": "snippets R"}
    return [(name, [f"{marks[who][key]:.4f}" for who in PEERS]) for key, name in names.items()]


def archive(path: Path, folder: Path, rounds: int) -> list[str]:
    """From WARC to text, in CPU seconds of whole processes, with start-up and without."""
    longer = folder / "longer.warc.gz"
    longer.write_bytes(path.read_bytes() * COPIES)
    settings = [part for setting in TEXT_ONLY for part in ("--set", setting)]
    script = str(HERE / "extractors.py")
    seconds: dict[tuple[str, int], list[float]] = {}
    warm_up = [sys.executable, "-m", "corpusforge", "clean", str(path), "-o", str(folder / "warm")]
    _cpu([*warm_up, "--quiet", "--workers", "1", *settings])  # kernels are compiled once a machine
    for number in range(rounds):
        for copies, file in ((1, str(path)), (COPIES, str(longer))):
            out = str(folder / f"run-{number}-{copies}")
            command = [sys.executable, "-m", "corpusforge", "clean", file, "-o", out, "--quiet"]
            commands = {
                "loop": [python_of("trafilatura"), script, "trafilatura", file],
                "forge": [sys.executable, script, "forge", file],
                "forge clean": [*command, "--workers", "1", *settings],
            }
            for name, words in commands.items():
                seconds.setdefault((name, copies), []).append(_cpu(words))
    names = list(dict.fromkeys(name for name, _ in seconds))
    once, more = ({w: statistics.median(seconds[w, n]) for w in names} for n in (1, COPIES))
    work = {who: (more[who] - once[who]) / (COPIES - 1) for who in names}
    title = f"WARC to text, CPU-s: {path.name}"
    lines = [f"{title:<36}{'once':>8}{COPIES:>7}x{'start-up':>10}{'work':>8}   times as fast"]
    for who in names:
        start = max(0.0, once[who] - work[who])
        times = [part["loop"] / part[who] for part in (once, more, work)]
        lines.append(
            f"  {who:<34}{once[who]:>8.2f}{more[who]:>8.2f}{start:>10.2f}{work[who]:>8.2f}   "
            f"{times[0]:.2f} once, {times[1]:.2f} at {COPIES}x, {times[2]:.2f} without start-up"
        )
    return lines


def _cpu(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **ONE_THREAD},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def load(path: Path, stride: int) -> list[dict[str, Any]]:
    """Read every ``stride``-th row of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for number, line in enumerate(lines) if number % stride == 0]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2, metavar="N")
    parser.add_argument("--stride", type=int, default=1, metavar="N", help="every Nth page only")
    parser.add_argument("--no-archive", action="store_true", help="leave out WARC to text")
    given = parser.parse_args()
    print(f"{'':<36}" + "".join(f"{name:>18}" for name in PEERS), flush=True)

    def show(rows: list[tuple[str, list[str]]]) -> None:
        for name, values in rows:
            print(f"{name:<36}" + "".join(f"{value:>18}" for value in values), flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scorer_file = SHARED / "tools" / "score_extraction.py"
        if scorer_file.exists():
            spec = importlib.util.spec_from_file_location("score_extraction", scorer_file)
            assert spec is not None and spec.loader is not None
            scorer = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(scorer)
            pages = load(SHARED / "data" / "extraction_dev.jsonl.gz", given.stride)
            found = race(pages, folder, given.rounds)
            show(quality(scorer, pages, found))
            rows = load(SHARED / "data" / "snippets_dev.jsonl.gz", given.stride)
            show(snippets(scorer, rows, race(rows, folder, 1)))
            show(speed(pages, found))
            warc = SHARED / "data" / "pages_dev.warc.gz"
        else:
            make_inputs("pages", str(folder), 20.0, [str(SAMPLE)])
            with (folder / "full").open(encoding="utf-8") as lines:
                pages = [{"id": n, **json.loads(line)} for n, line in enumerate(lines)]
            show(speed(pages[:: given.stride], race(pages[:: given.stride], folder, given.rounds)))
            warc = SAMPLE / "pages.warc.gz"
        if not given.no_archive:
            print(*archive(warc, folder, given.rounds), sep="\n")


if __name__ == "__main__":
    main()
