"""Deduplication of stored signatures in one process: what the stages of a clean run find as well.

``removed`` gives REMOVED of a set of documents. ``groups`` says which documents can have anything
to do with one another, so that a few more or fewer documents cost a small deduplication only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.kernels import dedup, one_pass
from corpusforge.kernels.dedup import GROUPS, halves, matrix
from corpusforge.schema import DOCUMENT, SIGNATURE
from corpusforge.spec import Dedup

SIGNED = pa.schema([DOCUMENT.field("id"), *SIGNATURE])
_DOCUMENTS = ["id", "tokens", "sketch"]  # what one_pass.resolve asks for


def removed(documents: pa.Table, spec: Dedup) -> pa.Table:
    """Return REMOVED: which of ``documents`` (SIGNED) go as copies of which others that stay."""
    batches = documents.cast(SIGNED).to_batches()
    exact = GROUPS.empty_table()
    if spec.exact != "none":
        exact = pa.concat_tables(_by_range(batches, spec.ranges, _exact_blobs, dedup.exact_groups))
    edges = list[pa.Table]()
    if spec.near != "none":
        gone = exact.column("id")
        left = [b.filter(pc.invert(pc.is_in(b.column("id"), value_set=gone))) for b in batches]
        edges = _by_range(left, spec.ranges, _band_blobs, dedup.bucket_edges)
    signed = documents.select(["id", "dedup_tokens", "sketch"]).rename_columns(_DOCUMENTS)
    if not edges:  # without edges no sketch is looked at, and some may be null
        signed = signed.slice(0, 0)
    return one_pass.resolve(edges, signed, exact, spec.similarity)


def _by_range(
    batches: Sequence[pa.RecordBatch],
    ranges: int,
    pack: Callable[[pa.RecordBatch, int], list[tuple[int, bytes]]],
    reduce: Callable[[Iterable[bytes]], pa.Table],
) -> list[pa.Table]:
    blobs: list[list[bytes]] = [[] for _ in range(ranges)]
    for batch in batches:
        for number, blob in pack(batch, ranges):
            blobs[number].append(blob)
    return [reduce(part) for part in blobs if part] or [reduce([])]


def _exact_blobs(batch: pa.RecordBatch, ranges: int) -> list[tuple[int, bytes]]:
    ids, tokens = batch.column("id"), batch.column("dedup_tokens")
    return dedup.exact_blobs(ids, tokens, batch.column("exact"), ranges)


def _band_blobs(batch: pa.RecordBatch, ranges: int) -> list[tuple[int, bytes]]:
    ids, tokens = batch.column("id"), batch.column("dedup_tokens")
    return dedup.band_blobs(ids, tokens, batch.column("bands"), ranges)


def groups(documents: pa.Table) -> npt.NDArray[np.int64]:
    """Return a number (rows,) for each of ``documents`` (SIGNED); those that share none are apart.

    Documents that share an exact or a band key, directly or through others, have one number. What
    deduplication decides in such a group depends on its documents alone.
    """
    keys, rows = _shared_keys(documents)
    labels = np.arange(len(documents), dtype=np.int64)
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(keys) else rows
    lengths = np.diff(np.append(starts, len(keys)))
    while len(keys):
        least = np.repeat(np.minimum.reduceat(labels[rows], starts), lengths)
        after = labels.copy()
        np.minimum.at(after, rows, least)
        after = after[after]  # a label is the number of a row of the group: jump to its label
        if np.array_equal(after, labels):
            break
        labels = after
    return labels


def _shared_keys(documents: pa.Table) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Return the keys that more than one document has, sorted, and the row of each."""
    banded = documents.column("bands").is_valid().to_numpy()
    table = matrix(documents.column("bands").drop_null()).view("<u8").astype(np.uint64)
    exact = documents.column("exact").is_valid().to_numpy()
    high, low = halves(documents.column("exact").drop_null())
    keys = np.concatenate([table.ravel(), high ^ low])
    rows = np.concatenate(
        [np.repeat(np.flatnonzero(banded), table.shape[1]), np.flatnonzero(exact)]
    )
    order = np.argsort(keys, kind="stable")
    keys, rows = keys[order], rows[order]
    same = keys[1:] == keys[:-1]
    shared = np.append(same, False) | np.append(False, same) if len(keys) else np.zeros(0, bool)
    return keys[shared], rows[shared]
