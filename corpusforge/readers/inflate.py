"""Decompression with a bounded output a step, one interface over six codecs.

No codec here ever returns more than it is asked for by an unbounded factor: a small input that
inflates to gigabytes is met as a stream of small chunks, which the caller counts.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import brotli
import zstandard

from corpusforge.readers.batch import Reason

CHUNK = 1 << 18  # bytes of output asked for in one step
CUT = "the file ends inside this record"
FILE_CUT = "the file ends inside its compressed data"
_EXEMPT = 1 << 20  # bytes that any record may inflate to, whatever the ratio
_XZ_MEMORY = 1 << 28  # bytes; the largest preset of xz needs 65 MiB
_ZSTD_WINDOW = 1 << 27  # bytes; as the zstd command allows by default
_ZSTD_STEP = 1 << 10  # bytes of input a step: a 4-byte block can stand for 128 KiB


class StreamError(ValueError):
    """A compressed stream is corrupt or cut; the text is fixed, so that ledgers stay equal."""


class RatioError(StreamError):
    """A stream inflates to more than the ratio allows; ``reason`` says by how much."""

    def __init__(self, size: int, fed: int, ratio: int) -> None:
        super().__init__(f"inflates to more than {ratio} times its bytes")
        self.reason = ratio_reason(size, fed, ratio)


def over_ratio(size: int, fed: int, ratio: int) -> bool:
    """Whether ``size`` bytes out of ``fed`` bytes are a bomb: over the ratio and over 1 MiB."""
    return size > _EXEMPT and size > ratio * fed


def ratio_reason(size: int, fed: int, ratio: int) -> Reason:
    """Return the reason of what ``over_ratio`` is true of."""
    value = round(size / max(1, fed), 1)
    return Reason("limit:inflate_ratio", "inflate_ratio", value, "<=", ratio)


class Inflater(Protocol):
    """One compressed stream (gzip member, zstd frame, ...) that is fed and read in turn."""

    @property
    def eof(self) -> bool:
        """Whether the stream came to its end and its checksum holds."""

    @property
    def rest(self) -> bytes:
        """After ``eof``: what was fed and does not belong to the stream."""

    @property
    def held(self) -> int:
        """Bytes that were fed and not used yet."""

    def feed(self, data: bytes) -> None:
        """Hand over the next compressed bytes."""

    def read(self, size: int) -> bytes:
        """Return about ``size`` bytes at most; b"" if it needs more, or is at its ``eof``.

        Raises StreamError.
        """


class _Zlib:
    """gzip member, zlib stream or raw deflate, by ``wbits``."""

    def __init__(self, wbits: int, name: str) -> None:
        self._inner, self._fed, self._name = zlib.decompressobj(wbits), b"", name

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def held(self) -> int:
        return len(self._fed) + len(self._inner.unused_data)

    @property
    def rest(self) -> bytes:
        return self._inner.unused_data

    def feed(self, data: bytes) -> None:
        self._fed = self._fed + data if self._fed else data

    def read(self, size: int) -> bytes:
        if self._inner.eof:
            return b""
        try:
            out = self._inner.decompress(self._fed, size)
        except zlib.error:
            raise StreamError(f"corrupt {self._name} data") from None
        self._fed = self._inner.unconsumed_tail
        return out


class _Buffered:
    """bz2 or xz stream: these decompressors keep unread input themselves."""

    held = 0  # they do not tell

    def __init__(self, inner: bz2.BZ2Decompressor | lzma.LZMADecompressor, name: str) -> None:
        self._inner, self._fed, self._name = inner, b"", name

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def rest(self) -> bytes:
        return self._inner.unused_data

    def feed(self, data: bytes) -> None:
        self._fed += data

    def read(self, size: int) -> bytes:
        if self._inner.eof:
            return b""
        fed, self._fed = self._fed, b""
        try:
            return self._inner.decompress(fed, size)
        except (OSError, lzma.LZMAError):
            raise StreamError(f"corrupt {self._name} data") from None


class _Zstd:
    """zstd frame. The binding has no output bound, so the input goes in by small steps."""

    def __init__(self, dictionary: bytes | None) -> None:
        words = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
        self._inner = zstandard.ZstdDecompressor(words, _ZSTD_WINDOW).decompressobj()
        self._fed, self._at = b"", 0

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def held(self) -> int:
        return len(self._fed) - self._at + len(self._inner.unused_data)

    @property
    def rest(self) -> bytes:
        return self._inner.unused_data + self._fed[self._at :]

    def feed(self, data: bytes) -> None:
        self._fed, self._at = self._fed[self._at :] + data, 0

    def read(self, size: int) -> bytes:
        while self._at < len(self._fed) and not self._inner.eof:
            step = self._fed[self._at : self._at + _ZSTD_STEP]
            self._at += len(step)
            try:
                out = self._inner.decompress(step)
            except zstandard.ZstdError:
                raise StreamError("corrupt zstd data") from None
            if out:
                return out
        return b""


class _Brotli:
    """brotli stream, known from HTTP only."""

    rest = b""
    held = 0  # it does not tell

    def __init__(self) -> None:
        self._inner, self._fed = brotli.Decompressor(), b""

    @property
    def eof(self) -> bool:
        return bool(self._inner.is_finished())

    def feed(self, data: bytes) -> None:
        self._fed += data

    def read(self, size: int) -> bytes:
        if self._inner.is_finished():
            return b""
        fed = b""
        if self._inner.can_accept_more_data():
            fed, self._fed = self._fed, b""
        try:
            return bytes(self._inner.process(fed, output_buffer_limit=size))
        except brotli.error:
            raise StreamError("corrupt br data") from None


def inflater(name: str, dictionary: bytes | None = None) -> Inflater:
    """Return a fresh stream of ``gzip``, ``zlib``, ``deflate`` (raw), ``bz2``, ``xz``, ``zstd``
    or ``br``; ``dictionary`` is for zstd only.
    """
    match name:
        case "gzip":
            return _Zlib(31, name)
        case "zlib":
            return _Zlib(15, name)
        case "deflate":
            return _Zlib(-15, name)
        case "bz2":
            return _Buffered(bz2.BZ2Decompressor(), name)
        case "xz":
            return _Buffered(lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY), name)
        case "zstd":
            return _Zstd(dictionary)
        case "br":
            return _Brotli()
    raise ValueError(f"no codec is called {name!r}")


def chunks(
    stream: Inflater,
    block: Callable[[], bytes],
    ratio: int | None = None,
    fed: int = 0,
) -> Iterator[bytes]:
    """Yield the inflated bytes of one stream, fed by ``block()`` until b"". Raises StreamError.

    ``ratio`` is the most bytes out for a byte in, ``fed`` how many bytes count as put in already;
    RatioError says that the limit was met.
    """
    size = 0
    while True:
        out = stream.read(CHUNK)
        if out:
            size += len(out)
            yield out  # first, since it may hold the header that names the record
            if ratio is not None and over_ratio(size, fed - stream.held, ratio):
                raise RatioError(size, fed - stream.held, ratio)
        elif stream.eof:
            return
        else:
            data = block()
            if not data:
                raise StreamError(CUT)
            fed += len(data)
            stream.feed(data)


def whole_file(name: str, block: Callable[[], bytes]) -> Iterator[bytes]:
    """Yield the inflated bytes of a file of one or more ``name`` streams ("none": as it is).

    Zero bytes after a stream are padding. Raises StreamError at corrupt or missing bytes.
    """
    if name == "none":
        yield from iter(block, b"")
        return
    left = block()
    while left:
        stream = inflater(name)
        stream.feed(left)
        yield from chunks(stream, block)
        left = stream.rest.lstrip(b"\0")
        while not left:
            more = block()
            if not more:
                return
            left = more.lstrip(b"\0")
