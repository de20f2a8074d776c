"""JSON lines to rows: one JSON object a line, plain or compressed, or a byte range of a plain file.

What a field means is said in ``fields``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, NoReturn

from corpusforge.readers.batch import Reason, Row
from corpusforge.readers.fields import TYPES, FieldError, document
from corpusforge.readers.inflate import CUT, FILE_CUT, StreamError, whole_file
from corpusforge.readers.source import BLOCK, Source
from corpusforge.spec import Fields

_COUNTED = 1 << 32  # plain files: beyond this byte, counting the lines before costs too much


class Line(NamedTuple):
    """``data`` is None where the line is longer than the limit."""

    offset: int
    number: int  # from 0, counted from where reading began
    data: bytes | None
    length: int


def rows(
    source: Source, compression: str, start: int, end: int, fields: Fields, limit: int
) -> Iterator[Row]:
    """Yield one row a line of those that start in [start, end); blank lines are no records.

    Offsets are those of the line's first byte, in the decompressed stream. A byte range needs
    ``compression`` "none"; compressed files are read as a whole by the range that begins at 0.
    ``limit`` is the most bytes of a line; a longer one is a failed row and is not held in memory.
    """
    if compression != "none" and start:
        return
    number = _Numbers(source, compression == "none", start)
    source.seek(max(0, start - 1))
    found = lines(whole_file(compression, source.read), source.position, limit)
    if start:  # the end of the line before, of no bytes where a line starts at ``start``
        next(found, None)
    try:
        for line in found:
            if compression == "none" and line.offset >= end:
                return
            if line.data is None:
                yield _over(line, number, limit)
            elif line.data.strip():
                try:
                    yield parse(line.data, line.offset, fields)
                except FieldError as error:
                    yield _failed(line.offset, f"{number(line)}: {error}")
    except _LineStreamError as error:
        yield _failed(error.line.offset, f"{number(error.line)}: {error}")


def _failed(offset: int, detail: str, reason: Reason | None = None) -> Row:
    return Row(offset, outcome="failed", reason=reason, detail=detail)


def _over(line: Line, number: _Numbers, limit: int) -> Row:
    reason = Reason("limit:line_bytes", "line_bytes", line.length, "<=", limit)
    return _failed(line.offset, f"{number(line)} is longer than {limit} bytes", reason)


class _LineStreamError(StreamError):
    def __init__(self, text: str, line: Line) -> None:
        super().__init__(text)
        self.line = line


def lines(chunks: Iterable[bytes], offset: int, limit: int) -> Iterator[Line]:
    """Cut ``chunks`` into lines without their ends; ``offset`` is that of the first byte.

    Holds no more than ``limit`` bytes and a chunk. Raises _LineStreamError at the line in which the
    stream breaks.
    """
    number, held, size = 0, list[bytes](), 0
    try:
        for chunk in chunks:
            first, *others = chunk.split(b"\n")
            for index, part in enumerate((first, *others)):
                size += len(part)
                if size <= limit:
                    held.append(part)
                else:
                    held.clear()
                if index < len(others):
                    yield Line(offset, number, b"".join(held) if size <= limit else None, size)
                    offset += size + 1
                    number += 1
                    held, size = [], 0
    except StreamError as error:
        text = FILE_CUT if str(error) == CUT else str(error)
        raise _LineStreamError(text, Line(offset, number, None, size)) from None
    if size:
        yield Line(offset, number, b"".join(held) if size <= limit else None, size)


class _Numbers:
    """Names a line by its number in the file; counts what lies before a byte range when asked."""

    def __init__(self, source: Source, plain: bool, start: int) -> None:
        self._source, self._plain, self._start = source, plain, start
        self._before: int | None = None if start else 0

    def __call__(self, line: Line) -> str:
        if self._plain and line.offset >= _COUNTED:
            return f"the line at byte {line.offset}"
        if self._before is None:
            here = self._source.position
            self._before = _count_lines(self._source, self._start - 1)
            self._source.seek(here)
        return f"line {self._before + line.number + 1}"


def _count_lines(source: Source, end: int) -> int:
    source.seek(0)
    count = 0
    while source.position < end:
        count += source.read(min(BLOCK, end - source.position)).count(b"\n")
    return count


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def parse(line: bytes, offset: int, fields: Fields) -> Row:
    """Turn one line into its row; raises FieldError, whose text is the same for every parser."""
    return document(_object(line, offset), Row(offset), fields)


def _object(line: bytes, offset: int) -> dict[str, Any]:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise FieldError(f"not UTF-8 at byte {error.start} of the line") from None
    try:
        record = _DECODER.decode(text.removeprefix("\ufeff") if offset == 0 else text)
    except ValueError:
        raise FieldError("not JSON") from None
    except RecursionError:
        raise FieldError("JSON nested too deeply") from None
    if not isinstance(record, dict):
        raise FieldError(f"{TYPES.get(type(record), 'a number or null')}, not a JSON object")
    return record
