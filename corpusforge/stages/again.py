"""The documents stage once more, over what a finished clean run stored: no reading, no extraction.

``rows`` gives the records of a unit as they were before they were judged: what was decided before
that (at reading, at extraction) stays decided, the rest is kept until it is judged anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpusforge import storage
from corpusforge.errors import RunError
from corpusforge.plan import Unit
from corpusforge.run import beat
from corpusforge.schema import CORPUS, LEDGER, TWIN
from corpusforge.shard import (
    SUFFIX,
    ShardWriter,
    commit,
    committed,
    join,
    read_batches,
    read_json,
)
from corpusforge.spec import CleanSpec
from corpusforge.stages.clean import sized
from corpusforge.stages.recipe import (
    ADDRESS,
    CANDIDATE,
    LANGUAGES,
    WORK,
    added,
    choose,
    documents_key,
    judge_of,
    stored,
)
from corpusforge.transform import alive, chain, put
from corpusforge.transforms.contaminated import DropContaminated

# Stages whose verdicts stay, and those whose verdicts stored columns give again.
DECIDED_BEFORE = ("read", "url", "extract")
DECIDED_ANEW = ("language", "rules", "decontaminate", "dedup")
NOT_MEASURED = {field.name for field in (*ADDRESS, *LANGUAGES, CANDIDATE)}
LARGE = ("exact", "sketch", "bands", "shingles")
BATCH_ROWS = 4096
BEFORE = "before_"


def verdicts(
    spec: CleanSpec, known: frozenset[str] = frozenset()
) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """Return the steps of a clean run that give the verdicts of DECIDED_ANEW but dedup.

    Of the rules in ``known`` the reasons before say what they give.
    """
    judge = replace(judge_of(spec), known=known)
    return chain(judge, *([DropContaminated()] if drops_contaminated(spec) else []))


def drops_contaminated(spec: CleanSpec) -> bool:
    """Tell whether documents that share n-grams with evaluation items are dropped."""
    return bool(spec.decontaminate.files) and spec.decontaminate.action == "drop"


def documents(
    source: str, root: str, unit: Unit, spec: CleanSpec, old: CleanSpec, made: Mapping[str, str]
) -> dict[str, Any]:
    """Do the documents stage of ``unit`` in ``root`` from the run in ``source``, committed.

    ``old`` and ``made`` are the spec and the versions of that run; ``spec`` may differ from it in
    what judges.
    """
    key = documents_key(spec, unit, made)
    if done := committed(root, "documents", unit.name, key):
        return done
    own = added(spec)
    judge, schema, last = verdicts(spec), stored(spec), choose(spec).scopes[-1].prefix
    with (
        ShardWriter(root, f"work/{unit.name}.arrow", pa.schema([*WORK, *own])) as work,
        ShardWriter(root, f"signals/{unit.name}.parquet", schema) as measured,
    ):
        names = [name for name in schema.names if name not in NOT_MEASURED]
        for batch in _with_texts(
            source, unit.name, names, own, old.output.format, spec.plan.batch_bytes
        ):
            for name in names:
                if name not in batch.schema.names:  # of a signal that no rule reads
                    batch = put(batch, name, pa.nulls(batch.num_rows, schema.field(name).type))
            batch = judge(batch)
            batch = put(batch, "candidate", pa.array(alive(batch)))
            if spec.dedup.exact == "none":
                batch = put(batch, "exact", pa.nulls(batch.num_rows, pa.binary(16)))
            measured.write(batch.filter(batch.column("text").is_valid()))
            work.write(sized(batch, last))
            beat(root, "documents", unit.name, work.rows, 0)
        shards = [work.close(), measured.close()]
    commit(root, "documents", unit.name, key, shards, rows=work.rows)
    return committed(root, "documents", unit.name, key) or {}


def units_of(root: str) -> list[Unit]:
    """Return the units of a clean run."""
    plan = read_json(join(root, "plan.json"))
    if not isinstance(plan, dict):
        raise RunError("plan.json is missing", file=root, remedy="run its forge clean again")
    return [Unit.from_json(unit) for unit in plan["units"]]


def columns(root: str, unit: str) -> pa.Schema:
    """Return the schema of the signals that the run in ``root`` stored for a unit."""
    with storage.open_read(join(root, f"signals/{unit}.parquet")) as file:
        return pq.read_schema(file)


def rows(
    root: str,
    unit: str,
    wanted: Sequence[str],
    ledger: pa.Schema = LEDGER,
    few: Callable[[pa.RecordBatch], npt.NDArray[np.bool_]] | None = None,
    before: Sequence[str] = (),
) -> Iterator[pa.RecordBatch]:
    """Yield the records of a unit of the run in ``root``: ``ledger``, and stored columns over it.

    Columns of ``ledger`` in ``before`` are there twice: as the run left them, with BEFORE, too.
    Those of ``wanted`` that were stored; null where a record had no text. ``shard`` and ``row``
    still say where its text lies. With ``few``, which tells the rows of a batch of signatures, only
    those have LARGE columns; ``few`` (bool) says which. Raises RunError where a judged document has
    no stored signals.
    """
    schema, file = columns(root, unit), f"signals/{unit}.parquet"
    there = [name for name in wanted if name in schema.names]
    large = [name for name in there if few is not None and name in LARGE]
    small = ["id", *(name for name in there if name not in large)]
    parts, kept, masks = list[pa.RecordBatch](), list[pa.RecordBatch](), [np.zeros(0, bool)]
    for batch in read_batches(root, file, ["id", *there]):
        parts.append(batch.select(small))
        masks.append(np.zeros(0, bool) if few is None else few(batch))
        if few is not None:
            kept.append(batch.select(large).filter(pa.array(masks[-1])))
    fields = {name: schema.field(name) for name in ("id", *there)}
    measured = pa.Table.from_batches(parts, pa.schema([fields[n] for n in small])).combine_chunks()
    signed = pa.Table.from_batches(kept, pa.schema([fields[n] for n in large])).combine_chunks()
    mask = np.concatenate(masks)
    of_signed = pa.array(np.cumsum(mask) - 1, mask=~mask)  # the row of ``signed`` of each measured
    ids = [b.column("id") for b in read_batches(root, f"ledger/{unit}.parquet", ["id"])]
    places = pc.index_in(pa.chunked_array(ids, pa.binary(16)), value_set=measured.column("id"))
    places, start = _one(places), 0
    for batch in read_batches(root, f"ledger/{unit}.parquet", ledger.names):
        place = places.slice(start, batch.num_rows)
        start += batch.num_rows
        was = batch.cast(ledger)
        batch, again = _undecided(was)
        for name in before:
            batch = put(batch, BEFORE + name, was.column(name))
        if pc.any(pc.and_(again, place.is_null())).as_py():
            raise RunError(
                "a judged document has no stored signals",
                file=join(root, file),
                remedy="run its forge clean again with --fresh",
            )
        for name in small[1:]:
            batch = put(batch, name, _one(measured.column(name).take(place)))
        if few is not None:
            found = of_signed.take(place)
            batch = put(batch, "few", found.is_valid())
            for name in large:
                batch = put(batch, name, _one(signed.column(name).take(found)))
        yield batch


def _undecided(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.Array]:
    """Take back the verdicts of DECIDED_ANEW; also returns which rows (bool) are kept for now."""
    again = pc.or_kleene(
        pc.equal(batch.column("outcome"), "kept"),
        pc.is_in(batch.column("stage"), value_set=pa.array(DECIDED_ANEW)),
    )
    batch = put(batch, "outcome", pc.if_else(again, "kept", batch.column("outcome")))
    stays = pa.array(np.arange(batch.num_rows), mask=again.to_numpy(zero_copy_only=False))
    for name in {"stage", *(field.name for field in TWIN)} & {*batch.schema.names}:
        batch = put(batch, name, batch.column(name).take(stays))
    reasons = batch.column("reasons")
    none = pa.array([[]], reasons.type)  # as readers give it
    batch = put(
        batch, "reasons", pa.concat_arrays([reasons, none]).take(pc.fill_null(stays, len(reasons)))
    )
    return batch, again


def _with_texts(
    root: str, unit: str, wanted: Sequence[str], own: Sequence[pa.Field], format_: str, limit: int
) -> Iterator[pa.RecordBatch]:
    """Yield ``rows``, and what lies beside the texts: columns of CORPUS, and ``own``."""
    beside = [field for field in (*CORPUS, *own) if field.name not in LEDGER.names]
    schema = pa.schema([CORPUS.field("id"), *beside])
    names = [f"{folder}/{unit}{SUFFIX[format_]}" for folder in ("corpus", "dropped")]
    files = [_Rows(root, name, schema) for name in names]
    for large in rows(root, unit, wanted):
        for batch in cut(large, limit):
            shard = pc.fill_null(batch.column("shard"), "").to_numpy(zero_copy_only=False)
            place, tables = np.full(batch.num_rows, -1), list[pa.Table]()
            for file in files:
                mine = np.flatnonzero(shard == file.name)
                place[mine] = np.arange(len(mine)) + sum(map(len, tables))
                tables.append(file.take(len(mine)))
            texts = pa.concat_tables(tables).take(pa.array(place, mask=place < 0))
            known = batch.filter(pa.array(place >= 0)).column("id")
            if not _one(texts.column("id").drop_null()).equals(known):
                raise RunError(
                    "the stored texts are not those of the ledger",
                    file=root,
                    remedy=f"forge verify {root} says what is off",
                )
            for field in beside:
                batch = put(batch, field.name, _one(texts.column(field.name)))
            yield batch


class _Rows:
    """The rows of a corpus file in order, some at a time."""

    def __init__(self, root: str, name: str, schema: pa.Schema) -> None:
        self.name, self.schema = name, schema
        self.batches = read_batches(root, name, self.schema.names)
        self.rest = self.schema.empty_table()

    def take(self, count: int) -> pa.Table:
        """Return the next ``count`` rows, fewer at the end."""
        while len(self.rest) < count:
            batch = next(self.batches, None)
            if batch is None:
                break
            self.rest = pa.concat_tables([self.rest, pa.table(batch.cast(self.schema))])
        taken, self.rest = self.rest.slice(0, count), self.rest.slice(count)
        return taken


def cut(batch: pa.RecordBatch, chars: int) -> Iterator[pa.RecordBatch]:
    """Cut a ledger batch into slices of at most BATCH_ROWS and about ``chars`` characters."""
    sums = np.cumsum(pc.fill_null(batch.column("chars"), 0).to_numpy(zero_copy_only=False))
    start = 0
    while start < batch.num_rows:
        before = sums[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(sums, before + chars, "right")))
        end = min(end, start + BATCH_ROWS)
        yield batch.slice(start, end - start)
        start = end


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()
