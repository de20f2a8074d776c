"""Sign: the columns that deduplication compares, for every document with text.

Documents that a rule dropped are signed too: with other rules, replay may keep them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusforge.kernels import minhash
from corpusforge.schema import SIGNATURE
from corpusforge.transform import put


@dataclass(frozen=True)
class Sign:
    """Append SIGNATURE: tokens, exact key, sketch and band keys; null where the text is null.

    A text without tokens has 0 tokens and neither sketch nor bands.
    """

    bands: int = 16
    rows: int = 8
    ngram: int = 5
    seed: int = 1
    exact: Literal["bytes", "tokens", "none"] = "bytes"

    reads = ("text",)
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
        columns = {
            "dedup_tokens": pa.array(signatures.tokens, mask=np.asarray(text.is_null())),
            "exact": exact,
            "sketch": _binary(minhash.sketch(signatures.minima), signatures.has),
            "bands": _binary(keys.astype("<u8", copy=False), signatures.has),
        }
        for name, values in columns.items():
            batch = put(batch, name, values)
        return batch


def _binary(rows: npt.NDArray[Any], there: npt.NDArray[np.bool_]) -> pa.BinaryArray:
    """Return the bytes of each row of a matrix, null where it is not ``there``."""
    width = rows.shape[1] * rows.itemsize
    offsets = np.zeros(len(rows) + 1, dtype=np.int32)
    np.cumsum(there * width, out=offsets[1:])
    validity = pa.array(there).buffers()[1]
    buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(rows[there].tobytes())]
    return pa.BinaryArray.from_buffers(pa.binary(), len(rows), buffers)
