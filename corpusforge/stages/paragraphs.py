"""Paragraphs that a better kept document has too: found by a shuffle, cut out as units settle.

A paragraph's number is that of its document times 2^20 and its place in it, so that of equal
paragraphs the first of the best document stays. Documents of earlier corpora take no part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge import numbered
from corpusforge.external_sort import Records, Sorter, between, write_sorted
from corpusforge.kernels import dedup, paragraphs, signals
from corpusforge.numbered import Forward
from corpusforge.resolve import PIECE
from corpusforge.schema import CUT, SPAN
from corpusforge.shard import commit, committed, join, read_batches
from corpusforge.spec import CleanSpec
from corpusforge.transform import alive, decide, put, reasons_array

PLACES = 20  # bits of a paragraph's place in its document; later ones take no part
FOUND = "work/paragraphs.bin"
TWIN = np.dtype([("worse", "<i8"), ("better", "<i8"), ("id", "u1", 16)])


def units(
    root: str, unit: str, first: int, gone: pa.Array
) -> Iterator[tuple[pa.RecordBatch, npt.NDArray[np.int64], npt.NDArray[np.bool_]]]:
    """Yield the records of a unit, the number of each that has a text, and which are kept.

    ``gone`` are the ids of those that went as copies.
    """
    for batch in read_batches(root, f"work/{unit}.arrow"):
        there = batch.column("text").is_valid().to_numpy(zero_copy_only=False)
        numbers = first + np.cumsum(there) - 1
        copies = pc.is_in(batch.column("id"), value_set=gone).to_numpy(zero_copy_only=False)
        yield batch, numbers, alive(batch) & there & ~copies
        first += int(there.sum())


def rows(root: str, unit: str, first: int, gone: pa.Array, spec: CleanSpec) -> Iterator[pa.Table]:
    """Yield the paragraphs of the kept documents of a unit, as ``kernels.dedup.pack`` takes them.

    Their rank and tie are those of their documents.
    """
    least = spec.dedup.paragraph_chars
    stretch = numbered.of_unit(root, unit, first, 1 << 62)
    documents = Forward([stretch], ["rank", "tie"])
    for batch, numbers, kept in units(root, unit, first, gone):
        keys: list[bytes] = []
        places: list[int] = []
        for row in np.flatnonzero(kept).tolist():
            text = batch.column("text")[row].as_py()
            found = paragraphs.spans(text)[: 1 << PLACES]
            for place, key in enumerate(paragraphs.keys(text, found, least)):
                if key is not None:
                    keys.append(key)
                    places.append(int(numbers[row]) << PLACES | place)
        number = np.array(places, np.int64)
        order = documents.take(number >> PLACES)
        yield order.append_column("number", pa.array(number)).append_column(
            "exact", pa.array(keys, pa.binary(16))
        )


def gather(
    root: str, files: Sequence[str], stretches: Sequence[numbered.Stretch], key: str
) -> None:
    """Write the paragraphs to cut (PAIRS in ``files``) to FOUND, with the document of the first."""
    if committed(root, "dedup", "cut", key):
        return
    linked = Sorter(TWIN, ("better", "worse"), join(root, "work/sort/cut"))
    for name in files:
        for batch in read_batches(root, name):
            found = np.zeros(batch.num_rows, TWIN)
            for column in ("worse", "better"):
                found[column] = batch.column(column).to_numpy()
            linked.add(found)
    ordered = Sorter(TWIN, ("worse",), join(root, "work/sort/cut-by-place"))
    documents = Forward(stretches, ["id"])
    for block in linked.blocks():
        for at in range(0, len(block), PIECE):
            found = block[at : at + PIECE].copy()
            ids = documents.take(found["better"] >> PLACES)["id"]
            found["id"] = dedup.matrix(ids.cast(pa.binary()))
            ordered.add(found)
    shard = write_sorted(root, FOUND, ordered)
    linked.remove()
    commit(root, "dedup", "cut", key, [shard])


def cut(
    root: str, unit: str, first: int, documents: int, gone: pa.Array
) -> Iterator[pa.RecordBatch]:
    """Yield the records of a unit with their paragraphs cut, and CUT saying which.

    A document of which nothing is left is dropped, its text as it was.
    """
    twins = between(root, FOUND, TWIN, first << PLACES, (first + documents) << PLACES)
    owner = twins["worse"] >> PLACES
    for batch, numbers, kept in units(root, unit, first, gone):
        wanted = kept & np.isin(numbers, owner)
        texts = batch.column("text").to_pylist()
        cuts: list[list[dict[str, Any]] | None] = [None] * len(texts)
        empty = np.zeros(len(texts), bool)
        for row in np.flatnonzero(wanted).tolist():
            low, high = np.searchsorted(owner, [numbers[row], numbers[row] + 1])
            texts[row], cuts[row] = _cut(texts[row], twins[low:high])
            empty[row] = not texts[row].strip()
        column = pa.array(texts, pa.string())
        stays = pa.array(~empty)
        batch = put(batch, "text", pc.if_else(stays, column, batch.column("text")))
        batch = put(batch, "cut", pa.array(cuts, CUT.type))
        measured = signals.sizes(pc.if_else(pa.array(wanted), batch.column("text"), None))
        for name, values in measured.items():
            batch = put(
                batch, name, pc.if_else(pa.array(wanted), pa.array(values), batch.column(name))
            )
        count = int(empty.sum())
        whole = np.array([len(cuts[row] or ()) for row in np.flatnonzero(empty)], np.float64)
        reasons = reasons_array(
            empty.astype(np.int32),
            ["duplicate-paragraphs"] * count,
            ["paragraphs_cut"] * count,
            whole,
            ["<"] * count,
            whole,
        )
        yield decide(batch, empty, outcome="dropped", stage="dedup", reasons=reasons)


def _cut(text: str, twins: Records) -> tuple[str, list[dict[str, Any]]]:
    found = paragraphs.spans(text)
    places = (twins["worse"] & ((1 << PLACES) - 1)).tolist()
    spans = [
        dict(zip((f.name for f in SPAN), (*found[place], twin["id"].tobytes()), strict=True))
        for place, twin in zip(places, twins, strict=True)
    ]
    return paragraphs.without(text, found, places), spans
