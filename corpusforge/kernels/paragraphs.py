"""Paragraphs of a text, their keys, and the text without some of them.

Where a text has a blank line, paragraphs are what blank lines separate; else each line is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import xxhash

_BLANK = re.compile(r"\n[^\S\n]*\n\s*")
_LINE = re.compile(r"\n\s*")

Span = tuple[int, int]


def spans(text: str) -> list[Span]:
    """Return start and end, in characters, of each paragraph, without the white space around it."""
    first = len(text) - len(text.lstrip())
    last = len(text.rstrip())
    if first >= last:
        return []
    edges = [first]
    for gap in (_BLANK if _BLANK.search(text, first, last) else _LINE).finditer(text, first, last):
        edges += [gap.start(), gap.end()]
    edges.append(last)
    found = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        found.append((start, start + len(text[start:end].rstrip())))
    return found


def keys(text: str, found: Iterable[Span], least: int) -> list[bytes | None]:
    """Return xxh3-128 of the UTF-8 of each paragraph; None for those under ``least`` characters."""
    return [
        xxhash.xxh3_128_digest(text[start:end].encode("utf-8", "surrogatepass"))
        if end - start >= least
        else None
        for start, end in found
    ]


def without(text: str, found: Sequence[Span], gone: Iterable[int]) -> str:
    """Return ``text`` without the paragraphs numbered ``gone`` and the white space after them."""
    left, cut = [], set(gone)
    if not cut:
        return text
    for number, (start, _) in enumerate(found):
        end = found[number + 1][0] if number + 1 < len(found) else len(text)
        if number not in cut:
            left.append(text[start:end])
    head = text[: found[0][0]] if 0 not in cut else ""
    whole = head + "".join(left)
    return whole if len(found) - 1 not in cut else whole.rstrip()
