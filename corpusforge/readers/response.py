"""HTTP responses as archives hold them: head, chunked transfer, content encodings.

Archives differ in what they undo: some store the body as it came, some store it decoded and
leave the headers. So a body that is not what its header says but is a page as it stands is
taken as it stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from corpusforge.readers.inflate import (
    CUT,
    RatioError,
    StreamError,
    chunks,
    inflater,
    over_ratio,
)
from corpusforge.readers.magic import is_markup
from corpusforge.readers.records import BLANK_LINE, fields

_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})\b")
_CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_CODECS = {"gzip": "gzip", "x-gzip": "gzip", "br": "br", "zstd": "zstd"}


class LimitError(ValueError):
    """A body inflates to more than the limit."""


@dataclass(frozen=True)
class Response:
    """An HTTP response whose body is still encoded."""

    status: int
    headers: dict[str, str] = field(repr=False)  # names in lower case
    body: bytes = field(repr=False)

    @property
    def mime(self) -> str | None:
        """The media type in lower case; None if there is none or it is not one."""
        mime = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return mime if "/" in mime else None

    @property
    def charset(self) -> str | None:
        """The charset label of the Content-Type, as written."""
        found = _CHARSET.search(self.headers.get("content-type", ""))
        return found[1] if found else None


def parse(block: bytes) -> Response | None:
    """Split ``block`` into status, headers and body; None if it is no HTTP response.

    Content-Length is not looked at: the archive's own length says how much there is.
    """
    status = _STATUS.match(block)
    if not status:
        return None
    end = BLANK_LINE.search(block)
    head, body = (block[: end.end()], block[end.end() :]) if end else (block, b"")
    return Response(int(status[1]), fields(head), body)


def body(response: Response, limit: int, ratio: int, cut: bool = False) -> bytes:
    """Return the body of ``response`` with transfer and content encodings undone.

    ``cut`` says that the archive shortened it: what can be decoded is then good enough.
    Raises StreamError where the encoded body is corrupt or cut, LimitError beyond ``limit`` bytes,
    RatioError beyond ``ratio`` times the bytes of the body, all its encodings together.
    """
    data = response.body
    if "chunked" in response.headers.get("transfer-encoding", "").lower():
        data = _dechunk(data, cut)
    names = response.headers.get("content-encoding", "").lower().split(",")
    for name in reversed([name.strip() for name in names]):
        data = _decode(name, data, limit, ratio, len(response.body), cut)
    if len(data) > limit:
        raise LimitError
    return data


def _dechunk(data: bytes, cut: bool) -> bytes:
    parts, at = [], 0
    while True:
        size = _CHUNK.match(data, at)
        if not size:
            if not at:  # stored without its chunks
                return data
            if cut:
                break
            raise StreamError("the chunked body is cut" if at >= len(data) else "bad chunk size")
        length, at = int(size[1], 16), size.end()
        if not length:
            break
        parts.append(data[at : at + length])
        at += length
        if at > len(data) and not cut:
            raise StreamError("the chunked body is cut")
        at += 2 if data[at : at + 2] == b"\r\n" else data[at : at + 1] == b"\n"
    return b"".join(parts)


def _decode(name: str, data: bytes, limit: int, ratio: int, packed: int, cut: bool) -> bytes:
    codec = _CODECS.get(name)
    if name == "deflate":  # RFC 9110 8.4.1.2: zlib, but some servers send raw deflate
        zlib_head = len(data) > 1 and data[0] & 15 == 8 and (data[0] << 8 | data[1]) % 31 == 0
        codec = "zlib" if zlib_head else "deflate"
    if codec is None or not data:  # identity, or a name that means nothing
        return data
    stream, parts, size = inflater(codec), [], 0
    stream.feed(data)
    try:
        for chunk in chunks(stream, lambda: b""):
            parts.append(chunk)
            size += len(chunk)
            if over_ratio(size, packed, ratio):
                raise RatioError(size, packed, ratio)
            if size > limit:
                raise LimitError
    except RatioError:
        raise
    except StreamError as error:
        if not parts and is_markup(data):
            return data
        if not (cut and parts):
            what = "is cut" if str(error) == CUT else "is corrupt"
            raise StreamError(f"the {name} body {what}") from None
    return b"".join(parts)
