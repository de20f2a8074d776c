"""Writes the inputs that the reader tests need, and reads them back as one table."""

from __future__ import annotations

import gzip
import zlib
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from corpusforge import readers
from corpusforge.plan import Piece
from corpusforge.schema import RECORD
from corpusforge.spec import Read

PAGE = b"<!doctype html><html><body><p>Gr\xc3\xbc\xc3\x9fe, page %d</p></body></html>"


def record(number: int, block: bytes, kind: str = "response", **fields: str) -> bytes:
    """One WARC record."""
    names = {
        "WARC-Type": kind,
        "WARC-Record-ID": f"<urn:test:{number}>",
        "WARC-Target-URI": f"http://a.test/{number}",
        "WARC-Date": "2026-01-01T00:00:00Z",
        "Content-Type": "application/http; msgtype=response",
        "Content-Length": str(len(block)),
    }
    names |= {name.replace("_", "-"): value for name, value in fields.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in names.items())
    return b"WARC/1.0\r\n" + head.encode() + b"\r\n" + block + b"\r\n\r\n"


def http(body: bytes, *lines: str, status: str = "200 OK", mime: str | None = "text/html") -> bytes:
    """One HTTP response."""
    given = [f"HTTP/1.1 {status}", *([f"Content-Type: {mime}"] if mime else []), *lines]
    return "\r\n".join([*given, "", ""]).encode() + body


def page(number: int, *lines: str) -> bytes:
    """One WARC record with an HTML page."""
    return record(number, http(PAGE % number, *lines))


def member(data: bytes, level: int = 6) -> bytes:
    """One gzip member; level 0 stores ``data`` byte for byte."""
    packer = zlib.compressobj(level, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def nested(number: int, pages: int, level: int = 0) -> bytes:
    """A gzip member whose record holds a whole .warc.gz, findable byte for byte."""
    inner = b"".join(member(page(1000 + each)) for each in range(pages))
    return member(record(number, http(inner, mime="application/gzip")), level)


def read(
    path: Path, cuts: tuple[int, ...] = (), batch_bytes: int = 1 << 24, spec: Read | None = None
) -> pa.Table:
    """All rows of ``path`` read in the pieces between ``cuts``."""
    format_, compression = readers.sniff(str(path))
    size = path.stat().st_size
    borders = [0, *sorted(cut for cut in cuts if 0 < cut < size), size]
    batches = []
    for start, end in pairwise(borders):
        piece = Piece(str(path), "in", format_, compression, start, end, size)
        batches += readers.read(piece, spec or Read(), batch_bytes)
    return pa.Table.from_batches(batches, RECORD).combine_chunks()


def one(tmp_path: Path, data: bytes, spec: Read | None = None) -> dict[str, object]:
    """The row of a WARC file that holds the record ``data`` and nothing else."""
    path = tmp_path / "one.warc.gz"
    path.write_bytes(gzip.compress(data))
    rows = read(path, spec=spec).to_pylist()
    assert len(rows) == 1, rows
    return dict(rows[0])
