"""Deduplication of stored signatures in one process: what the stages of a clean run find as well.

``removed`` gives REMOVED of a set of documents. ``groups`` says which documents can have anything
to do with one another, so that a few more or fewer documents cost a small deduplication only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusforge.kernels import dedup, shared_keys
from corpusforge.kernels.dedup import halves, matrix
from corpusforge.numbered import SIGNALS, Stretch
from corpusforge.resolve import PAIR, Corpora, removed_table, resolve
from corpusforge.schema import DOCUMENT, SIGNATURE
from corpusforge.shard import read_batches
from corpusforge.spec import Dedup

SIGNED = pa.schema([DOCUMENT.field("id"), *SIGNATURE])


def removed(documents: pa.Table, spec: Dedup) -> pa.Table:
    """Return REMOVED: which of ``documents`` (SIGNED, in order) go as copies of which others."""
    numbers = np.arange(len(documents))
    table = documents.cast(SIGNED).append_column("number", pa.array(numbers))
    table = table.rename_columns(
        [{v: k for k, v in SIGNALS.items()}.get(n, n) for n in table.schema.names]
    )
    pairs = dedup.PAIRS.empty_table()
    if spec.exact != "none":
        pairs, _ = dedup.exact_pairs(_tables("exact", table))
    edges = []
    if spec.near != "none":
        alone = np.ones(len(table), bool)
        alone[pairs.column("worse").to_numpy()] = False
        edges = [dedup.bucket_edges(_tables("near", table.filter(pa.array(alone))))[0]]
    records = np.empty(len(pairs), PAIR)
    for name in PAIR.names or ():
        records[name] = pairs.column(name).to_numpy()
    found = Stretch(0, len(table), lambda names: iter(table.select(list(names)).to_batches()))
    hashes = spec.bands * spec.rows if spec.verify == "exact" else 0
    return removed_table(
        resolve(Corpora((found,)), edges, [records], spec.similarity, None, hashes)
    )


def _tables(kind: str, documents: pa.Table) -> list[pa.Table]:
    return [pa.table(dedup.sorted_keys(kind, documents, repeated=True)[1])]


def groups(documents: pa.Table) -> npt.NDArray[np.int64]:
    """Return a number (rows,) for each of ``documents`` (SIGNED); those that share none are apart.

    Documents that share an exact or a band key, directly or through others, have one number, the
    first row of theirs. What deduplication decides in such a group depends on its documents alone.
    """
    labels = np.arange(len(documents), dtype=np.int64)
    for keys, rows in _keys(documents):
        shared_keys.join(keys, rows, shared_keys.slots(len(keys)), labels)
    return labels


class Shared:
    """Tells which documents share an exact or a band key with another: show it all of them first.

    A few that share none are told to, too; no result of deduplication depends on those.
    """

    COLUMNS = ("exact", "bands")

    def __init__(self, documents: int, bands: int) -> None:
        self.once, self.twice = (shared_keys.table(documents * (bands + 1)) for _ in range(2))

    def note(self, batch: pa.RecordBatch) -> None:
        """Remember the keys of a batch with COLUMNS."""
        for keys, _ in _keys(batch):
            shared_keys.note(keys, self.once, self.twice)

    def rows(self, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """Return a mask (rows,) of the documents of a batch with COLUMNS that share a key."""
        found = np.zeros(batch.num_rows, bool)
        for keys, rows in _keys(batch):
            shared_keys.shared(keys, rows, self.twice, found)
        return found


def shared(root: str, units: Sequence[str], bands: int) -> Shared:
    """Return what tells the documents of the clean run in ``root`` that share keys."""
    files = [f"signals/{unit}.parquet" for unit in units]
    count = sum(b.num_rows for file in files for b in read_batches(root, file, ["candidate"]))
    found = Shared(count, bands)
    for file in files:
        for batch in read_batches(root, file, Shared.COLUMNS):
            found.note(batch)
    return found


def _keys(
    documents: pa.Table | pa.RecordBatch,
) -> list[tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]]:
    """Return the band keys, then the exact keys, of documents, each with the row of each key."""
    banded = np.flatnonzero(documents.column("bands").is_valid())
    table = matrix(documents.column("bands").drop_null()).view("<u8").astype(np.uint64, copy=False)
    exact = np.flatnonzero(documents.column("exact").is_valid())
    high, low = halves(documents.column("exact").drop_null())
    return [(table.ravel(), np.repeat(banded, table.shape[1])), (high ^ low, exact)]
