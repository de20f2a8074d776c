"""Collects the rows of one file and cuts them into RECORD batches by bytes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from corpusforge.kernels.ids import document_ids
from corpusforge.schema import REASON, RECORD
from corpusforge.transform import reasons_array

_ROW_BYTES = 256  # what a row takes without its page or text


class Reason(NamedTuple):
    """Why a record is not kept, in the fields of schema.REASON."""

    rule: str
    signal: str | None = None
    value: float | None = None
    comparison: str | None = None
    threshold: float | None = None


class Row(NamedTuple):
    """One input record. ``text``, ``html``, ``meta`` are valid UTF-8."""

    offset: int
    ordinal: int = 0
    source_id: str | None = None
    url: str | None = None
    date: str | None = None
    title: str | None = None
    charset: str | None = None
    decode_errors: int | None = None
    truncated: bool = False
    text: bytes | None = None
    meta: bytes | None = None
    html: bytes | None = None
    outcome: str = "kept"
    reason: Reason | None = None
    detail: str | None = None


_STRINGS = ("source_id", "url", "date", "title", "charset", "detail", "outcome")
_BYTES = ("text", "meta", "html")


class Rows:
    """Rows of one source on their way into batches of about ``batch_bytes``."""

    def __init__(self, source: str, batch_bytes: int) -> None:
        self._source, self._limit = source, batch_bytes
        self._rows: list[Row] = []
        self._bytes = 0

    def add(self, row: Row) -> bool:
        """Append ``row``; true when the batch is full and ``cut`` is due."""
        self._rows.append(row)
        self._bytes += _ROW_BYTES + sum(
            len(part) for part in (row.text, row.html, row.meta) if part
        )
        return self._bytes >= self._limit

    def __len__(self) -> int:
        return len(self._rows)

    def cut(self) -> pa.RecordBatch:
        """Return the collected rows as a RECORD batch and start the next one."""
        rows, self._rows, self._bytes = self._rows, [], 0
        columns = dict(zip(Row._fields, zip(*rows, strict=True), strict=True))
        arrays: dict[str, pa.Array] = {
            "id": document_ids(self._source, columns["offset"], columns["ordinal"]),
            "source": pa.repeat(pa.scalar(self._source, pa.string()), len(rows)),
            "offset": pa.array(columns["offset"], pa.int64()),
            "ordinal": pa.array(columns["ordinal"], pa.int32()),
            "decode_errors": pa.array(columns["decode_errors"], pa.int32()),
            "truncated": pa.array(columns["truncated"], pa.bool_()),
            "stage": pa.array(
                [None if row.outcome == "kept" else "read" for row in rows], "string"
            ),
            "reasons": _reasons(columns["reason"]),
        }
        arrays |= {name: pa.array(columns[name], pa.string()) for name in _STRINGS}
        # The readers vouch for the UTF-8, so the bytes become strings as they are.
        arrays |= {name: pa.array(columns[name], pa.binary()).view(pa.string()) for name in _BYTES}
        return pa.RecordBatch.from_arrays([arrays[name] for name in RECORD.names], schema=RECORD)


def _reasons(reasons: tuple[Reason | None, ...]) -> pa.ListArray:
    given = [reason for reason in reasons if reason is not None]
    lengths = np.array([reason is not None for reason in reasons], dtype=np.int32)
    fields = zip(*given, strict=True) if given else ((),) * len(list(REASON))
    rules, signals, values, comparisons, thresholds = (list(field) for field in fields)
    return reasons_array(
        lengths,
        rules,
        pa.array(signals, pa.string()),
        pa.array(values, pa.float64()),
        pa.array(comparisons, pa.string()),
        pa.array(thresholds, pa.float64()),
    )
