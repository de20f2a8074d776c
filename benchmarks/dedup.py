"""Whole deduplication against datatrove's four MinHash stages, one worker each, start-up included.

    python benchmarks/dedup.py texts.jsonl.gz             once
    python benchmarks/dedup.py texts.jsonl.gz --times 10  ten distinct copies of the texts

CPU and wall seconds and peak RSS are those of whole processes. A copy has a letter more in every
word, so that nothing meets between copies.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import runpy
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SPEC = """[extract]\nmethod = "none"\n[language]\ndetect = false\n[signals]\nmeasure = false
[rules]\nuse = []\n"""


def copies(source: Path, out: Path, times: int) -> None:
    """Write ``times`` distinct copies of the texts of ``source`` to ``out``, JSON lines, gzip."""
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    with gzip.open(out, "wt", encoding="utf-8", compresslevel=1) as file:
        for turn in range(times):
            for row in rows:
                letter = chr(97 + turn % 26) * (turn // 26 + 1) if turn else ""
                text = re.sub(r"\w+", lambda word, a=letter: word.group() + a, row["text"])
                file.write(json.dumps({"id": f"{turn}-{row.get('id', '')}", "text": text}) + "\n")


def timed(command: list[str]) -> dict[str, float]:
    """Run ``command``; returns its CPU and wall seconds and peak MiB."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{command[0]}: exit code {child.returncode}")
    cpu = usage.ru_utime + usage.ru_stime
    return {"cpu": cpu, "wall": time.perf_counter() - start, "mib": usage.ru_maxrss / 1024}


def main() -> None:
    """Time both on the file that the command line names; print a line each and the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("texts", type=Path)
    parser.add_argument("--times", type=int, default=1, metavar="N")
    given = parser.parse_args()
    datatrove = runpy.run_path(str(HERE / "run.py"))["python_of"]("datatrove")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in", "texts.jsonl.gz")
        source.parent.mkdir()
        copies(given.texts, source, given.times)
        Path(folder, "dedup.toml").write_text(SPEC)
        forge = [str(Path(sys.executable).parent / "forge"), "clean", str(source), "--quiet"]
        forge += ["-o", f"{folder}/run", "--spec", f"{folder}/dedup.toml", "--workers", "1"]
        script = str(HERE / "dedup_datatrove.py")
        found = {
            "forge": timed(forge),
            "datatrove": timed([datatrove, script, str(source.parent), f"{folder}/work", "1"]),
        }
    for name, values in found.items():
        print(f"{name:10}" + "".join(f"  {key} {value:9.1f}" for key, value in values.items()))
    one, two = found["forge"], found["datatrove"]
    print(
        f"forge is {two['cpu'] / one['cpu']:.1f}x in CPU, {two['wall'] / one['wall']:.1f}x in time"
    )


if __name__ == "__main__":
    main()
