"""How many bytes the compressed buffers of an Arrow IPC message say they inflate to.

Read from the flatbuffer itself, since pyarrow tells only after it has decompressed them.
Layout: https://arrow.apache.org/docs/format/Columnar.html, Message.fbs; flatbuffers: a table
starts with the distance back to its vtable, whose entries are the distances of the fields.
"""

from __future__ import annotations

import struct

_HEADER_TYPE, _HEADER = 1, 2  # fields of Message
_DICTIONARY_DATA = 1  # field of DictionaryBatch: a RecordBatch
_BUFFERS, _COMPRESSION = 2, 3  # fields of RecordBatch
_DICTIONARY, _BATCH = 2, 3  # values of the header's type
_STEP = struct.Struct("<qq")  # Buffer: offset, length


def inflated(metadata: bytes, body: memoryview) -> int:
    """Return the bytes of the buffers of a message once inflated; those of the body if plain.

    Raises ValueError where the metadata points outside of itself.
    """
    try:
        return _inflated(metadata, body)
    except (struct.error, IndexError):
        raise ValueError("the message points outside of itself") from None


def _inflated(metadata: bytes, body: memoryview) -> int:
    message = _u32(metadata, 0)
    kind_at = _field(metadata, message, _HEADER_TYPE)
    kind = metadata[kind_at] if kind_at else 0
    batch = _table(metadata, message, _HEADER) if kind in (_DICTIONARY, _BATCH) else 0
    if batch and kind == _DICTIONARY:
        batch = _table(metadata, batch, _DICTIONARY_DATA)
    if not batch or not _field(metadata, batch, _COMPRESSION):
        return len(body)
    total = 0
    vector = _table(metadata, batch, _BUFFERS)
    for index in range(_u32(metadata, vector) if vector else 0):
        start, length = _STEP.unpack_from(metadata, vector + 4 + index * _STEP.size)
        if length >= 8:
            stated = int.from_bytes(body[start : start + 8], "little", signed=True)
            total += length if stated < 0 else stated  # -1: left as it is
    return total


def _u32(data: bytes, at: int) -> int:
    return int(struct.unpack_from("<I", data, at)[0])


def _field(data: bytes, table: int, number: int) -> int:
    """Return where a field of a table lies, 0 if it is not given."""
    vtable = table - int(struct.unpack_from("<i", data, table)[0])
    if vtable < 0 or 4 + 2 * number >= struct.unpack_from("<H", data, vtable)[0]:
        return 0
    step = int(struct.unpack_from("<H", data, vtable + 4 + 2 * number)[0])
    return table + step if step else 0


def _table(data: bytes, table: int, number: int) -> int:
    at = _field(data, table, number)
    return at + _u32(data, at) if at else 0
