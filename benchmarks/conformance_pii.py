"""Counts of emails and IPs against datatrove's recorded ones, as predictions to be scored.

    python benchmarks/conformance_pii.py DATA OUT.jsonl
    python score_filters.py DATA/filters_dev.jsonl.gz OUT.jsonl --tool datatrove --filter pii

DATA is the folder with filters_dev.jsonl.gz, text_sample.jsonl.gz and extraction_dev.jsonl.gz. The
recorded ``sha1_out`` is not predicted: it is of replacements that depend on the documents before.
Prints how the own dialect differs, and both speeds.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpusforge.kernels.pii import KINDS, mask

SETS = (("text", "text_sample.jsonl.gz"), ("gold", "extraction_dev.jsonl.gz"))


def predict(data: Path, out: Path) -> None:
    """Write one row a document to ``out``."""
    names: list[tuple[str, str]] = []
    texts: list[str] = []
    for name, file in SETS:
        with gzip.open(data / file, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                names.append((name, str(row["id"])))
                texts.append(row["text"])
    column = pa.array(texts)
    counts = _counts(column, "datatrove")
    with out.open("w", encoding="utf-8") as file_:
        for (name, id_), (emails, ips) in zip(names, counts.tolist(), strict=True):
            values = {"emails": emails, "ips": ips}
            row = {"id": id_, "set": name, "filter": "pii", "keep": True, "values": values}
            file_.write(json.dumps(row) + "\n")
    own = _counts(column, "forge")
    print(f"documents in which the dialect forge counts otherwise: {(own != counts).any(1).sum()}")
    _speed(column, KINDS)


def _counts(column: pa.StringArray, dialect: str) -> np.ndarray:
    mask(column.slice(0, 1), ("email", "ip"), dialect=dialect)
    start = time.process_time()
    _, counts = mask(column, ("email", "ip"), dialect=dialect)
    seconds = time.process_time() - start
    print(f"{dialect}: {column.nbytes / 1e6 / seconds:.0f} MB per CPU-s, {counts.sum(0).tolist()}")
    return counts


def _speed(column: pa.StringArray, kinds: tuple[str, ...]) -> None:
    start = time.process_time()
    mask(column, kinds)
    seconds = time.process_time() - start
    print(f"forge, {' '.join(kinds)}: {column.nbytes / 1e6 / seconds:.0f} MB per CPU-s")


if __name__ == "__main__":
    predict(Path(sys.argv[1]), Path(sys.argv[2]))
