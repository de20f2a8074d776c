"""The stages of deduplication: exact -> near -> resolve, over the signals of a clean run.

exact    signals -> blobs by range of the exact key -> work/exact-RANGE.arrow (PAIRS)
         -> work/copies.bin: the exact copies by number
near     signals without exact copies -> blobs by range of the band key -> work/edges-RANGE.arrow
resolve  pairs, edges, sketches -> dedup/removed.arrow: one pass in priority order, in the parent

A blob crosses the shuffle itself, or, where all of them are more than ``plan.shuffle_bytes``, as
the place in a shuffle file where it lies.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge import dedup_index, numbered
from corpusforge.dedup_index import Index
from corpusforge.errors import RunError
from corpusforge.external_sort import Records, Sorter
from corpusforge.kernels import dedup
from corpusforge.kernels.dedup import EDGES, PAIRS, WIDTH
from corpusforge.numbered import SIGNALS
from corpusforge.resolve import PAIR, Corpora, resolve
from corpusforge.schema import REMOVED
from corpusforge.shard import (
    AtomicFile,
    Shard,
    ShardWriter,
    commit,
    committed,
    join,
    read_batches,
    read_json,
    write_json,
)
from corpusforge.spec import CleanSpec, Dedup

KINDS = ("exact", "near")
LEAST_RANGES = 4
FILES = {"exact": ("exact", PAIRS), "near": ("edges", EDGES)}
HOT = 10_000  # documents of a bucket that is named in the manifest
MAP_ROWS = 1 << 14
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
    sizes = {
        "exact": WIDTH["exact"] if spec.dedup.exact != "none" else 0,
        "near": spec.dedup.bands * WIDTH["near"] if spec.dedup.near != "none" else 0,
    }
    ranges = {
        kind: max(LEAST_RANGES, -(-first * size // spec.plan.range_bytes))
        for kind, size in sizes.items()
    }
    crossing = (first - new) * max(sizes.values())
    files = crossing > spec.plan.shuffle_bytes
    return Layout(tuple(placed), tuple(earlier), new, ranges, files, key)


def pack(root: str, kind: str, unit: str, spec: Dedup, plan: Layout) -> Iterator[tuple[int, bytes]]:
    """Yield (range, blob or its place) of the keys of a unit."""
    blobs = _blobs(root, kind, unit, spec, plan)
    if not plan.files:
        yield from blobs
        return
    path = f"work/shuffle/{kind}-{unit}.blobs"
    file, places = AtomicFile(join(root, path)), []
    for number, blob in blobs:
        places.append((number, {"file": path, "offset": file.bytes, "length": len(blob)}))
        file.write(blob)
    file.commit()
    for number, place in places:
        yield number, json.dumps(place).encode()


def _blobs(
    root: str, kind: str, unit: str, spec: Dedup, plan: Layout
) -> Iterator[tuple[int, bytes]]:
    column = "exact" if kind == "exact" else "bands"
    columns = [*SIGNALS.values(), column, "candidate"]
    first, rows = plan.first(unit)
    gone = np.zeros(rows, bool)
    if kind == "near" and spec.exact != "none":
        gone[_copies_between(root, first, first + rows) - first] = True
    for large in read_batches(root, f"signals/{unit}.parquet", columns):
        for start in range(0, large.num_rows, MAP_ROWS):
            batch = large.slice(start, MAP_ROWS)
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
            yield from dedup.pack(kind, documents.filter(keep), plan.ranges[kind])


def _opened(root: str, kind: str, blob: bytes) -> pa.Table:
    if blob[:1] == b"{":
        place = json.loads(blob)
        fs, path = fsspec.core.url_to_fs(join(root, place["file"]))
        with fs.open(path, "rb") as file:
            file.seek(place["offset"])
            blob = file.read(place["length"])
    return dedup.unpack(kind, blob)


def reduce(root: str, kind: str, number: int, blobs: Iterable[bytes], plan: Layout) -> str:
    """Write the exact pairs or the star edges of one range of keys."""
    name, schema = FILES[kind]
    name = f"{name}-{number:05d}"
    if committed(root, "dedup", name, plan.key):
        return name

    def tables() -> Iterator[pa.Table]:
        for place, (folder, first) in enumerate(plan.earlier):
            index = dedup_index.facts(folder)
            yield from dedup_index.keys(
                folder, index, kind, number, plan.ranges[kind], place, first
            )
        for blob in blobs:
            if blob:
                yield _opened(root, kind, blob)

    find = dedup.exact_pairs if kind == "exact" else dedup.bucket_edges
    table, largest = find(tables(), plan.new)
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
    file = AtomicFile(join(root, COPIES))
    for block in pairs.blocks():
        file.write(np.ascontiguousarray(block).view(np.uint8))
    pairs.remove()
    file.commit()
    shard = Shard(COPIES, pairs.count, file.bytes, file.sha256.hexdigest())
    commit(root, "dedup", "copies", plan.key, [shard])


def _pairs(root: str) -> Iterator[Records]:
    """Yield the exact copies as PAIR, by number."""
    fs, path = fsspec.core.url_to_fs(join(root, COPIES))
    with fs.open(path, "rb") as file:
        while data := file.read(FILE_ROWS * PAIR.itemsize):
            yield np.frombuffer(data, PAIR)


def _copies_between(root: str, first: int, end: int) -> npt.NDArray[np.int64]:
    """Return the numbers in [first, end) that went as exact copies, by bisection of the file."""
    fs, path = fsspec.core.url_to_fs(join(root, COPIES))
    with fs.open(path, "rb") as file:

        def worse(at: int) -> int:
            file.seek(at * PAIR.itemsize)
            return int(np.frombuffer(file.read(8), "<i8")[0])

        low, high = 0, fs.size(path) // PAIR.itemsize
        count = high
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if worse(middle) < first else (low, middle)
        file.seek(low * PAIR.itemsize)
        rows = min(end - first, count - low)
        numbers = np.frombuffer(file.read(rows * PAIR.itemsize), PAIR)["worse"]
        return np.asarray(numbers[: np.searchsorted(numbers, end)])


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
    pairs = _pairs(root) if spec.exact != "none" else iter(())
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
    hot = [record["largest"] for _, record in near if record["largest"] > HOT]
    commit(
        root,
        "dedup",
        "removed",
        plan.key,
        [shard],
        units=rows,
        hot_buckets=len(hot),
        largest_bucket=max(hot, default=0),
    )


def removed_of(root: str, rows: Sequence[int]) -> pa.Table:
    """Return the rows [first, end) of dedup/removed.arrow: those of a unit."""
    parts, at = [REMOVED.empty_table()], 0
    for batch in read_batches(root, "dedup/removed.arrow"):
        low, high = max(rows[0] - at, 0), min(rows[1] - at, batch.num_rows)
        if low < high:
            parts.append(pa.table(batch.slice(low, high - low).cast(REMOVED)))
        at += batch.num_rows
        if at >= rows[1]:
            break
    return pa.concat_tables(parts).combine_chunks()
