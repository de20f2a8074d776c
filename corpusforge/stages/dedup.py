"""The stages of deduplication: exact -> near -> resolve, over the signals of a clean run.

exact    signals -> blobs by range of the exact key -> work/exact-RANGE.arrow (PAIRS)
         -> work/copies.bin: the exact copies by number
near     signals without exact copies -> blobs by range of the band key -> work/edges-RANGE.arrow
resolve  pairs, edges, sketches -> dedup/removed.arrow: one pass in priority order, in the parent
cut      paragraphs of what stays, if they are compared -> work/paragraphs.bin

A blob crosses the shuffle itself, or, where all of them are more than ``plan.shuffle_bytes``, as
the place in a shuffle file where it lies.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge import dedup_index, dedup_plan, numbered, storage
from corpusforge.dedup_index import Index
from corpusforge.errors import RunError
from corpusforge.external_sort import Sorter, between, read_sorted, write_sorted
from corpusforge.kernels import dedup
from corpusforge.kernels.dedup import EDGES, PAIRS
from corpusforge.numbered import SIGNALS
from corpusforge.resolve import PAIR, ROWS, Corpora, resolve
from corpusforge.schema import REMOVED
from corpusforge.shard import (
    AtomicFile,
    ShardWriter,
    commit,
    committed,
    join,
    read_batches,
    read_json,
    write_json,
)
from corpusforge.spec import CleanSpec, Dedup
from corpusforge.stages import paragraphs

KINDS = ("exact", "near", "paragraphs")
FILES = {"exact": ("exact", PAIRS), "near": ("edges", EDGES), "paragraphs": ("cut", PAIRS)}
KEYS = {"exact": "exact", "near": "near", "paragraphs": "exact"}  # how they are packed
LAYOUT = "work/layout.json"
COPIES = "work/copies.bin"
FILE_ROWS = 1 << 16


@dataclass(frozen=True)
class Layout:
    """How the dedup of a run is cut up; it depends on the documents and the spec only.

    ``units`` are (name, first number, documents with text), ``earlier`` (index folder, first
    number) in priority order; ``new`` is the first number of the run itself.
    """

    units: tuple[tuple[str, int, int], ...]
    earlier: tuple[tuple[str, int], ...]
    new: int
    ranges: Mapping[str, int]
    files: bool  # whether blobs go through shuffle files
    key: str  # of the whole dedup

    def first(self, unit: str) -> tuple[int, int]:
        """Return the first number of a unit, and the documents it has."""
        return next((first, rows) for name, first, rows in self.units if name == unit)


def write_layout(root: str, plan: Layout) -> None:
    """Write the layout to where workers read it."""
    write_json(join(root, LAYOUT), asdict(plan))


def has_layout(root: str, key: str) -> bool:
    """Tell whether the layout of the dedup that ``key`` names is written."""
    values = read_json(join(root, LAYOUT))
    return isinstance(values, dict) and values["key"] == key


@lru_cache(maxsize=1)
def read_layout(root: str, key: str) -> Layout:
    """Read the layout of the dedup that ``key`` names."""
    values = read_json(join(root, LAYOUT))
    if not isinstance(values, dict) or values["key"] != key:
        raise RunError("the layout of dedup is missing", file=root, remedy="run again to go on")
    return Layout(**values)


def layout(
    units: Sequence[tuple[str, int]], indexes: Sequence[Index], spec: CleanSpec, key: str
) -> Layout:
    """Number the documents of ``units`` (name, documents), and choose ranges and shuffle files."""
    earlier, first = [], 0
    for index in indexes:
        earlier.append((index.root, first))
        first += index.rows
    new, placed = first, []
    for name, rows in units:
        placed.append((name, first, rows))
        first += rows
    ranges = dedup_plan.ranges(spec, first)
    crossing = (first - new) * max(dedup_plan.key_bytes(spec).values(), default=0)
    files = crossing > spec.plan.shuffle_bytes
    return Layout(tuple(placed), tuple(earlier), new, ranges, files, key)


def pack(
    root: str, kind: str, unit: str, spec: CleanSpec, plan: Layout
) -> Iterator[tuple[int, bytes]]:
    """Yield (range, blob or its place) of the keys of a unit."""
    if kind == "paragraphs":
        gone = gone_of(root, unit, plan)
        tables = paragraphs.rows(root, unit, plan.first(unit)[0], gone, spec)
    else:
        tables = _documents(root, kind, unit, spec, plan)
    blobs = (blob for table in tables for blob in dedup.pack(KEYS[kind], table, plan.ranges[kind]))
    if not plan.files:
        yield from blobs
        return
    path = shuffle_file(kind, unit)
    file, places = AtomicFile(join(root, path)), []
    for number, blob in blobs:
        places.append((number, {"file": path, "offset": file.bytes, "length": len(blob)}))
        file.write(blob)
    file.commit()
    for number, place in places:
        yield number, json.dumps(place).encode()


def shuffle_file(kind: str, unit: str) -> str:
    """Name the file that the blobs of a unit lie in, where they do not cross themselves."""
    return f"work/shuffle/{kind}-{unit}.blobs"


def gone_of(root: str, unit: str, plan: Layout) -> pa.Array:
    """Return the ids of the documents of a unit that went as copies."""
    record = committed(root, "dedup", "removed", plan.key) or {}
    return removed_of(root, record["units"][unit]).column("id").combine_chunks()


def _documents(
    root: str, kind: str, unit: str, spec: CleanSpec, plan: Layout
) -> Iterator[pa.Table]:
    """Yield the documents of a unit that take part, as ``kernels.dedup.pack`` takes them."""
    column = "exact" if kind == "exact" else "bands"
    columns = [*SIGNALS.values(), column, "candidate"]
    first, rows = plan.first(unit)
    most = dedup_plan.packed_at_once(spec, kind)
    gone = np.zeros(rows, bool)
    if kind == "near" and spec.dedup.exact != "none":
        gone[between(root, COPIES, PAIR, first, first + rows)["worse"] - first] = True
    for large in read_batches(root, f"signals/{unit}.parquet", columns):
        for start in range(0, large.num_rows, most):
            batch = large.slice(start, most)
            numbers = np.arange(first, first + batch.num_rows)
            takes_part = pc.and_(batch.column("candidate"), batch.column(column).is_valid())
            keep = pc.and_(takes_part, pa.array(~gone[: batch.num_rows]))
            first, gone = first + batch.num_rows, gone[batch.num_rows :]
            documents = pa.table(
                [
                    *(batch.column(stored) for stored in SIGNALS.values()),
                    pa.array(numbers),
                    batch.column(column),
                ],
                names=[*SIGNALS, "number", column],
            )
            yield documents.filter(keep)


def _opened(root: str, kind: str, blob: bytes) -> pa.Table:
    if blob[:1] == b"{":
        place = json.loads(blob)
        start = place["offset"]
        blob = storage.read_bytes(join(root, place["file"]), start, start + place["length"])
    return dedup.unpack(KEYS[kind], blob)


def reduce(root: str, kind: str, number: int, blobs: Iterable[bytes], plan: Layout) -> str:
    """Write the exact pairs or the star edges of one range of keys."""
    name, schema = FILES[kind]
    name = f"{name}-{number:05d}"
    if committed(root, "dedup", name, plan.key):
        return name

    def tables() -> Iterator[pa.Table]:
        for place, (folder, first) in enumerate(plan.earlier if kind != "paragraphs" else ()):
            index = dedup_index.facts(folder)
            yield from dedup_index.keys(
                folder, index, kind, number, plan.ranges[kind], place, first
            )
        for blob in blobs:
            if blob:
                yield _opened(root, kind, blob)

    find = dedup.bucket_edges if kind == "near" else dedup.exact_pairs
    table, largest = find(tables(), plan.new if kind != "paragraphs" else 0)
    with ShardWriter(root, f"work/{name}.arrow", schema) as writer:
        for batch in table.combine_chunks().to_batches(max_chunksize=FILE_ROWS):
            writer.write(batch)
        commit(root, "dedup", name, plan.key, [writer.close()], largest=largest)
    return name


def _ranges(root: str, kind: str, plan: Layout) -> list[tuple[str, dict[str, Any]]]:
    """Return (file, commit record) of every range of a kind."""
    names = [f"{FILES[kind][0]}-{number:05d}" for number in range(plan.ranges[kind])]
    found = [(name, committed(root, "dedup", name, plan.key)) for name in names]
    if lost := [name for name, record in found if record is None]:
        raise RunError(
            f"dedup ranges without output: {', '.join(lost[:5])}",
            file=root,
            remedy="run again to go on",
        )
    return [(f"work/{name}.arrow", record) for name, record in found if record]


def gather_copies(root: str, plan: Layout) -> None:
    """Write the exact copies of all ranges to COPIES, by number, for the near stage."""
    if committed(root, "dedup", "copies", plan.key):
        return
    pairs = Sorter(PAIR, ("worse",), join(root, "work/sort/copies"))
    for name, _ in _ranges(root, "exact", plan):
        for batch in read_batches(root, name):
            records = np.empty(batch.num_rows, PAIR)
            for column in PAIRS.names:
                records[column] = batch.column(column).to_numpy()
            pairs.add(records)
    commit(root, "dedup", "copies", plan.key, [write_sorted(root, COPIES, pairs)])


def decide(root: str, spec: Dedup, plan: Layout, indexes: Sequence[Index]) -> None:
    """Decide in one pass, in priority order, which documents go, and for which survivor.

    The commit says which rows of dedup/removed.arrow are of which unit.
    """
    if committed(root, "dedup", "removed", plan.key):
        return
    stretches = [
        dedup_index.stretch(index, place, first)
        for place, (index, (_, first)) in enumerate(zip(indexes, plan.earlier, strict=True))
    ]
    stretches += [numbered.of_unit(root, *unit) for unit in plan.units]
    corpora = Corpora(tuple(stretches), tuple(index.name for index in indexes))
    near = _ranges(root, "near", plan) if spec.near != "none" else []
    edges = (pa.table(batch) for name, _ in near for batch in read_batches(root, name))
    pairs = read_sorted(root, COPIES, PAIR) if spec.exact != "none" else iter(())
    ends = np.array([first + rows for _, first, rows in plan.units], np.int64)
    counts = np.zeros(len(ends), np.int64)
    hashes = spec.bands * spec.rows if spec.verify == "exact" else 0
    found = resolve(corpora, edges, pairs, spec.similarity, join(root, "work/sort"), hashes)
    with ShardWriter(root, "dedup/removed.arrow", REMOVED) as writer:
        for numbers, batch in found:
            writer.write(batch)
            units = np.searchsorted(ends, numbers, "right")
            counts += np.bincount(units, minlength=len(ends))
        shard = writer.close()
    starts = np.concatenate([[0], np.cumsum(counts)])
    rows = {unit[0]: starts[at : at + 2].tolist() for at, unit in enumerate(plan.units)}
    numbered_as = {name: (first, count) for name, first, count in plan.units}
    largest = max((record["largest"] for _, record in near), default=0)
    commit(
        root,
        "dedup",
        "removed",
        plan.key,
        [shard],
        units=rows,
        numbers=numbered_as,
        largest_bucket=largest,
    )


def gather_paragraphs(root: str, plan: Layout) -> None:
    """Write which paragraphs are cut, for the settle stage."""
    files = [name for name, _ in _ranges(root, "paragraphs", plan)]
    stretches = [numbered.of_unit(root, *unit) for unit in plan.units]
    paragraphs.gather(root, files, stretches, plan.key)


def removed_of(root: str, rows: Sequence[int]) -> pa.Table:
    """Return the rows [first, end) of dedup/removed.arrow: those of a unit. Reads their batches."""
    parts, first = [REMOVED.empty_table()], rows[0] // ROWS
    at = first * ROWS
    for batch in read_batches(root, "dedup/removed.arrow", first=first):
        low, high = max(rows[0] - at, 0), min(rows[1] - at, batch.num_rows)
        if low < high:
            parts.append(pa.table(batch.slice(low, high - low).cast(REMOVED)))
        at += batch.num_rows
        if at >= rows[1]:
            break
    return pa.concat_tables(parts).combine_chunks()
