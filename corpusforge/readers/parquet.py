"""Parquet to rows: whole row groups, each owned by the byte range that it starts in.

Rows are addressed by the number of their row group and their number in it. Strings come as
dictionaries of Arrow, so a value that is stored once and used a million times is held once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpusforge.readers import tables
from corpusforge.readers.batch import Row
from corpusforge.readers.inflate import over_ratio, ratio_reason
from corpusforge.spec import Fields, Limits

_BUFFER = 1 << 20  # bytes read of a column at once
_ROWS = 1024  # most rows decoded at once


def rows(
    file: IO[bytes],
    start: int,
    end: int,
    size: int,
    fields: Fields,
    limits: Limits,
    batch_bytes: int,
) -> Iterator[Row]:
    """Yield one row a row of the row groups that start in [start, end) of ``size`` bytes.

    A file whose footer cannot be read is one failed row of the range that begins at 0; a row group
    that breaks off is one failed row in place of the rows that are lost.
    """
    try:
        table, starts = _open(file, size)
    except tables.DAMAGE as error:
        tables.reraise_io(error)
        if start == 0:
            yield tables.failed((0, 0), _why(file, size))
        return
    for number, position in enumerate(starts):
        if start <= position < end:
            yield from _group(table, number, size, fields, limits, batch_bytes)


def _open(file: IO[bytes], size: int) -> tuple[pq.ParquetFile, list[int]]:
    """Return the file and where its row groups start, never going back and inside the file."""
    source = pa.PythonFile(file, mode="r")
    metadata = pq.read_metadata(source)
    schema = metadata.schema
    strings = [
        column.path
        for column in (schema.column(at) for at in range(len(schema)))
        if column.physical_type == "BYTE_ARRAY" and column.max_repetition_level == 0
    ]
    starts, last = [], 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if group.num_columns:
            last = max(last, min(_start(group.column(0)), size - 1))
        starts.append(last)
    file.seek(0)
    table = pq.ParquetFile(
        source,
        metadata=metadata,
        read_dictionary=strings,
        buffer_size=_BUFFER,
        pre_buffer=False,
        page_checksum_verification=True,
    )
    return table, starts


def _start(column: Any) -> int:
    first = column.dictionary_page_offset if column.has_dictionary_page else None
    return int(column.data_page_offset if first is None else first)


def _why(file: IO[bytes], size: int) -> str:
    file.seek(max(0, size - 4))
    if file.read(4) == b"PAR1":
        return "the footer of the Parquet file is damaged"
    return "the Parquet file is cut: it does not end with its footer"


def _group(
    table: pq.ParquetFile,
    number: int,
    size: int,
    fields: Fields,
    limits: Limits,
    batch_bytes: int,
) -> Iterator[Row]:
    group = table.metadata.row_group(number)
    columns = [group.column(at) for at in range(group.num_columns)]
    packed = min(size, sum(max(0, column.total_compressed_size) for column in columns))
    inflated = sum(max(0, column.total_uncompressed_size) for column in columns)
    ratio, where, row = limits.inflate_ratio, f"row group {number}", 0
    try:
        if over_ratio(inflated, packed, ratio):
            raise tables.OverRatio(inflated)
        average = inflated // max(1, group.num_rows)
        at_once = max(1, min(_ROWS, batch_bytes // max(1, average)))
        given = 0
        for batch in table.iter_batches(at_once, row_groups=[number], use_threads=False):
            place = (number, row)
            for each in tables.rows(batch, where, place, fields, limits.line_bytes, trusted=True):
                given += tables.row_bytes(each)
                if over_ratio(given, packed, ratio):
                    raise tables.OverRatio(given)
                yield each
                row += 1
    except tables.OverRatio as error:
        reason = ratio_reason(error.args[0], packed, ratio)
        detail = f"{where}, from row {row} on: inflates to more than {ratio} times its bytes"
        yield tables.failed((number, row), detail, reason)
        return
    except tables.DAMAGE as error:
        tables.reraise_io(error)
        lost = f"{where}, from row {row} on: damaged, {group.num_rows - row} rows are lost"
        yield tables.failed((number, row), lost)
        return
    if row != group.num_rows:
        detail = f"{where} holds {row} rows, its footer says {group.num_rows}"
        yield tables.failed((number, row), detail)
