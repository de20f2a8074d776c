"""The first and last stage of ``forge clean``; between them lies ``stages.dedup``.

documents  unit   -> work/UNIT.arrow (all rows with verdicts), signals/UNIT.parquet
settle     work + dedup/removed.arrow -> corpus/, dropped/, ledger/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from corpusforge import ledger, readers, rules
from corpusforge.kernels import digest
from corpusforge.plan import Piece, Unit
from corpusforge.run import beat
from corpusforge.schema import CORPUS, CUT, DOCUMENT, EDITS, LEDGER, check
from corpusforge.shard import SUFFIX, ShardWriter, commit, committed, read_batches
from corpusforge.spec import CleanSpec
from corpusforge.stages import paragraphs
from corpusforge.stages.dedup import removed_of
from corpusforge.stages.recipe import WORK, added, choose, documents_key, stored, transforms
from corpusforge.transform import alive, put
from corpusforge.transforms.mark import Mark


def documents(root: str, unit: Unit, spec: CleanSpec) -> dict[str, Any]:
    """Read, extract, identify, measure, judge and sign the records of ``unit``."""
    key = documents_key(spec, unit)
    if done := committed(root, "documents", unit.name, key):
        return done
    steps, schema, before, failed = transforms(spec), stored(spec), 0, 0
    last = choose(spec).scopes[-1].prefix
    with (
        ShardWriter(root, f"work/{unit.name}.arrow", pa.schema([*WORK, *added(spec)])) as work,
        ShardWriter(root, f"signals/{unit.name}.parquet", schema) as measured,
    ):
        for piece in unit.pieces:
            for batch in readers.read(piece, spec.read, spec.plan.batch_bytes):
                batch = steps(check(batch, DOCUMENT))
                batch = put(batch, "candidate", pa.array(alive(batch)))
                measured.write(batch.filter(batch.column("text").is_valid()))
                work.write(sized(batch, last))
                failed += ledger.count(batch)["failed"]
                read = before + _done(piece, batch)
                beat(root, "documents", unit.name, work.rows, read, failed)
            before += piece.end - piece.start
            beat(root, "documents", unit.name, work.rows, before, failed)
        shards = [work.close(), measured.close()]
    commit(root, "documents", unit.name, key, shards, rows=work.rows)
    return committed(root, "documents", unit.name, key) or {}


def sized(batch: pa.RecordBatch, prefix: str) -> pa.RecordBatch:
    """Give the ledger the sizes of the text as it stands after the last edit."""
    if "edits" not in batch.schema.names:
        batch = put(batch, "edits", pa.nulls(batch.num_rows, EDITS.type))
    for name in rules.SIZES:
        batch = put(batch, name, batch.column(prefix + name))
    return batch


def _done(piece: Piece, batch: pa.RecordBatch) -> int:
    """Bytes of ``piece`` read when ``batch`` was, where offsets are places in the file."""
    if piece.format != "warc" or piece.compression != "gzip" or not batch.num_rows:
        return 0
    return max(0, int(batch.column("offset")[-1].as_py()) - piece.start)


# -- settle --------------------------------------------------------------------------------------


def settle(
    root: str,
    unit: str,
    spec: CleanSpec,
    key: str,
    removed: Sequence[int],
    numbers: Sequence[int],
) -> dict[str, Any]:
    """Mark the duplicates of a unit, cut its stream into kept and dropped, write the ledger.

    ``removed`` are the rows [first, end) of dedup/removed.arrow that are its, ``numbers`` the
    first number of its documents and how many there are.
    """
    if done := committed(root, "settle", unit, key):
        return done
    gone = removed_of(root, removed)
    mark = Mark(gone, spec.dedup.similarity)
    if spec.dedup.paragraphs:
        first, count = numbers
        batches = paragraphs.cut(root, unit, first, count, gone.column("id").combine_chunks())
    else:
        batches = read_batches(root, f"work/{unit}.arrow")
    suffix, schema = SUFFIX[spec.output.format], pa.schema([*CORPUS, *added(spec)])
    content, counts, sources = [], [], []
    with (
        ShardWriter(root, f"corpus/{unit}{suffix}", schema) as kept,
        ShardWriter(root, f"dropped/{unit}{suffix}", schema) as dropped,
        ShardWriter(root, f"ledger/{unit}.parquet", LEDGER) as rows,
    ):
        for batch in batches:
            if "cut" not in batch.schema.names:
                batch = put(batch, "cut", pa.nulls(batch.num_rows, CUT.type))
            batch = mark(batch)
            settled = ledger.settle(
                batch,
                ledger.Place(kept.name, kept.rows),
                ledger.Place(dropped.name, dropped.rows) if spec.output.keep_dropped else None,
                schema.names,
            )
            kept.write(settled.kept)
            dropped.write(settled.dropped)
            rows.write(settled.ledger)
            content.append(ledger.content(settled.kept, settled.ledger))
            counts.append(ledger.count(settled.ledger))
            sources.append(ledger.by_label(settled.ledger))
            beat(root, "settle", unit, rows.rows, 0)
        shards = [kept.close(), dropped.close(), rows.close()]
    commit(
        root,
        "settle",
        unit,
        key,
        shards,
        content=digest.to_hex(digest.combine(content)),
        sources={
            row["source"]: {"documents": row["documents"], "removed": row["removed"]}
            for row in ledger.shares(sources)
        },
        counts=ledger.add([{"in": 0, "kept": 0, "dropped": 0, "failed": 0}, *counts]),
    )
    return committed(root, "settle", unit, key) or {}
