"""Sign: the columns that deduplication compares, for every document with text.

Documents that a rule dropped are signed too: with other rules, replay may keep them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusforge.kernels import minhash, priority
from corpusforge.kernels.shingles import shingle_sets
from corpusforge.schema import SIGNATURE
from corpusforge.transform import put


@dataclass(frozen=True)
class Sign:
    """Append SIGNATURE: tokens, priority, exact key, sketch, band keys; null where the text is.

    A text without tokens has 0 tokens and neither sketch nor bands. ``protect`` are sources, or
    labels and folders of them, that are better than all others; ``quality`` names a column of
    numbers whose higher values are better, if the batch has it.
    """

    bands: int = 16
    rows: int = 8
    ngram: int = 5
    seed: int = 1
    exact: Literal["bytes", "tokens", "none"] = "bytes"
    protect: tuple[str, ...] = ()
    quality: str = ""
    shingles: bool = False  # whether the set of shingles is stored

    reads = ("source", "source_id", "url", "text")
    adds = tuple(SIGNATURE.names)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the same rows with the columns of SIGNATURE."""
        text = batch.column("text")
        a, b = minhash.permutations(self.bands * self.rows, self.seed)
        signatures = minhash.sign(text, a, b, self.ngram)
        if self.exact == "none":
            exact = pa.nulls(len(text), pa.binary(16))
        else:
            exact = minhash.exact_keys(text, self.exact)
        keys = minhash.band_keys(signatures.minima, self.bands, self.rows)
        null = np.asarray(text.is_null())
        rank = priority.ranks(self._protected(batch), self._quality(batch), signatures.tokens)
        tie = priority.ties(batch.column("source_id"), batch.column("url"), text)
        columns = {
            "dedup_tokens": pa.array(signatures.tokens, mask=null),
            "dedup_rank": pa.array(rank, mask=null),
            "dedup_tie": pa.array(tie, mask=null),
            "exact": exact,
            "sketch": _binary(minhash.sketch(signatures.minima), signatures.has),
            "bands": _binary(keys.astype("<u8", copy=False), signatures.has),
            "shingles": shingle_sets(text, self.ngram)
            if self.shingles
            else pa.nulls(len(text), pa.large_binary()),
        }
        for name, values in columns.items():
            batch = put(batch, name, values)
        return batch

    def _protected(self, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        sources = batch.column("source").dictionary_encode()
        names = [under(source, self.protect) for source in sources.dictionary.to_pylist()]
        return np.asarray(np.array(names, bool)[sources.indices.to_numpy()])

    def _quality(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64] | None:
        if self.quality not in batch.schema.names:
            return None
        column = batch.column(self.quality).cast(pa.float64())
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def under(source: str, names: Iterable[str]) -> bool:
    """Tell whether ``source`` is one of ``names``, or lies in one that is a label or a folder."""
    return any(source == name or source.startswith(f"{name.rstrip('/')}/") for name in names)


def _binary(rows: npt.NDArray[Any], there: npt.NDArray[np.bool_]) -> pa.BinaryArray:
    """Return the bytes of each row of a matrix, null where it is not ``there``."""
    width = rows.shape[1] * rows.itemsize
    offsets = np.zeros(len(rows) + 1, dtype=np.int32)
    np.cumsum(there * width, out=offsets[1:])
    validity = pa.array(there).buffers()[1]
    buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(rows[there].tobytes())]
    return pa.BinaryArray.from_buffers(pa.binary(), len(rows), buffers)
