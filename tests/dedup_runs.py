"""Run folders that hold just what deduplication reads and writes, made without an engine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpusforge import dedup_index
from corpusforge.manifest import Manifest
from corpusforge.schema import REMOVED, SIGNATURE
from corpusforge.shard import ShardWriter, commit, read_table
from corpusforge.spec import CleanSpec
from corpusforge.stages import dedup
from corpusforge.transforms.sign import Sign

Row = tuple[str, str, str]  # source, own id, text
SIGNALS = pa.schema([("id", pa.binary(16)), *SIGNATURE, ("candidate", pa.bool_())])


def document_id(row: Row) -> bytes:
    """The id of a document of the tests: of its source and own id."""
    return hashlib.md5(f"{row[0]} {row[1]}".encode()).digest()


def make(
    root: Path, rows: Sequence[Row], spec: CleanSpec, against: Sequence[str] = (), unit: int = 5
) -> dict[str, tuple[str, str | None]]:
    """Deduplicate ``rows`` in ``root``; returns {own id: (id of what stays, its corpus)}."""
    folder, d = str(root), spec.dedup
    sign = Sign(d.bands, d.rows, d.ngram, d.seed, d.exact, tuple(d.protect), d.quality)
    units, shards = [], []
    for number, at in enumerate(range(0, len(rows), unit)):
        part = rows[at : at + unit]
        columns = {
            "id": pa.array([document_id(row) for row in part], pa.binary(16)),
            "source": [row[0] for row in part],
            "source_id": [row[1] for row in part],
            "url": pa.nulls(len(part), pa.string()),
            "text": [row[2] for row in part],
            "candidate": [True] * len(part),
        }
        name = f"part-{number:05d}"
        with ShardWriter(folder, f"signals/{name}.parquet", SIGNALS) as writer:
            writer.write(sign(pa.record_batch(columns)))
            shards.append(writer.close())
        units.append((name, len(part)))
    earlier = dedup_index.find(against, d)
    indexes = dedup_index.open_all(earlier, d, str(Path(folder, "work", "earlier")))
    plan = dedup.layout(units, indexes, spec, "key")
    for kind in dedup.KINDS:
        if kind == "paragraphs" or getattr(d, kind) == "none":
            continue
        blobs: dict[int, list[bytes]] = {number: [b""] for number in range(plan.ranges[kind])}
        for name, _ in units[::-1]:
            for number, blob in dedup.pack(folder, kind, name, spec, plan):
                blobs[number].append(blob)
        for number, found in blobs.items():
            dedup.reduce(folder, kind, number, found, plan)
        if kind == "exact":
            dedup.gather_copies(folder, plan)
    dedup.decide(folder, d, plan, indexes)
    commit(folder, "documents", "all", "key", shards)
    content = hashlib.sha256(repr(rows).encode()).hexdigest()
    Manifest("clean", content, {}, spec.model_dump(mode="json"), "", tuple(shards)).write(folder)
    names = {document_id(row): row[1] for row in rows}
    table = read_table(folder, "dedup/removed.arrow", REMOVED)
    return {
        names[row["id"]]: (row["duplicate_of"].hex(), row["duplicate_in"])
        for row in table.to_pylist()
    }


def families(seed: int, count: int, words: int = 40) -> list[str]:
    """Texts of a few families: copies and edits of one another, at every similarity."""
    rng = np.random.default_rng(seed)
    bases = [[f"w{word}" for word in rng.integers(0, 5000, words)] for _ in range(3)]
    texts = []
    for _ in range(count):
        changed = list(bases[rng.integers(len(bases))])
        for place in rng.integers(0, words, rng.choice([0, 0, 1, 2, 3, 5])):
            changed[place] = f"v{rng.integers(3)}"
        texts.append(" ".join(changed[: words - int(rng.choice([0, 0, 0, 1, 3]))]))
    return texts
