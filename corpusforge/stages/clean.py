"""The stages of ``forge clean``: documents -> exact -> near -> resolve -> settle.

documents  unit   -> work/UNIT.arrow (all rows with verdicts), signals/UNIT.parquet
exact      signals -> blobs by range of the exact key -> work/exact-RANGE.arrow
near       signals -> blobs by range of the band key  -> work/edges-RANGE.arrow
resolve    edges, sketches -> dedup/removed.arrow, one pass in priority order
settle     work + removed -> corpus/, dropped/, ledger/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpusforge import ledger, readers, rules
from corpusforge.errors import RunError
from corpusforge.kernels import dedup, digest, one_pass
from corpusforge.kernels.dedup import EDGES, GROUPS
from corpusforge.plan import Piece, Unit
from corpusforge.run import beat
from corpusforge.schema import CORPUS, DOCUMENT, EDITS, LEDGER, REMOVED, SIGNATURE, check
from corpusforge.shard import SUFFIX, ShardWriter, commit, committed, read_batches, read_table
from corpusforge.spec import CleanSpec, Dedup
from corpusforge.stages.recipe import WORK, added, choose, documents_key, stored, transforms
from corpusforge.transform import alive, put
from corpusforge.transforms.mark import Mark

SIGNED = pa.schema(
    [pa.field("id", pa.binary(16)), pa.field("tokens", pa.int64()), SIGNATURE.field("sketch")]
)


def documents(root: str, unit: Unit, spec: CleanSpec) -> dict[str, Any]:
    """Read, extract, identify, measure, judge and sign the records of ``unit``."""
    key = documents_key(spec, unit)
    if done := committed(root, "documents", unit.name, key):
        return done
    steps, schema, before = transforms(spec), stored(spec), 0
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
                beat(root, "documents", unit.name, work.rows, before + _done(piece, batch))
            before += piece.end - piece.start
            beat(root, "documents", unit.name, work.rows, before)
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


# -- deduplication -------------------------------------------------------------------------------


def _candidates(root: str, unit: str, *columns: str) -> Iterator[pa.RecordBatch]:
    for batch in read_batches(root, f"signals/{unit}.parquet", ["id", "candidate", *columns]):
        yield batch.filter(batch.column("candidate"))


def exact_map(root: str, unit: str, spec: Dedup, key: str) -> Iterator[tuple[int, bytes]]:
    """Yield (range, blob) of the exact keys of a unit; ``key`` is that of the whole dedup."""
    for batch in _candidates(root, unit, "dedup_tokens", "exact"):
        batch = batch.filter(batch.column("exact").is_valid())
        yield from dedup.exact_blobs(
            batch.column("id"), batch.column("dedup_tokens"), batch.column("exact"), spec.ranges
        )


def exact_reduce(root: str, number: int, blobs: Iterable[bytes], key: str) -> str:
    """Write the exact duplicates of one range of keys."""
    return _write(root, f"exact-{number:05d}", dedup.exact_groups(filter(None, blobs)), GROUPS, key)


def near_map(root: str, unit: str, spec: Dedup, key: str) -> Iterator[tuple[int, bytes]]:
    """Yield (range, blob) of the band keys of a unit, without its exact duplicates."""
    gone = _exact(root, spec, key).column("id")
    for batch in _candidates(root, unit, "dedup_tokens", "bands"):
        stays = pc.and_not(
            batch.column("bands").is_valid(), pc.is_in(batch.column("id"), value_set=gone)
        )
        batch = batch.filter(stays)
        yield from dedup.band_blobs(
            batch.column("id"), batch.column("dedup_tokens"), batch.column("bands"), spec.ranges
        )


def near_reduce(root: str, number: int, blobs: Iterable[bytes], key: str) -> str:
    """Write the star edges of one range of band keys."""
    return _write(root, f"edges-{number:05d}", dedup.bucket_edges(filter(None, blobs)), EDGES, key)


def resolve(root: str, units: Sequence[str], spec: Dedup, key: str) -> str:
    """Decide in one pass, in priority order, which documents go, and for which survivor."""
    ranges, near = spec.ranges, spec.near != "none"
    edges = _ranges(root, "edges", ranges, EDGES, key) if near else []
    named = pa.chunked_array(
        [t.column(name) for t in edges for name in ("better", "worse")] or [[]], pa.binary(16)
    )
    names = pc.unique(named)
    parts = [
        batch.filter(pc.is_in(batch.column("id"), value_set=names))
        .select(["id", "dedup_tokens", "sketch"])
        .rename_columns(SIGNED.names)
        .cast(SIGNED)
        for unit in units
        for batch in _candidates(root, unit, "dedup_tokens", "sketch")
    ]
    signed = pa.Table.from_batches(parts, SIGNED)
    removed = one_pass.resolve(edges, signed, _exact(root, spec, key), spec.similarity)
    return _write(root, "removed", removed, REMOVED, key, folder="dedup")


def _exact(root: str, spec: Dedup, key: str) -> pa.Table:
    tables = _ranges(root, "exact", spec.ranges, GROUPS, key) if spec.exact != "none" else []
    return pa.concat_tables([GROUPS.empty_table(), *tables])


def _ranges(root: str, kind: str, ranges: int, schema: pa.Schema, key: str) -> list[pa.Table]:
    names = [f"{kind}-{number:05d}" for number in range(ranges)]
    lost = [name for name in names if not committed(root, "dedup", name, key)]
    if lost:
        raise RunError(f"dedup ranges without output: {', '.join(lost[:5])}", file=root)
    return [read_table(root, f"work/{name}.arrow", schema) for name in names]


def _write(
    root: str, name: str, table: pa.Table, schema: pa.Schema, key: str, folder: str = "work"
) -> str:
    if committed(root, "dedup", name, key):
        return name
    with ShardWriter(root, f"{folder}/{name}.arrow", schema) as writer:
        for batch in table.combine_chunks().to_batches():
            writer.write(batch)
        commit(root, "dedup", name, key, [writer.close()])
    return name


# -- settle --------------------------------------------------------------------------------------


def settle(root: str, unit: str, spec: CleanSpec, key: str) -> dict[str, Any]:
    """Mark the duplicates of a unit, cut its stream into kept and dropped, write the ledger."""
    if done := committed(root, "settle", unit, key):
        return done
    mark = Mark(read_table(root, "dedup/removed.arrow", REMOVED), spec.dedup.similarity)
    suffix, schema = SUFFIX[spec.output.format], pa.schema([*CORPUS, *added(spec)])
    content, counts = [], []
    with (
        ShardWriter(root, f"corpus/{unit}{suffix}", schema) as kept,
        ShardWriter(root, f"dropped/{unit}{suffix}", schema) as dropped,
        ShardWriter(root, f"ledger/{unit}.parquet", LEDGER) as rows,
    ):
        for batch in read_batches(root, f"work/{unit}.arrow"):
            settled = ledger.settle(
                mark(batch),
                ledger.Place(kept.name, kept.rows),
                ledger.Place(dropped.name, dropped.rows) if spec.output.keep_dropped else None,
                schema.names,
            )
            kept.write(settled.kept)
            dropped.write(settled.dropped)
            rows.write(settled.ledger)
            content.append(ledger.content(settled.kept, settled.ledger))
            counts.append(ledger.count(settled.ledger))
            beat(root, "settle", unit, rows.rows, 0)
        shards = [kept.close(), dropped.close(), rows.close()]
    commit(
        root,
        "settle",
        unit,
        key,
        shards,
        content=digest.to_hex(digest.combine(content)),
        counts=ledger.add([{"in": 0, "kept": 0, "dropped": 0, "failed": 0}, *counts]),
    )
    return committed(root, "settle", unit, key) or {}
