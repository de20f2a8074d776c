"""The named fields of a record to its row: the same for JSON lines and for rows of tables.

A field ``html`` is a page to extract; a field ``text`` is a document as it is, used only where
``html`` is absent, null or empty. What is no named field goes to ``meta``.
"""

from __future__ import annotations

import json
from typing import Any

from corpusforge.readers.batch import Reason, Row
from corpusforge.spec import Fields

TYPES = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
_EMPTY = Reason("empty", "text_bytes", 0, ">=", 1)
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)


class FieldError(ValueError):
    """A record that is no document; says why, in words that no library chose."""


def document(record: dict[str, Any], place: Row, fields: Fields) -> Row:
    """Fill ``place`` from ``record``, whose values are those of JSON; raises FieldError."""
    text = _string(record, fields.text)
    html = _string(record, fields.html)
    if html and text is not None:
        text = None
    elif text is not None:
        html = None
    if text is None and html is None:
        raise FieldError(f"it has neither a field '{fields.text}' nor '{fields.html}'")
    named = fields.model_dump().values()
    row = place._replace(
        source_id=_label(record, fields.id),
        url=_label(record, fields.url),
        date=_label(record, fields.date),
        title=_label(record, fields.title),
        charset="utf-8",
        meta=_meta({key: value for key, value in record.items() if key not in named}),
    )
    if not (text or html or "").strip():
        return row._replace(outcome="dropped", reason=_EMPTY)
    return row._replace(text=_utf8(text, fields.text), html=_utf8(html, fields.html))


def _string(record: dict[str, Any], name: str) -> str | None:
    value = record.get(name)
    if value is None or isinstance(value, str):
        return value
    raise FieldError(f"field '{name}' is {TYPES.get(type(value), 'a number')}, not a string")


def _label(record: dict[str, Any], name: str) -> str | None:
    """A short field: a string, or a number by its JSON text."""
    value = record.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return json.dumps(value)
    value = _string(record, name)
    if value is not None:
        _utf8(value, name)
    return value


def _utf8(value: str | None, name: str) -> bytes | None:
    try:
        return None if value is None else value.encode()
    except UnicodeEncodeError:
        raise FieldError(f"field '{name}' holds a lone surrogate") from None


def _meta(others: dict[str, Any]) -> bytes | None:
    if not others:
        return None
    try:
        return _ENCODER.encode(others).encode()
    except UnicodeEncodeError:
        raise FieldError("a field holds a lone surrogate") from None
    except (ValueError, RecursionError):
        raise FieldError("a field holds a number out of range, or is nested too deeply") from None
