"""WARC records to rows: which record is a page, and what it says in UTF-8.

Decisions stand in the order in which a reader can take them: record type, HTTP status, media
type by header, limit, encodings, emptiness, media type by the first bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from corpusforge.readers import charset, response
from corpusforge.readers.batch import Reason, Row
from corpusforge.readers.inflate import RatioError, StreamError
from corpusforge.readers.magic import binary_kind, is_markup
from corpusforge.readers.members import Members
from corpusforge.readers.records import Record, compressed, plain
from corpusforge.readers.source import Source
from corpusforge.spec import Limits

_HTML = ("text/html", "application/xhtml+xml")
_EMPTY = Reason("empty", "body_bytes", 0, ">=", 1)


def rows(
    source: Source, compression: str, start: int, end: int, size: int, limits: Limits
) -> Iterator[Row]:
    """Yield one row a record of those that start in [start, end) of a file of ``size`` bytes.

    Cuts inside gzip and zstd files are moved to member starts.
    """
    limit = limits.inflated_bytes
    if compression == "none":
        records = plain(source, start, end, size, limit)
    else:
        members = Members(source, compression, size, limits.inflate_ratio)
        first, last = members.anchor(start), members.anchor(end)
        records = compressed(members, first, last, limit)
    for record in records:
        yield judge(record, limits)


def judge(record: Record, limits: Limits) -> Row:
    """Turn one record into its row: a page to extract, a text, or a decision against it."""
    headers = record.headers
    row = Row(
        record.offset,
        record.ordinal,
        source_id=headers.get("warc-record-id"),
        url=headers.get("warc-target-uri", "").strip("<> ") or None,
        date=headers.get("warc-date"),
        truncated="warc-truncated" in headers,
    )
    if record.problem:
        return row._replace(outcome="failed", reason=record.reason, detail=record.problem)
    kind = headers.get("warc-type", "").lower()
    if kind == "conversion":
        return _conversion(row, record, limits.inflated_bytes)
    if kind != "response":
        return _dropped(row, Reason("record-type", "record_type"), kind or "none")
    return _response(row, record, limits)


def _dropped(row: Row, reason: Reason, detail: str | None = None) -> Row:
    return row._replace(outcome="dropped", reason=reason, detail=detail)


def _over(row: Row, value: int, limit: int) -> Row:
    reason = Reason("limit:inflated_bytes", "inflated_bytes", value, "<=", limit)
    detail = f"the record inflates to more than {limit} bytes"
    return row._replace(outcome="failed", reason=reason, detail=detail)


def _meta(**values: Any) -> bytes:
    given = {key: value for key, value in values.items() if value is not None}
    return json.dumps(given, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _conversion(row: Row, record: Record, limit: int) -> Row:
    """A record of a WET file: plain text, UTF-8 by the tools that write it."""
    if record.length > limit:
        return _over(row, record.length, limit)
    if not record.block.strip():
        return _dropped(row, _EMPTY)
    decoded = charset.decode(record.block, "utf-8")
    return row._replace(text=decoded.text, charset=decoded.charset, decode_errors=decoded.replaced)


def _response(row: Row, record: Record, limits: Limits) -> Row:
    limit = limits.inflated_bytes
    wrapped = record.headers.get("content-type", "application/http").lower()
    if not wrapped.startswith("application/http"):  # e.g. an answer of the name service
        return _dropped(row, Reason("mime", "mime"), wrapped)
    answer = response.parse(record.block)
    if answer is None:
        return row._replace(outcome="failed", detail="the record holds no HTTP response")
    mime = answer.mime
    row = row._replace(meta=_meta(mime=mime, status=answer.status))
    if answer.status != 200:
        return _dropped(row, Reason("http-status", "http_status", answer.status, "==", 200))
    if mime is not None and mime not in _HTML:
        return _dropped(row, Reason("mime", "mime"), mime)
    if record.length > limit:
        return _over(row, record.length, limit)
    try:
        body = response.body(answer, limit, limits.inflate_ratio, row.truncated)
    except response.LimitError:
        return _over(row, limit + 1, limit)
    except RatioError as error:
        return row._replace(outcome="failed", reason=error.reason, detail=str(error))
    except StreamError as error:
        return row._replace(outcome="failed", detail=str(error))
    if not body.strip():
        return _dropped(row, _EMPTY)
    if found := binary_kind(body):
        return _dropped(row, Reason("mime-magic", "mime"), found)
    if mime is None and not is_markup(body):
        return _dropped(row, Reason("mime", "mime"), "no media type, and no HTML")
    page = charset.decode(body, answer.charset)
    return row._replace(html=page.text, charset=page.charset, decode_errors=page.replaced)
