"""Members of a WARC file: gzip members or zstd frames that each begin with a WARC record.

Any file can be cut at any byte: ``anchor`` moves a cut to a member start by looking at the file
alone, so the pieces on both sides agree without a word between them. A scan for the next gzip
magic would not do: the payload of a record can itself be a .warc.gz, and deflate stores what it
cannot compress, byte for byte; so does zstd. But a stored block holds 65,535 bytes at most (RFC
1951, 3.2.4; zstd 131,072, RFC 8878, 3.1.1.2.3) and the header of the next one breaks whatever lies
in it. So a start is trusted once whole members, back to back, reach further than that.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from corpusforge.readers.inflate import Inflater, StreamError, chunks, inflater
from corpusforge.readers.source import Source, open_file

_STORED_BLOCK = {"gzip": 65535, "zstd": 131072}  # bytes
_MAGIC = {"gzip": b"\x1f\x8b\x08", "zstd": b"\x28\xb5\x2f\xfd"}
_DICTIONARY = struct.Struct("<II")  # skippable frame: magic, bytes of the frame
_DICTIONARY_MAGIC = 0x184D2A5D  # as the .warc.zst proposal of the IIPC says


class Members:
    """The members of one compressed WARC file, by position."""

    def __init__(self, source: Source, compression: str, size: int, ratio: int) -> None:
        self.source, self.size, self._ratio = source, size, ratio
        self._compression, self._magic = compression, _MAGIC[compression]
        self._dictionary, self.first = (
            _zstd_dictionary(source) if compression == "zstd" else (None, 0)
        )

    def _stream(self) -> Inflater:
        return inflater(self._compression, self._dictionary)

    def inflate(self) -> Iterator[bytes]:
        """Yield the bytes of the member at the position; afterwards stand behind it.

        Raises StreamError at corrupt or missing bytes, RatioError at a bomb.
        """
        stream = self._stream()
        # A little first: an error loses what was inflated with it, and the header names the page.
        first = self.source.read(1024)
        stream.feed(first)
        yield from chunks(stream, self.source.read, self._ratio, len(first))
        self.source.seek(self.source.position - len(stream.rest))

    def opens(self) -> bool:
        """Whether a member that begins with ``WARC/`` stands at the position, which stays."""
        start = self.source.position
        head = b""
        if self.source.peek(len(self._magic)) == self._magic:
            try:
                for chunk in chunks(self._stream(), lambda: self.source.read(512)):
                    head += chunk
                    if len(head) >= 5:
                        break
            except StreamError:
                head = b""
            self.source.seek(start)
        return head.startswith(b"WARC/")

    def find(self, position: int) -> int:
        """Go to the first member at or past ``position`` that opens; return where, or ``size``."""
        self.source.seek(position)
        while self.source.find(self._magic):
            if self.opens():
                return self.source.position
            self.source.seek(self.source.position + 1)
        return self.size

    def skip_padding(self) -> None:
        """Step over zero bytes, which some writers put behind a member."""
        while (head := self.source.peek(512)) and not head[0]:
            self.source.seek(self.source.position + len(head) - len(head.lstrip(b"\0")))

    def anchor(self, position: int) -> int:
        """Return the first trusted member start at or past ``position``, else ``size``.

        A pure function of the file: it does not depend on where the other cuts are.
        """
        if position <= self.first:
            return 0
        while position < self.size:
            start = self.find(position)
            broken = self._chain(start)
            if broken is None:
                return start
            position = broken + 1
        return self.size

    def _chain(self, start: int) -> int | None:
        """Follow the members from ``start``; None if they hold, else the start of the bad one."""
        position = start
        self.source.seek(start)
        while position - start <= _STORED_BLOCK[self._compression] and position < self.size:
            if not self.opens():
                return position
            try:
                for _ in self.inflate():
                    pass
            except StreamError:
                return position
            position = self.source.position
        return None


def reaches(path: str, compression: str, size: int) -> bool:
    """Whether the first member of a file is longer than ``size`` compressed bytes."""
    with open_file(path) as file:
        source = Source(file)
        dictionary, first = _zstd_dictionary(source) if compression == "zstd" else (None, 0)
        source.seek(first)
        stream = inflater(compression, dictionary)
        try:
            for _ in chunks(stream, source.read):
                if source.position - stream.held - first > size:
                    return True
        except StreamError:
            return False
        return source.position - len(stream.rest) - first > size


def _zstd_dictionary(source: Source) -> tuple[bytes | None, int]:
    """Return the dictionary that a .warc.zst may start with, and where its members begin."""
    source.seek(0)
    head = source.peek(_DICTIONARY.size)
    if len(head) < _DICTIONARY.size:
        return None, 0
    magic, length = _DICTIONARY.unpack(head)
    if magic != _DICTIONARY_MAGIC or length > 1 << 26:
        return None, 0
    source.seek(_DICTIONARY.size)
    words = b"".join(iter(lambda: source.read(_DICTIONARY.size + length - source.position), b""))
    if words.startswith(_MAGIC["zstd"]):
        stream = inflater("zstd")
        stream.feed(words)
        try:
            words = b"".join(chunks(stream, lambda: b""))
        except StreamError:
            return None, 0  # the members will say what is wrong
    return words, _DICTIONARY.size + length
