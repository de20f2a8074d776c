"""Readers: bytes of input files to RECORD batches. A bad record is a failed row, never a crash.

``units`` makes the plan of input arguments; ``read`` takes a piece of it to document batches, one
row an input record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO

import pyarrow as pa

from corpusforge import spec
from corpusforge.plan import Piece, Unit, find_inputs, make_units
from corpusforge.readers import arrow, jsonl, parquet, text, warc
from corpusforge.readers.batch import Row, Rows
from corpusforge.readers.formats import READABLE, sniff
from corpusforge.readers.members import reaches
from corpusforge.readers.source import Source, open_file

__all__ = ["READABLE", "read", "sniff", "units"]


def units(arguments: Sequence[str], plan: spec.Plan) -> list[Unit]:
    """Find and sniff the files of ``arguments``, and cut them into units.

    A packed WARC whose first member is longer than a unit holds many records a member: to look for
    cuts in it would be in vain, so it is one unit. Raises InputError and UsageError.
    """
    files = find_inputs(arguments, READABLE)
    kinds = [sniff(file.path) for file in files]
    whole = [
        file.source
        for file, kind in zip(files, kinds, strict=True)
        if kind in (("warc", "gzip"), ("warc", "zstd")) and file.size > plan.unit_bytes
        if reaches(file.path, kind[1], plan.unit_bytes)
    ]
    return make_units(files, kinds, plan, whole)


def read(piece: Piece, read: spec.Read, batch_bytes: int) -> Iterator[pa.RecordBatch]:
    """Yield the records of ``piece`` as schema.RECORD batches of about ``batch_bytes``.

    Rows come in order of (offset, ordinal), and are the same however a file is cut into pieces.
    Dropped and failed rows have no text and no html. Raises InputError if the file cannot be
    opened.
    """
    with open_file(piece.path) as file:
        batch = Rows(piece.source, batch_bytes)
        for row in _rows(piece, read, file, batch_bytes):
            if batch.add(row):
                yield batch.cut()
        if batch:
            yield batch.cut()


def _rows(piece: Piece, read: spec.Read, file: IO[bytes], batch_bytes: int) -> Iterator[Row]:
    source = Source(file)
    limits, fields, packing = read.limits, read.fields, piece.compression
    span = piece.start, piece.end
    match piece.format:
        case "warc":
            return warc.rows(source, packing, *span, piece.size, limits)
        case "jsonl":
            return jsonl.rows(source, packing, *span, fields, limits.line_bytes)
        case "parquet":
            return parquet.rows(file, *span, piece.size, fields, limits, batch_bytes)
        case "arrow":
            return arrow.rows(piece.path, source, packing, fields, limits)
        case "text":
            return text.rows(source, packing, limits.line_bytes)
    raise ValueError(f"no reader for the format {piece.format!r}")
