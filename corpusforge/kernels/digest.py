"""The content digest: an order-free sum of row hashes, so it merges by unit.

A row is the concatenation, per column, of an 8-byte little-endian length (-1: null) and the value:
UTF-8 or raw bytes, integers and booleans as 8-byte little-endian, floats as IEEE 754 little-endian.
It depends on values alone: not on codec, batch, unit or library.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MODULUS = 1 << 256
ROWS = 1024  # rows at a time: their items are widened to 8 bytes and joined


def content(kind: str, columns: Sequence[pa.Array]) -> int:
    """Return the sum modulo 2^256 of sha256(kind row) over the rows of equal-length ``columns``."""
    starts = range(0, len(columns[0]), ROWS)
    return combine([_sum(kind, [part.slice(start, ROWS) for part in columns]) for start in starts])


def _sum(kind: str, columns: Sequence[pa.Array]) -> int:
    rows = _rows(columns)
    view = memoryview(rows.buffers()[2] or b"")
    offsets = np.frombuffer(rows.buffers()[1], dtype=np.int64)[: len(rows) + 1]
    start = hashlib.sha256(kind.encode() + b"\0")
    digests = bytearray()
    for low, high in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        row = start.copy()
        row.update(view[low:high])
        digests += row.digest()
    limbs = np.frombuffer(bytes(digests), dtype=">u4").reshape(-1, 8)
    sums = limbs.astype(np.uint64).sum(axis=0)
    return sum(int(limb) << (32 * (7 - place)) for place, limb in enumerate(sums))


def combine(parts: Sequence[int]) -> int:
    """Digest of the union of disjoint row sets."""
    return sum(parts) % MODULUS


def to_hex(value: int) -> str:
    """64 hexadecimal digits."""
    return f"{value:064x}"


def _rows(columns: Sequence[pa.Array]) -> pa.Array:
    parts: list[pa.Array] = []
    for column in columns:
        data = _canonical(column)
        lengths = np.asarray(pc.fill_null(pc.binary_length(data), -1)).astype("<i8")
        parts.append(_fixed(lengths))
        parts.append(pc.fill_null(data, b""))
    joined = pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary()))
    if joined.offset:
        joined = pa.concat_arrays([joined])
    return joined


def _fixed(values: np.ndarray) -> pa.Array:
    width = values.dtype.itemsize
    fixed = pa.Array.from_buffers(
        pa.binary(width), len(values), [None, pa.py_buffer(np.ascontiguousarray(values).tobytes())]
    )
    return fixed.cast(pa.large_binary())


def _canonical(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _canonical(column.dictionary_decode())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column.cast(pa.large_string()).cast(pa.large_binary())
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return column.cast(pa.large_binary())
    if pa.types.is_large_binary(kind):
        return column
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _list(column)
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        dtype, plain = "<i8", column.cast(pa.int64())
    elif pa.types.is_floating(kind):
        dtype, plain = ("<f4" if kind == pa.float32() else "<f8"), column
    else:
        raise TypeError(f"no canonical bytes for {kind}")
    values = np.asarray(pc.fill_null(plain, 0)).astype(dtype)
    return pc.if_else(column.is_valid(), _fixed(values), pa.scalar(None, pa.large_binary()))


def _list(column: pa.Array) -> pa.Array:
    """Join the rows of a list's items; integer lists are their packed little-endian bytes."""
    items = column.flatten()
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0)).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    if pa.types.is_struct(items.type):
        rows = _rows(items.flatten())
        ends = np.frombuffer(rows.buffers()[1], dtype=np.int64)[: len(rows) + 1]
        data = rows.buffers()[2] or pa.py_buffer(b"")
        starts = ends[offsets]
    else:
        values = np.asarray(items).astype("<i8")
        data, starts = pa.py_buffer(values.tobytes()), offsets * 8
    joined = pa.Array.from_buffers(
        pa.large_binary(),
        len(column),
        [None, pa.py_buffer(np.ascontiguousarray(starts, dtype=np.int64).tobytes()), data],
    )
    return pc.if_else(column.is_valid(), joined, pa.scalar(None, pa.large_binary()))
