"""The bytes of an Arrow string column, as the arrays that kernels take."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def buffers(text: pa.StringArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (data uint8, bounds (rows + 1,) int32, valid (rows,) bool) of ``text``.

    Row i holds the UTF-8 bytes data[bounds[i]:bounds[i + 1]]. Views, read-only: one type for numba,
    so one compilation.
    """
    _, offsets, values = text.buffers()
    bounds = np.frombuffer(offsets or bytes(4), np.int32)[text.offset :][: len(text) + 1]
    data = np.frombuffer(values or b"", np.uint8)
    data.flags.writeable = bounds.flags.writeable = False
    return data, bounds, text.is_valid().to_numpy(zero_copy_only=False)


def column(data: np.ndarray, bounds: np.ndarray, valid: np.ndarray) -> pa.StringArray:
    """Return the string column of ``buffers``; rows that are not ``valid`` are null.

    The bytes must be UTF-8 and are not checked.
    """
    mask = None if valid.all() else pa.array(valid).buffers()[1]
    return pa.StringArray.from_buffers(
        len(valid), pa.py_buffer(bounds.astype(np.int32)), pa.py_buffer(data), mask
    )
