"""WARC records as bytes, one gzip member each, with nothing taken from clock, host or chance."""

import base64
import hashlib
import uuid
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

NAMESPACE = uuid.UUID("6f5c1d0e-3a52-5b0c-9f5e-63f0c0a7f00d")
FIRST_DATE = datetime(2023, 6, 10, 8, 0, 0, tzinfo=UTC)
CRLF = b"\r\n"

Headers = Sequence[tuple[str, str]]


def gzip_member(data: bytes) -> bytes:
    """Compress into one gzip member whose header holds no time and no name."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def record_id(*parts: object) -> str:
    """Name a record by what it is, so that each build gives it the same id."""
    return f"<urn:uuid:{uuid.uuid5(NAMESPACE, '|'.join(map(str, parts)))}>"


def noise(seed: str, length: int) -> bytes:
    """Bytes that look random and are the same on every run."""
    blocks = -(-length // 32)
    digests = (hashlib.sha256(f"{seed}:{i}".encode()).digest() for i in range(blocks))
    return b"".join(digests)[:length]


def header_block(first_line: str, headers: Headers) -> bytes:
    """The first line and the headers, closed by the empty line."""
    lines = [first_line, *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode("utf-8") + CRLF + CRLF


def chunked(body: bytes, size: int = 4096) -> bytes:
    """Frame a body for `Transfer-Encoding: chunked`."""
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return framed + b"0\r\n\r\n"


def http_response(
    body: bytes,
    content_type: str | None = "text/html; charset=utf-8",
    status: str = "200 OK",
    headers: Headers = (),
    length: int | None = None,
) -> bytes:
    """Build a whole HTTP response; `length` overrides the Content-Length told to the client."""
    told = {name.lower() for name, _ in headers}
    lines = [("Date", "Sat, 10 Jun 2023 08:00:00 GMT"), ("Server", "Apache")]
    if content_type is not None:
        lines.append(("Content-Type", content_type))
    lines.extend(headers)
    if "transfer-encoding" not in told and "content-length" not in told:
        lines.append(("Content-Length", str(len(body) if length is None else length)))
    return header_block(f"HTTP/1.1 {status}", lines) + body


@dataclass(frozen=True)
class Record:
    """One WARC record before it is written."""

    kind: str
    type: str
    url: str | None
    block: bytes
    content_type: str = "application/http; msgtype=response"
    extra: Headers = ()
    odd_case: bool = False
    damage: bool = False


@dataclass(frozen=True)
class Placed:
    """A record that was written: its kind, id and the offset of its gzip member."""

    kind: str
    type: str
    url: str | None
    id: str
    offset: int


@dataclass
class WarcBuilder:
    """Collects records into the bytes of one `.warc.gz` and remembers where each starts."""

    name: str
    version: str = "WARC/1.0"
    placed: list[Placed] = field(default_factory=list)
    _data: bytearray = field(default_factory=bytearray)

    def add(self, record: Record) -> Placed:
        """Append a record as its own gzip member."""
        number = len(self.placed)
        ident = record_id(self.name, number, record.kind, record.url)
        date = (FIRST_DATE + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
        headers = [("WARC-Type", record.type), ("WARC-Record-ID", ident), ("WARC-Date", date)]
        if record.url is not None:
            headers.append(("WARC-Target-URI", record.url))
        headers.extend(record.extra)
        if record.type == "response":
            headers.append(("WARC-Payload-Digest", payload_digest(record.block)))
        headers.append(("Content-Type", record.content_type))
        headers.append(("Content-Length", str(len(record.block))))
        if record.odd_case:
            headers = [(name.swapcase(), value) for name, value in headers]
        plain = header_block(self.version, headers) + record.block + CRLF + CRLF
        member = gzip_member(plain)
        if record.damage:
            member = damaged(member)
        placed = Placed(record.kind, record.type, record.url, ident, len(self._data))
        self.placed.append(placed)
        self._data += member
        return placed

    def getvalue(self) -> bytes:
        """The file's bytes."""
        return bytes(self._data)


def payload_digest(block: bytes) -> str:
    """The digest a crawler writes: of the HTTP body as it was stored."""
    _, _, body = block.partition(CRLF + CRLF)
    return "sha1:" + base64.b32encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode()


def damaged(member: bytes) -> bytes:
    """Overwrite bytes inside the deflate stream, at a place where inflating stops with an error."""
    for start in range(len(member) // 3, len(member) - 64):
        broken = member[:start] + b"\xff" * 32 + member[start + 32 :]
        try:
            zlib.decompressobj(31).decompress(broken)
        except zlib.error as error:
            if "check" not in str(error):  # a bad checksum would show only at the end
                return broken
    raise ValueError("no damage in this member stops zlib")


def members(data: bytes) -> Iterator[tuple[int, bytes | None]]:
    """Walk gzip members: (offset, plain bytes), None for one that does not inflate."""
    at = 0
    while at < len(data):
        unpacker = zlib.decompressobj(31)
        try:
            plain = unpacker.decompress(data[at:]) + unpacker.flush()
        except zlib.error:
            yield at, None
            at = next_record(data, at + 1)
            continue
        yield at, plain
        at = len(data) - len(unpacker.unused_data)


def next_record(data: bytes, start: int) -> int:
    """The next offset at which a gzip member inflates to a WARC record."""
    while (start := data.find(b"\x1f\x8b\x08", start)) >= 0:
        try:
            if zlib.decompressobj(31).decompress(data[start : start + 4096], 5) == b"WARC/":
                return start
        except zlib.error:
            pass
        start += 1
    return len(data)
