"""Deduplication's last step: which documents go, in memory that does not grow with their number.

Edges are joined with the sketches of both ends by sorting them by one number, then the other, and
reading the documents forward; those that hold are sorted by worse rank and streamed once
(``kernels.one_pass``). Exact copies follow the document that they are copies of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusforge.external_sort import Records, Sorter, merge
from corpusforge.kernels import one_pass
from corpusforge.kernels.dedup import matrix
from corpusforge.kernels.minhash import estimate
from corpusforge.numbered import Forward, Stretch
from corpusforge.schema import REMOVED
from corpusforge.shard import join

EDGE = np.dtype([("worse", "<i8"), ("better", "<i8"), ("bands", "<i4")])
PAIR = np.dtype([("worse", "<i8"), ("better", "<i8")])
VERIFIED = np.dtype(
    [
        *(("rank", "<u8"), ("tie", "<u8"), ("worse", "<i8")),
        *(("better_rank", "<u8"), ("better_tie", "<u8"), ("better", "<i8")),
        *(("id", "u1", 16), ("bands", "<i4"), ("similarity", "<f4")),
    ]
)
BY_WORSE_RANK = ("rank", "tie", "worse", "better_rank", "better_tie", "better")
GONE = np.dtype(
    [
        ("worse", "<i8"),
        *(("id", "u1", 16), ("corpus", "<i4")),  # of what stays; corpus -1 is this run
        *(("similarity", "<f4"), ("bands", "<i4"), ("exact", "?")),
    ]
)
ROWS = 1 << 16  # of a batch that is written
VERIFIED_AT_ONCE = 1 << 14  # edges whose texts are held
PIECE = 1 << 14  # records that are joined with documents at a time


@dataclass(frozen=True)
class Corpora:
    """The stretches of all documents: of earlier corpora, by their names, then of this run."""

    stretches: tuple[Stretch, ...]
    names: tuple[str, ...] = ()  # of the first stretches; the others are of this run

    @property
    def new(self) -> int:
        """The first number of this run."""
        return self.stretches[len(self.names) - 1].end if self.names else 0

    @property
    def end(self) -> int:
        """The number after the last document."""
        return self.stretches[-1].end if self.stretches else 0


@dataclass
class Codes:
    """Numbers for the names of corpora that survivors are in; -1 is this run."""

    names: list[str] = field(default_factory=list)

    def of(self, name: str) -> int:
        """Return the number of a name."""
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)


def resolve(
    corpora: Corpora,
    edges: Iterable[pa.Table],
    pairs: Iterable[Records],
    minimum_similarity: float,
    folder: str | None,
    exact_hashes: int = 0,
) -> Iterator[tuple[npt.NDArray[np.int64], pa.RecordBatch]]:
    """Yield (numbers, REMOVED) by number: every document that goes and the one that stays for it.

    ``edges`` are EDGES in any order, ``pairs`` the exact copies as PAIR. Of several better
    documents that stay the most similar is named, of equally similar ones the best. An exact copy
    of a document that goes as a near-duplicate goes with it, to the same document; so does a copy
    of one that went in an earlier corpus. With ``exact_hashes``, the hashes of a sketch, edges are
    judged by their texts, and sketches only leave out the hopeless. What does not fit in memory is
    sorted in ``folder``.
    """
    codes = Codes()
    place = _places(folder)
    linked = Sorter(EDGE, ("better", "worse"), place("edges"))
    for table in edges:
        linked.add(_records(table, EDGE))
    near = Sorter(GONE, ("worse",), place("near"))
    ranked = Sorter(VERIFIED, BY_WORSE_RANK, place("ranked"))
    if linked.count:
        minimum = minimum_similarity
        if exact_hashes:
            minimum = sketch_minimum(minimum, exact_hashes)
        blocks = _verified(corpora, linked, place("linked"), minimum)
        if exact_hashes:
            blocks = _by_texts(corpora, blocks, minimum_similarity)
        for block in blocks:
            ranked.add(block)
        for block in _passed(corpora, ranked.blocks(), codes):
            near.add(block)
    exact = Sorter(GONE, ("worse",), place("exact"))
    copies = Sorter(PAIR, ("better", "worse"), place("copies"))
    for block in pairs:
        copies.add(block)
    if copies.count:
        for block in _followers(corpora, copies.blocks(), near, codes):
            exact.add(block)
    try:
        yield from _table(corpora, merge([near.blocks(), exact.blocks()], GONE, ("worse",)), codes)
    finally:
        for sorter in (linked, ranked, near, exact, copies):
            sorter.remove()


def _places(folder: str | None) -> Callable[[str], str | None]:
    return lambda name: join(folder, name) if folder is not None else None


def _records(table: pa.Table, dtype: np.dtype[Any]) -> Records:
    records = np.empty(len(table), dtype)
    for name in dtype.names or ():
        records[name] = table[name].to_numpy()
    return records


def _distinct(blocks: Iterator[Records]) -> Iterator[Records]:
    """Join equal edges of EDGE, sorted, and add up their bands."""
    held = np.empty(0, EDGE)
    for block in blocks:
        block = np.concatenate([held, block])
        starts = np.ones(len(block), bool)
        starts[1:] = (block["better"][1:] != block["better"][:-1]) | (
            block["worse"][1:] != block["worse"][:-1]
        )
        first = np.flatnonzero(starts)
        joined = block[first]
        joined["bands"] = np.add.reduceat(block["bands"], first)
        held = joined[-1:]
        yield joined[:-1]
    yield held


def _pieces(blocks: Iterable[Records], size: int = PIECE) -> Iterator[Records]:
    for block in blocks:
        for at in range(0, len(block), size):
            yield block[at : at + size]


def _bytes(column: pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    return matrix(column.cast(pa.binary()))


def _verified(
    corpora: Corpora,
    edges: Sorter,
    folder: str | None,
    minimum_similarity: float,
) -> Iterator[Records]:
    """Yield the edges that hold, as VERIFIED."""
    documents = Forward(corpora.stretches, ["id", "rank", "tie", "sketch"])
    linked: Sorter | None = None
    for edge in _pieces(_distinct(edges.blocks())):
        if not len(edge):
            continue
        rows = documents.take(edge["better"])
        sketch = _bytes(rows["sketch"])
        if linked is None:
            dtype = np.dtype([*VERIFIED.descr, ("sketch", "u1", sketch.shape[1])])
            linked = Sorter(dtype, ("worse", "better"), folder)
        records = np.zeros(len(edge), linked.dtype)
        for name in ("worse", "better", "bands"):
            records[name] = edge[name]
        records["id"], records["sketch"] = _bytes(rows["id"]), sketch
        records["better_rank"], records["better_tie"] = (
            rows[name].to_numpy() for name in ("rank", "tie")
        )
        linked.add(records)
    if linked is None:
        return

    def joined() -> Iterator[Records]:
        others = Forward(corpora.stretches, ["rank", "tie", "sketch"])
        for records in _pieces(linked.blocks()):
            rows = others.take(records["worse"])
            sketch = _bytes(rows["sketch"])
            matches = np.zeros(len(records), np.int64)
            one_pass.count_matches(np.ascontiguousarray(records["sketch"]), sketch, matches)
            similarity = estimate(matches, sketch.shape[1])
            holds = similarity >= minimum_similarity
            found = np.zeros(int(holds.sum()), VERIFIED)
            for name in VERIFIED.names or ():
                found[name] = records[name][holds]
            found["rank"], found["tie"] = (rows[n].to_numpy()[holds] for n in ("rank", "tie"))
            found["similarity"] = similarity[holds]
            yield found

    yield from joined()
    linked.remove()


def _by_texts(
    corpora: Corpora, blocks: Iterator[Records], minimum_similarity: float
) -> Iterator[Records]:
    """Yield the edges whose true Jaccard similarity, of the sets of shingles, is high enough.

    The documents need the column ``shingles``; it is read once for VERIFIED_AT_ONCE edges.
    """
    for block in _cut(blocks, VERIFIED_AT_ONCE, VERIFIED):
        ends = np.stack([block["worse"], block["better"]])
        numbers, place = np.unique(ends, return_inverse=True)
        rows = Forward(corpora.stretches, ["shingles"]).take(numbers)["shingles"]
        sets = rows.combine_chunks()
        bounds = np.frombuffer(sets.buffers()[1], np.int64)[sets.offset :][: len(sets) + 1] // 4
        hashes = np.frombuffer(sets.buffers()[2] or b"", "<u4").astype(np.uint32)
        found = np.zeros(len(block), np.float32)
        one, other = place.reshape(2, -1)
        one_pass.jaccard(
            hashes, bounds[one], bounds[one + 1], bounds[other], bounds[other + 1], found
        )
        # As float32, so that what is recorded is what was compared.
        holds = found >= np.float32(minimum_similarity)
        block = block[holds]
        block["similarity"] = found[holds]
        yield block


def sketch_minimum(minimum_similarity: float, hashes: int) -> float:
    """Return the estimate below which an edge is not looked at exactly: four deviations less."""
    deviation = (minimum_similarity * (1 - minimum_similarity) / hashes) ** 0.5
    return float(max(minimum_similarity - 4 * deviation, 0.0))


def _passed(corpora: Corpora, blocks: Iterator[Records], codes: Codes) -> Iterator[Records]:
    """Yield the near-duplicates that go, as GONE, from the edges by worse rank."""
    gone = _gone_before(corpora)
    ends = np.array([s.end for s in corpora.stretches[: len(corpora.names)]], np.int64)
    corpus_of = np.array([*(codes.of(name) for name in corpora.names), -1], np.int32)
    held = np.empty(0, VERIFIED)
    for block in _with_last(blocks, VERIFIED):
        block = np.concatenate([held, block])
        whole = len(block)
        if len(block) and block["worse"][-1] >= 0:  # its edges may go on in the next block
            whole = int(np.flatnonzero(block["worse"] != block["worse"][-1]).max(initial=-1)) + 1
        held, block = block[whole:], block[: max(whole, 0)]
        block = block[block["worse"] >= 0]
        if not len(block):
            continue
        worse, better = (np.ascontiguousarray(block[n]) for n in ("worse", "better"))
        chosen = np.empty(len(block), np.int64)
        similarity = np.ascontiguousarray(block["similarity"])
        count = one_pass.one_pass(worse, better, similarity, gone, chosen)
        edge = block[chosen[:count]]
        found = np.zeros(count, GONE)
        for name in ("worse", "id", "similarity", "bands"):
            found[name] = edge[name]
        found["corpus"] = corpus_of[np.searchsorted(ends, edge["better"], "right")]
        yield found


def _with_last(blocks: Iterator[Records], dtype: np.dtype[Any]) -> Iterator[Records]:
    """Yield ``blocks`` and a record of no document after them."""
    yield from blocks
    last = np.zeros(1, dtype)
    last["worse"] = -1
    yield last


def _gone_before(corpora: Corpora) -> npt.NDArray[np.uint8]:
    """Return a bit a document, set for those that went in an earlier corpus."""
    gone = np.zeros(corpora.end // 8 + 1, np.uint8)
    for stretch in corpora.stretches[: len(corpora.names)]:
        number = stretch.first
        for batch in stretch.read(["survivor"]):
            stays = batch.column("survivor").to_numpy(zero_copy_only=False).astype(bool)
            went = number + np.flatnonzero(~stays)
            np.bitwise_or.at(gone, went >> 3, (1 << (went & 7)).astype(np.uint8))
            number += batch.num_rows
    return gone


def _followers(
    corpora: Corpora, pairs: Iterator[Records], near: Sorter, codes: Codes
) -> Iterator[Records]:
    """Yield the exact copies as GONE; ``pairs`` come by ``better``."""
    earlier = [*("survivor", "went_exact", "duplicate_of", "duplicate_in")]
    earlier += ["similarity", "bands_matched"]
    names = ["id", *(earlier if corpora.names else ())]
    documents = Forward(corpora.stretches, names)
    went = _Lookup(near.blocks())
    ends = np.array([s.end for s in corpora.stretches[: len(corpora.names)]], np.int64)
    for pair in _pieces(pairs):
        rows = documents.take(pair["better"])
        found = np.zeros(len(pair), GONE)
        found["worse"], found["id"], found["corpus"] = pair["worse"], _bytes(rows["id"]), -1
        found["similarity"], found["exact"] = 1, True
        for row in np.flatnonzero(pair["better"] < corpora.new).tolist():
            own = corpora.names[int(np.searchsorted(ends, pair["better"][row], "right"))]
            old = {name: rows[name][row].as_py() for name in names}
            found["corpus"][row] = codes.of(old["duplicate_in"] or own)
            if not old["survivor"]:
                found["id"][row] = np.frombuffer(old["duplicate_of"], np.uint8)
                found["similarity"][row] = old["similarity"]
                found["bands"][row], found["exact"][row] = old["bands_matched"], old["went_exact"]
        place, twins = went.find(pair["better"])
        for name in ("id", "corpus", "similarity", "bands", "exact"):
            found[name][place] = twins[name]
        yield found


class _Lookup:
    """Finds GONE records by ascending numbers in sorted blocks."""

    def __init__(self, blocks: Iterator[Records]) -> None:
        self.blocks, self.block = blocks, np.empty(0, GONE)

    def find(self, numbers: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], Records]:
        """Return the places of ``numbers`` that have a record, and their records."""
        places, records, done = [np.zeros(0, np.int64)], [np.empty(0, GONE)], 0
        while done < len(numbers):
            while not len(self.block) or self.block["worse"][-1] < numbers[done]:
                block = next(self.blocks, None)
                if block is None:
                    return np.concatenate(places), np.concatenate(records)
                self.block = block
            upto = int(np.searchsorted(numbers, self.block["worse"][-1], "right"))
            at = np.searchsorted(self.block["worse"], numbers[done:upto])
            hit = np.flatnonzero(self.block["worse"][at] == numbers[done:upto])
            places.append(hit + done)
            records.append(self.block[at[hit]])
            done = upto
        return np.concatenate(places), np.concatenate(records)


def _table(
    corpora: Corpora, blocks: Iterator[Records], codes: Codes
) -> Iterator[tuple[npt.NDArray[np.int64], pa.RecordBatch]]:
    """Yield batches of ROWS removals, whatever the blocks; each with the numbers that go."""
    documents = Forward(corpora.stretches, ["id"])
    names = pa.array(codes.names, pa.string())
    for part in _cut(blocks, ROWS, GONE):
        corpus = part["corpus"].astype(np.int64)
        columns = [
            documents.take(part["worse"])["id"].combine_chunks(),
            _fixed(part["id"]),
            names.take(pa.array(corpus, mask=corpus < 0)),
            *(pa.array(part[name].copy()) for name in ("similarity", "bands", "exact")),
        ]
        yield part["worse"].copy(), pa.record_batch(columns, schema=REMOVED)


def _cut(blocks: Iterator[Records], rows: int, dtype: np.dtype[Any]) -> Iterator[Records]:
    """Yield the records of ``blocks`` in parts of exactly ``rows``, fewer at the end."""
    held = np.empty(0, dtype)
    for block in blocks:
        held = np.concatenate([held, block])
        whole = len(held) // rows * rows
        for at in range(0, whole, rows):
            yield held[at : at + rows]
        held = held[whole:]
    if len(held):
        yield held


def _fixed(ids: npt.NDArray[np.uint8]) -> pa.Array:
    data = pa.py_buffer(np.ascontiguousarray(ids).tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(ids), [None, data])


def removed_table(batches: Iterable[tuple[Any, pa.RecordBatch]]) -> pa.Table:
    """Return all of what ``resolve`` yields as one table."""
    return pa.Table.from_batches([batch for _, batch in batches], REMOVED).combine_chunks()


def sequence(stretches: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Return ``stretches`` numbered one after another."""
    found, first = [], 0
    for stretch in stretches:
        found.append(Stretch(first, stretch.rows, stretch.read))
        first += stretch.rows
    return tuple(found)
