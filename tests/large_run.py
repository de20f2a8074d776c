"""A finished clean run whose ledger alone is there, of any number of rows, written fast."""

import hashlib

import numpy as np
import pyarrow as pa

from corpusforge import manifest, spec
from corpusforge.manifest import Manifest
from corpusforge.schema import LEDGER
from corpusforge.shard import ShardWriter


def url_of(number):
    """URL of a row."""
    return f"https://www.host{number % 997}.example/path/{number}/page.html"


def identity(number):
    """Id of a row."""
    return hashlib.md5(str(number).encode()).digest()


def write(root, rows, shards=2, batch=20_000):
    """Write ``rows`` kept documents in ``shards`` ledger files; returns their names."""
    made = []
    for part in range(shards):
        writer = ShardWriter(root, f"ledger/part-{part:05d}.parquet", LEDGER)
        numbers = np.array_split(np.arange(rows), shards)[part]
        for start in range(0, len(numbers), batch):
            some = numbers[start : start + batch].tolist()
            columns = {
                "id": pa.array([identity(n) for n in some], pa.binary(16)),
                "source": pa.repeat("in/pages.warc.gz", len(some)),
                "offset": pa.array(some, pa.int64()),
                "ordinal": pa.repeat(pa.scalar(0, pa.int32()), len(some)),
                "source_id": pa.array([f"<urn:uuid:{n}>" for n in some]),
                "url": pa.array([url_of(n) for n in some]),
                "outcome": pa.repeat("kept", len(some)),
            }
            writer.write(
                pa.RecordBatch.from_arrays(
                    [columns.get(f.name, pa.nulls(len(some), f.type)) for f in LEDGER],
                    schema=LEDGER,
                )
            )
        made.append(writer.close())
    Manifest(
        kind="clean",
        content="0f" * 32,
        counts={"in": rows, "kept": rows, "dropped": 0, "failed": 0},
        spec=spec.CleanSpec().model_dump(mode="json"),
        spec_digest=spec.digest(spec.CleanSpec()),
        shards=tuple(made),
        versions=manifest.versions(),
    ).write(root)
    return [shard.name for shard in made]


if __name__ == "__main__":
    import sys

    write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
