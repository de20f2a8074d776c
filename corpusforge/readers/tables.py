"""Record batches to rows: what Parquet and Arrow files share.

Strings are read as bytes and decoded row by row, so one bad string fails one row. A row takes no
more than a limit of bytes, however much a dictionary or a nested list makes of a few bytes.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from corpusforge.readers.batch import Reason, Row
from corpusforge.readers.fields import FieldError, document
from corpusforge.spec import Fields

DAMAGE = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError, UnicodeError)
_CELL = 8  # bytes that an element of a list or struct counts
_BINARY = {
    pa.string(): pa.binary(),
    pa.large_string(): pa.large_binary(),
    pa.string_view(): pa.binary_view(),
}


class _TooLong(Exception):
    """A row takes more than the limit; ``args[0]`` is how much was counted."""


class _Room:
    """Counts the bytes of one row."""

    def __init__(self, limit: int) -> None:
        self.taken, self._limit = 0, limit

    def take(self, size: int) -> None:
        self.taken += size
        if self.taken > self._limit:
            raise _TooLong(self.taken)


class OverRatio(Exception):
    """Few bytes of a table make too many; ``args[0]`` says how many."""


def reraise_io(error: BaseException) -> None:
    """Let an error of the file system pass; what Arrow says about bytes carries no errno."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error


def rows(
    batch: pa.RecordBatch,
    where: str,
    place: tuple[int, int],
    fields: Fields,
    limit: int,
    *,
    trusted: bool,
) -> Iterator[Row]:
    """Yield one row a row of ``batch``, the first at ``place`` (offset, ordinal).

    ``where`` ("row group 3") goes before the number of a row in messages. ``limit`` is the most
    bytes of a row. ``trusted`` says that a decoder made the batch; else its buffers are checked.
    """
    offset, first = place
    names = batch.schema.names
    columns = [_column(batch, index, trusted) for index in range(len(names))]
    damaged = next((n for n, column in zip(names, columns, strict=True) if column is None), None)
    for index in range(batch.num_rows):
        row = Row(offset, first + index)
        room = _Room(limit)
        try:
            if damaged is not None:
                raise FieldError(f"column '{damaged}' is damaged")
            record = {
                name: value
                for name, column in zip(names, columns, strict=True)
                if (value := _cell(column, index, name, room)) is not None
            }
            row = document(record, row, fields)
        except _TooLong as error:
            reason = Reason("limit:line_bytes", "line_bytes", error.args[0], "<=", limit)
            detail = f"{where}, row {first + index} is longer than {limit} bytes"
            row = row._replace(outcome="failed", reason=reason, detail=detail)
        except FieldError as error:
            detail = f"{where}, row {first + index}: {error}"
            row = row._replace(outcome="failed", detail=detail)
        yield row


def failed(place: tuple[int, int], detail: str, reason: Reason | None = None) -> Row:
    """Return the one row of something that cannot be read."""
    return Row(*place, outcome="failed", reason=reason, detail=detail)


def row_bytes(row: Row) -> int:
    """Bytes of what a row carries on; never 0, since a billion empty rows are a bomb too."""
    return _CELL + sum(len(part) for part in (row.text, row.html, row.meta) if part)


_Column = tuple[pa.Array, bool]  # values, and whether bytes in them are text


def _column(batch: pa.RecordBatch, index: int, trusted: bool) -> _Column | None:
    """Return a column whose strings are bytes and whose times are strings; None if damaged."""
    array = batch.column(index)
    is_text = False
    try:
        if pa.types.is_dictionary(array.type) and array.type.value_type in _BINARY:
            is_text = True
            values = array.dictionary.view(_BINARY[array.type.value_type])
            array = pa.DictionaryArray.from_arrays(array.indices, values)
        elif array.type in _BINARY:
            is_text, array = True, array.view(_BINARY[array.type])
        if not trusted:
            array.validate(full=True)
        if pa.types.is_temporal(array.type) and not pa.types.is_duration(array.type):
            array = array.cast(pa.string())
    except DAMAGE:
        return None
    return array, is_text


def _cell(column: _Column | None, index: int, name: str, room: _Room) -> Any:
    assert column is not None
    array, is_text = column
    try:
        return _value(array[index], is_text, name, room)
    except RecursionError:
        raise FieldError(f"field '{name}' is nested too deeply") from None
    except DAMAGE as error:
        if isinstance(error, FieldError):
            raise
        raise FieldError(f"field '{name}' cannot be read") from None


def _value(scalar: pa.Scalar, is_text: bool, name: str, room: _Room) -> Any:
    """Return a JSON value; None for null, NaN and infinity, which JSON does not have.

    Bytes are their UTF-8, else base64; times and decimals are strings.
    """
    if not scalar.is_valid:
        return None
    kind = scalar.type
    if isinstance(scalar, pa.BinaryScalar):
        return _string(scalar.as_buffer(), is_text or kind in _BINARY, name, room)
    if isinstance(scalar, pa.ListScalar | pa.FixedSizeListScalar):
        return _list(scalar, name, room)
    if isinstance(scalar, pa.StructScalar):
        room.take(_CELL * kind.num_fields)
        return {
            kind.field(at).name: _value(scalar[at], False, name, room)
            for at in range(kind.num_fields)
        }
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return scalar.as_py()
    if pa.types.is_floating(kind):
        number = float(scalar.as_py())
        return number if math.isfinite(number) else None
    inner = getattr(scalar, "value", None)
    if isinstance(inner, pa.Scalar):  # dictionary, run-end encoded, union, extension
        return _value(inner, is_text, name, room)
    if pa.types.is_duration(kind):
        return scalar.value
    return str(scalar.cast(pa.string()).as_py())


def _list(scalar: pa.Scalar, name: str, room: _Room) -> list[Any]:
    values = scalar.values
    room.take(_CELL * len(values))
    return [_value(value, False, name, room) for value in values]


def _string(data: pa.Buffer, is_text: bool, name: str, room: _Room) -> str:
    room.take(data.size)
    held: bytes = data.to_pybytes()
    try:
        return held.decode()
    except UnicodeDecodeError as error:
        if is_text:
            raise FieldError(f"field '{name}' is not UTF-8 at byte {error.start}") from None
        return base64.b64encode(held).decode()
