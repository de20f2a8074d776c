"""A text column as the kernels take it, and counts of its rows as named columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from corpusforge.kernels.signals import Signal


def text_buffers(text: pa.StringArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return data (bytes,) uint8, bounds (rows + 1,) int32 and valid (rows,) bool of ``text``.

    Nothing is copied but ``valid``; all three are read-only, so that each kernel compiles once.
    """
    _, offsets, values = text.buffers()
    bounds = np.frombuffer(offsets or bytes(4), np.int32)[text.offset :][: len(text) + 1]
    data = np.frombuffer(values or b"", np.uint8)
    valid = np.array(text.is_valid().to_numpy(zero_copy_only=False))
    for array in (data, bounds, valid):
        array.flags.writeable = False
    return data, bounds, valid


def text_column(data: np.ndarray, bounds: np.ndarray, valid: np.ndarray) -> pa.StringArray:
    """Return the string column of ``text_buffers``; rows that are not ``valid`` are null.

    The bytes must be UTF-8 and are not checked.
    """
    mask = None if valid.all() else pa.array(valid).buffers()[1]
    return pa.StringArray.from_buffers(
        len(valid), pa.py_buffer(bounds.astype(np.int32)), pa.py_buffer(data), mask
    )


def named_columns(
    signals: Iterable[Signal], counts: np.ndarray, valid: np.ndarray
) -> dict[str, np.ndarray]:
    """Return each signal of ``counts`` (rows, columns) int64 by name: (rows,) int64 or float64.

    A row that is not ``valid`` has 0 for a count and NaN for a share.
    """
    columns = {signal.name: signal.of(counts) for signal in signals}
    for column in columns.values():
        if column.dtype == np.float64:
            column[~valid] = np.nan
    return columns
