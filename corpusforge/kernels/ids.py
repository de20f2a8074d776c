"""Document ids: a digest of where a record lies, so that they depend on the input alone."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import pyarrow as pa
import xxhash

_PLACE = struct.Struct("<qi")


def document_id(source: str, offset: int, ordinal: int) -> bytes:
    """Return the 16-byte id of a record: xxh3-128, big-endian, of its place.

    Hashed are ``source`` as UTF-8, a zero byte, ``offset`` as int64 and ``ordinal`` as int32,
    both little-endian.
    """
    return xxhash.xxh3_128_digest(source.encode() + b"\0" + _PLACE.pack(offset, ordinal))


def document_ids(source: str, offsets: Iterable[int], ordinals: Iterable[int]) -> pa.Array:
    """Return ``document_id`` of each record of one source as fixed_size_binary(16)."""
    prefix = source.encode() + b"\0"
    digests = [
        xxhash.xxh3_128_digest(prefix + _PLACE.pack(offset, ordinal))
        for offset, ordinal in zip(offsets, ordinals, strict=True)
    ]
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(digests), [None, pa.py_buffer(b"".join(digests))]
    )
