"""Replay of a large run: `forge replay` over a table made of the sample's own rows.

    python benchmarks/replay.py [--rows N] [--shared PERCENT] [--rounds N]

The rows of a clean run of sample_data are repeated with ids and band keys of their own; of those in
PERCENT, two at a time keep the same keys, and so are copies. Ledger and signals are written in the
geometry of a run (units of 62,500 records, batches of 512); texts are not, as replay reads none.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SAMPLE = Path(__file__).resolve().parent.parent / "sample_data"
UNIT, BATCH = 62_500, 512


def main() -> None:
    """Build the run, replay it, print a line a round."""
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--shared", type=int, default=6)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--folder", help="where the run is made, or was (default: temporary)")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(given.folder or temporary) / "run"
        if not root.exists():
            build(root, given.rows, given.shared)
        for _ in range(given.rounds):
            start, before = time.perf_counter(), cpu_seconds()
            done = forge("replay", str(root), "--set", "rules.gopher-quality.min_words=30")
            wall, cpu = time.perf_counter() - start, cpu_seconds() - before
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
            print(f"{wall:.1f} s, {cpu:.1f} CPU-s, {peak:,.0f} MB · {done.splitlines()[-1]}")


def forge(*arguments: str) -> str:
    """Run a command and return what it prints."""
    command = [sys.executable, "-P", "-m", "corpusforge", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def cpu_seconds() -> float:
    """CPU seconds of the children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def build(root: Path, rows: int, percent: int) -> None:
    """Write a run folder of so many records, of which ``percent`` in 100 are in pairs."""
    forge("clean", str(SAMPLE), "-o", str(root), "--quiet")
    one = {}
    for folder in ("ledger", "signals"):
        path = root / folder / "part-00000.parquet"
        one[folder] = pq.read_table(path).combine_chunks()
        path.unlink()
    size = len(one["ledger"])
    place = pc.index_in(one["ledger"]["id"], value_set=one["signals"]["id"])
    places = place.combine_chunks()
    generator = np.random.default_rng(0)
    copies = -(-rows // size)
    names = []
    for start in range(0, rows, UNIT):
        numbers = np.arange(start, min(start + UNIT, rows))
        row, copy = numbers % size, numbers // size
        names.append(f"part-{start // UNIT:05d}")
        ids = pa.array([b"%016d" % n for n in numbers], pa.binary(16))
        ledger = one["ledger"].take(pa.array(row))
        write(root / "ledger" / f"{names[-1]}.parquet", put(ledger, "id", ids))
        seeds = generator.integers(1, 1 << 63, 2 * copies, dtype=np.uint64)
        paired = generator.random(len(numbers)) < percent / 100
        salt = seeds[np.where(paired, copy // 2, copies + copy)]
        measured = places.take(pa.array(row))
        there = pc.is_valid(measured)
        signals = one["signals"].take(measured.drop_null())
        signals = put(signals, "id", ids.filter(there))
        for name in ("bands", "exact"):
            signals = put(signals, name, salted(signals[name], salt[there.to_numpy(False)]))
        write(root / "signals" / f"{names[-1]}.parquet", signals)
    plan = json.loads((root / "plan.json").read_text())
    plan["units"] = [{**plan["units"][0], "name": name} for name in names]
    (root / "plan.json").write_text(json.dumps(plan))


def salted(column: pa.ChunkedArray, salt: np.ndarray) -> pa.Array:
    """Return binary keys with eight bytes of ``salt`` (rows,) over each eight of them."""
    keys = [
        None if key is None else (np.frombuffer(key, "<u8") ^ number).tobytes()
        for key, number in zip(column.to_pylist(), salt, strict=True)
    ]
    return pa.array(keys, column.type)


def put(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    """Replace a column."""
    return table.set_column(table.schema.get_field_index(name), table.schema.field(name), column)


def write(path: Path, table: pa.Table) -> None:
    """Write a Parquet file as runs have them."""
    pq.write_table(table, path, row_group_size=BATCH, compression="zstd")


if __name__ == "__main__":
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    main()
