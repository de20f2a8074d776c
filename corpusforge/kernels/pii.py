"""Mask personal data in texts: equal values get equal replacements, in any order and worker.

``find`` names the values of a batch, ``mask`` replaces them. Where two overlap, the one that
starts first counts, then the longer. Replacements are of reserved space (``pii_values``), which is
left alone, so masking twice changes nothing.
"""

from __future__ import annotations

import heapq
from bisect import bisect
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa

from corpusforge.kernels import pii_datatrove
from corpusforge.kernels.pii_scan import (
    CARD,
    EMAIL,
    IBAN,
    IPV4,
    IPV6,
    PHONE,
    byte_classes,
    candidates,
)
from corpusforge.kernels.pii_values import READ

KINDS = ("email", "ip", "phone", "iban", "card")
_CODES = {
    "email": (EMAIL,),
    "ip": (IPV4, IPV6),
    "phone": (PHONE,),
    "iban": (IBAN,),
    "card": (CARD,),
}
_KIND_OF = {code: KINDS.index(name) for name, codes in _CODES.items() for code in codes}

Hit = tuple[int, int, int, int, str]  # row, first byte and end in the buffer, kind, replacement


def mask(
    text: pa.StringArray,
    kinds: Sequence[str],
    *,
    replace: Literal["fake", "marker"] = "fake",
    dialect: Literal["forge", "datatrove"] = "forge",
) -> tuple[pa.StringArray, np.ndarray]:
    """Return ``text`` without the values of ``kinds``, and how many of each a text had.

    Parameters
    ----------
    text : (rows,) string
        Null stays null.
    kinds : names of KINDS
    replace : ``fake`` puts a value of reserved space, ``marker`` a word like ``[EMAIL]``.
    dialect : ``datatrove`` finds what the patterns of datatrove 0.10's PIIFormatter find; only
        ``email`` and ``ip`` (version 4) exist there.

    Returns
    -------
    text : (rows,) string
    counts : (rows, len(kinds)) int64
        Values replaced; those of reserved space are none. A value that only stands free once its
        neighbour is replaced is replaced too (not by ``datatrove``, which passes once).
    """
    masked, counts = _mask_once(text, kinds, replace, dialect)
    found = dialect == "forge" and counts.any()
    while found:
        masked, more = _mask_once(masked, kinds, replace, dialect)
        counts += more
        found = more.any()
    return masked, counts


def _mask_once(
    text: pa.StringArray, kinds: Sequence[str], replace: str, dialect: str
) -> tuple[pa.StringArray, np.ndarray]:
    data, bounds = _buffers(text)
    find = _found if dialect == "forge" else _found_by_datatrove
    hits = find(data, bounds, kinds)
    counts = np.zeros((len(text), len(kinds)), np.int64)
    if not hits:
        return text, counts
    view, pieces, at = data.data, list[bytes | memoryview](), int(bounds[0])
    growth = np.zeros(len(text) + 1, np.int64)
    for row, start, stop, kind, fake in hits:
        new = (fake if replace == "fake" else f"[{KINDS[kind].upper()}]").encode()
        pieces += (view[at:start], new)
        at = stop
        growth[row + 1] += len(new) - (stop - start)
        counts[row, list(kinds).index(KINDS[kind])] += 1
    pieces.append(view[at : int(bounds[-1])])
    offsets = bounds.astype(np.int64) - int(bounds[0]) + np.cumsum(growth)
    valid = text.is_valid()
    masked = pa.StringArray.from_buffers(
        len(text),
        pa.py_buffer(offsets.astype(np.int32).tobytes()),
        pa.py_buffer(b"".join(pieces)),
        None if not text.null_count else pa.concat_arrays([valid]).buffers()[1],
    )
    return masked, counts


def _buffers(text: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """Return the UTF-8 bytes and (rows + 1,) int32 bounds in them, both read-only."""
    _, offsets, values = text.buffers()
    bounds = np.frombuffer(offsets or bytes(4), np.int32)[text.offset :][: len(text) + 1]
    data = np.frombuffer(values or b"", np.uint8)
    data.flags.writeable = bounds.flags.writeable = False
    return data, bounds


def _found(data: np.ndarray, bounds: np.ndarray, kinds: Sequence[str]) -> list[Hit]:
    wanted = np.zeros(len(READ), bool)
    wanted[[code for kind in kinds for code in _CODES[kind]]] = True
    spans = candidates(data, bounds, wanted, byte_classes())
    view, waiting = data.data, list[tuple[int, int, int, int, str]]()

    def read(row: int, start: int, stop: int, code: int) -> None:
        value = READ[code](bytes(view[start:stop]))
        if value is not None:
            first, last, fake = value
            heapq.heappush(waiting, (start + first, -start - last, row, code, fake or ""))

    for row, start, stop, code in spans.tolist():
        read(row, start, stop, code)
    # Digits of a reserved value are no part of a phone number, however it would go on.
    reserved = sorted(start for start, _, _, code, fake in waiting if not fake and code != PHONE)
    hits, end = list[Hit](), 0
    while waiting:
        start, last, row, code, fake = heapq.heappop(waiting)
        after = bisect(reserved, start) if code == PHONE else len(reserved)
        if after < len(reserved) and reserved[after] < -last:
            continue
        if start >= end:
            end = -last  # a value of reserved space stands for its span, too
            if fake:
                hits.append((row, start, end, _KIND_OF[code], fake))
        elif code == EMAIL and -last > end:
            read(row, end, -last, code)  # what the value before it left of the local part
    return hits


def _found_by_datatrove(data: np.ndarray, bounds: np.ndarray, kinds: Sequence[str]) -> list[Hit]:
    hits, view = list[Hit](), data.data
    for row, (start, stop) in enumerate(
        zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    ):
        for name, first, last, fake in pii_datatrove.find(bytes(view[start:stop]), kinds):
            hits.append((row, start + first, start + last, KINDS.index(name), fake))
    return hits
