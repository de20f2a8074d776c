"""WARC records of a file or a byte range of it, each found once, the broken ones too.

Memory stays bounded: a record's block is held up to a limit, the rest of it is inflated and
forgotten. After a corrupt member reading goes on at the next one that begins with ``WARC/``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from corpusforge.readers.batch import Reason
from corpusforge.readers.inflate import CUT, RatioError, StreamError
from corpusforge.readers.members import Members
from corpusforge.readers.source import Source

HEAD_BYTES = 1 << 18  # a WARC or HTTP header block longer than this is not one
BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_VERSION = re.compile(rb"WARC/\d+\.\d+\s*(?:\n|\Z)")
_PLAIN_START = b"\nWARC/1."


@dataclass
class Record:
    """One WARC record: where it lies, its header, its block as far as the limit."""

    offset: int  # of the member, in the file; of the record where nothing is compressed
    ordinal: int  # of the record in the member
    headers: dict[str, str] = field(default_factory=dict)  # names in lower case
    block: bytes = b""
    length: int = 0  # bytes of the whole block
    problem: str | None = None  # why the record cannot be trusted
    reason: Reason | None = None  # the limit that it is over


class Inflated:
    """Buffered reads over the chunks of one member."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._data, self._at = chunks, b"", 0
        self.consumed = 0  # bytes taken so far

    def _more(self) -> bool:
        chunk = next(self._chunks, b"")
        self._data, self._at = self._data[self._at :] + chunk, 0
        return bool(chunk)

    def peek(self, size: int) -> bytes:
        """Return the next ``size`` bytes, fewer only at the end."""
        while len(self._data) - self._at < size and self._more():
            pass
        return self._data[self._at : self._at + size]

    def gap(self) -> bool:
        """Step over line ends; whether anything follows. Reads on to the end of the member."""
        while True:
            at, data = self._at, self._data
            while at < len(data) and data[at] in b"\r\n":
                at += 1
            self.consumed += at - self._at
            self._at = at
            if at < len(data):
                return True
            if not self._more():
                return False

    def head(self) -> bytes | None:
        """Return a header block with its blank line; None if there is none in HEAD_BYTES."""
        searched = self._at
        while True:
            found = BLANK_LINE.search(self._data, searched)
            if found:
                head = self._data[self._at : found.end()]
                self._at = found.end()
                self.consumed += len(head)
                return head
            held = len(self._data) - self._at
            if held > HEAD_BYTES or not self._more():
                return None
            searched = max(0, held - 3)

    def begun(self) -> dict[str, str]:
        """Return the fields of a header block that breaks off, as far as its lines are whole."""
        data = self._data[self._at :]
        return fields(data[: data.rfind(b"\n") + 1]) if data.startswith(b"WARC/") else {}

    def take(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer only at the end."""
        parts, left = list[bytes](), size
        while left:
            part = self._data[self._at : self._at + left]
            self._at += len(part)
            left -= len(part)
            parts.append(part)
            if left and not self._more():
                break
        self.consumed += size - left
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def skip(self, size: int) -> int:
        """Forget ``size`` bytes; return how many there were."""
        left = size
        while left:
            step = min(left, len(self._data) - self._at)
            self._at += step
            left -= step
            if left and not self._more():
                break
        self.consumed += size - left
        return size - left

    def drain(self) -> None:
        """Forget the rest of the member, which tests its checksum."""
        self._data, self._at = b"", 0
        for _ in self._chunks:
            pass


def fields(head: bytes) -> dict[str, str]:
    """Parse header lines after the first: names in lower case, folded lines joined.

    The first of several fields of one name counts.
    """
    found: dict[str, str] = {}
    name = ""
    for line in head.decode("utf-8", "replace").split("\n")[1:]:
        if line[:1] in (" ", "\t") and name:
            found[name] = f"{found[name]} {line.strip()}".strip()
            continue
        key, colon, value = line.partition(":")
        name = key.strip().lower() if colon else ""
        if name in found:
            name = ""
        elif name:
            found[name] = value.strip()
    return found


def _fill(record: Record, stream: Inflated, limit: int) -> None:
    """Read one record; ``problem`` says why it cannot be used. Raises StreamError."""
    head = stream.head()
    if head is None or not _VERSION.match(head):
        record.problem = "this is no WARC record"
        return
    record.headers = fields(head)
    length = record.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit() and len(length) < 19):
        record.problem = "the WARC header has no valid Content-Length"
        return
    record.length = int(length)
    record.block = stream.take(min(record.length, limit))
    there = len(record.block) + stream.skip(record.length - len(record.block))
    if there < record.length:
        record.problem = CUT
        return
    ended = stream.peek(4).startswith((b"\r\n\r\n", b"\n\n"))
    if stream.gap() and not ended and stream.peek(5) != b"WARC/":
        record.problem = "Content-Length is wrong: the record does not end there"


def compressed(members: Members, start: int, end: int, limit: int) -> Iterator[Record]:
    """Yield the records of the members that start in [start, end), both being anchors.

    A region that is no member, or a corrupt one, is one record with its ``problem``.
    """
    source = members.source
    source.seek(max(start, members.first))
    members.skip_padding()
    while source.position < end:
        offset = source.position
        record = Record(offset, 0)
        stream = Inflated(members.inflate())
        due = True  # whether ``record`` is begun and not yet handed out
        try:
            due = stream.gap()
            while due:
                _fill(record, stream, limit)
                if record.problem:
                    stream.drain()
                yield record
                record = Record(offset, record.ordinal + 1)
                due = bool(stream.peek(1))
            members.skip_padding()
        except StreamError as error:
            if due:
                record.problem = record.problem or str(error)
                record.reason = error.reason if isinstance(error, RatioError) else None
                record.headers = record.headers or stream.begun()
                yield record
            members.find(offset + 1)


class _Plain(Inflated):
    """Buffered reads over a file as it is, which can be passed over without reading it."""

    def __init__(self, source: Source, size: int) -> None:
        super().__init__(iter(source.read, b""))
        self._source, self._size = source, size

    def skip(self, size: int) -> int:
        """Forget ``size`` bytes; return how many there were."""
        at = self._source.position - len(self._data) + self._at
        there = max(0, min(size, self._size - at))
        self._source.seek(at + there)
        self._data, self._at = b"", 0
        self.consumed += there
        return there


def plain(source: Source, start: int, end: int, size: int, limit: int) -> Iterator[Record]:
    """Yield the records of an uncompressed file that start in [start, end).

    A payload can hold what looks like records, so only the lengths from the first record on tell
    where they are: those before ``start`` are passed over by their headers.
    """
    source.seek(0)
    while source.position < size:
        before = source.position
        stream = _Plain(source, size)
        if not stream.gap():
            return
        record = Record(before + stream.consumed, 0)
        if record.offset >= end:
            return
        mine = record.offset >= start
        _fill(record, stream, limit if mine else 0)
        if mine:
            yield record
        if record.problem:
            source.seek(record.offset + 1)
            if source.find(_PLAIN_START):
                source.seek(source.position + 1)
        else:
            source.seek(before + stream.consumed)
