"""Weights of texts in the training of a tokenizer: how many times over their pre-tokens count.

Counts are kept in thousandths until all are summed, so that no cut into batches or units shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.kernels.counts import COUNTS, Counted
from corpusforge.spec import TokenizeSpec
from corpusforge.tokenizer import count

PARTS = 1000  # of an occurrence


def weighted_counts(batch: pa.RecordBatch, spec: TokenizeSpec) -> Iterator[Counted]:
    """Count the column ``text`` of a batch, each row in PARTS times its weight, if any is given.

    Reads ``language`` and ``source``. A row of weight 0 is not read at all.
    """
    if not given(spec):
        yield count(batch.column("text"), spec)
        return
    weights = _of(batch.column("language"), spec.weights.language, exact=True)
    weights *= _of(batch.column("source"), spec.weights.source, exact=False)
    parts = np.rint(weights * PARTS).astype(np.int64)
    for value in np.unique(parts[parts > 0]).tolist():
        found = count(batch.filter(pa.array(parts == value)).column("text"), spec)
        times = pc.multiply(found.table["count"], pa.scalar(value, pa.int64()))
        yield Counted(found.table.set_column(1, COUNTS.field("count"), times), found.dropped)


def given(spec: TokenizeSpec) -> bool:
    """Tell whether counts of ``spec`` are in PARTS."""
    return bool(spec.weights.language or spec.weights.source)


def whole(table: pa.Table) -> pa.Table:
    """Turn summed PARTS into counts, rounded half up; what is less than one is left out."""
    rounded = pc.divide(pc.add(table["count"], PARTS // 2), PARTS)
    table = table.set_column(1, COUNTS.field("count"), rounded)
    return table.filter(pc.greater(table["count"], 0))


def _of(names: pa.Array, weights: Mapping[str, float], *, exact: bool) -> np.ndarray:
    """Weight (rows,) float64 of each name: its own, or that of the longest path it begins with."""
    encoded = names.cast(pa.string()).dictionary_encode(null_encoding="encode")
    found = []
    for name in encoded.dictionary.to_pylist():
        paths = [name or ""]
        while not exact and "/" in paths[-1]:
            paths.append(paths[-1].rpartition("/")[0])
        found.append(next((weights[path] for path in paths if path in weights), 1.0))
    places = encoded.indices.to_numpy(zero_copy_only=False)
    return np.asarray(np.array(found, dtype=np.float64)[places])
