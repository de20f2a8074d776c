"""Addresses (URLs, domains, IPv4) that stand in a text, cut out as DCLM does.

Source: mlfoundations/dclm at 15af3ce, ``modifiers.py``, url_removal_modifier: two regular
expressions over the whole text, here one pass each:

    white space, at most 10 (scheme://)? [-a-zA-Z0-9@:%._+~#=]{1,256} . domain \\b [-a-z...?&/=]*
    white space, at most 10 \\b (scheme://)? (0-299 .){3} 0-299 [-a-z...?&/=]*

As there, the first one is tried only in a text whose first letters are those of a top-level domain,
in any case (``th`` is one). Top-level domains are today's; those of letters and digits.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

import numpy as np

from corpusforge.kernels.jit import kernel
from corpusforge.kernels.repetition import hash_span
from corpusforge.kernels.unicode_classes import is_category
from corpusforge.kernels.words import LETTER, NUMBER, SPACE, code_point, text_classes

DECIMAL, WORD = 1, 2  # bits of point_kinds
_HOST, _MORE, _DIGIT = 1, 2, 4  # bits of _byte_kinds
_LONGEST = 64  # bytes of a top-level domain
_MOST_SPACES, _MOST_HOST = 10, 256
_DOT = 0x2E
_SCHEMES = np.frombuffer(b"https://http://ftp://", np.uint8)
_SCHEME_ENDS = np.array([0, 8, 15, 21], np.int64)

Tables = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@cache
def point_kinds() -> np.ndarray:
    """Bits of every code point: (0x110000,) uint8; decimal digit, part of a word as in ``re``."""
    kinds = np.zeros(0x110000, np.uint8)
    kinds[is_category("Nd")] |= DECIMAL
    kinds[text_classes() & (LETTER | NUMBER) != 0] |= WORD
    kinds[0x5F] |= WORD
    kinds.setflags(write=False)
    return kinds


@cache
def tables() -> Tables:
    """Return what ``cut_addresses`` looks up: classes, point_kinds, byte kinds, domains.

    Domains are the sorted ``hash_span`` of every top-level domain: (n,) uint64.
    """
    source = resources.files(__package__) / "top_level_domains.json"
    names = " ".join(json.loads(source.read_text(encoding="utf-8"))["names"]).split()
    domains = np.sort(
        [hash_span(np.frombuffer(n.encode(), np.uint8), 0, len(n.encode())) for n in names]
    )
    letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    kinds = np.zeros(256, np.uint8)
    kinds[list(letters + b"-@:%._+~#=")] |= _HOST
    kinds[list(letters + b"-()@:%_+.~#?&/=")] |= _MORE
    kinds[list(b"0123456789")] |= _DIGIT
    for table in (domains, kinds):
        table.setflags(write=False)
    return text_classes(), point_kinds(), kinds, domains


@kernel
def cut_addresses(
    text: np.ndarray,
    begin: int,
    end: int,
    classes: np.ndarray,
    points: np.ndarray,
    kinds: np.ndarray,
    domains: np.ndarray,
) -> tuple[int, int]:
    """Cut addresses out of text[begin:end] (uint8) in place: (new end, addresses cut)."""
    count = 0
    if _begins_with_domain(text, begin, end, domains):
        end, count = _cut(text, begin, end, False, classes, points, kinds, domains)
    end, more = _cut(text, begin, end, True, classes, points, kinds, domains)
    return end, count + more


@kernel
def _begins_with_domain(text: np.ndarray, begin: int, end: int, domains: np.ndarray) -> bool:
    size = min(end - begin, _LONGEST)
    head = text[begin : begin + size].copy()
    for index in range(size):
        if 0x41 <= head[index] <= 0x5A:
            head[index] |= 0x20
    known = False
    for stop in range(2, size + 1):
        known = known or _known(head, 0, stop, domains)
    return known


@kernel
def _known(text: np.ndarray, start: int, stop: int, domains: np.ndarray) -> bool:
    key = hash_span(text, start, stop)
    place = np.searchsorted(domains, key)
    return bool(place < len(domains) and domains[place] == key)


@kernel
def _cut(
    text: np.ndarray,
    begin: int,
    end: int,
    numeric: bool,
    classes: np.ndarray,
    points: np.ndarray,
    kinds: np.ndarray,
    domains: np.ndarray,
) -> tuple[int, int]:
    written, left, count = begin, begin, 0  # text[left:] is not copied yet
    index, word = begin, False  # whether a part of a word stands before index
    while index < end:
        byte = text[index]
        first, stop, run = -1, -1, index + 1  # of an address; where the search goes on
        if byte >= 0x80:
            point, size = code_point(text, index, end)
            word = points[point] & WORD != 0
            index += size
            continue
        if numeric:
            if kinds[byte] & _DIGIT and not word:
                stop = _octets(text, index, end, kinds)
                first = index
        elif kinds[byte] & _HOST:
            while run < end and kinds[text[run]] & _HOST:
                run += 1
            first, stop = _named(text, left, index, run, end, points, domains)
        if stop < 0:
            word = points[text[run - 1]] & WORD != 0
            index = run
            continue
        if first == index:
            first = _scheme(text, left, index, numeric, points)
            first = _spaces(text, left, first, classes)
        while stop < end and kinds[text[stop]] & _MORE:
            stop += 1
        for place in range(left, first):
            text[written] = text[place]
            written += 1
        word = points[text[stop - 1]] & WORD != 0
        left, index, count = stop, stop, count + 1
    for place in range(left, end):
        text[written] = text[place]
        written += 1
    return written, count


@kernel
def _named(
    text: np.ndarray,
    left: int,
    start: int,
    run: int,
    end: int,
    points: np.ndarray,
    domains: np.ndarray,
) -> tuple[int, int]:
    """Return (first byte, end of the domain) in the host characters text[start:run], or -1s.

    The last dot with a domain behind it that is at most 256 characters from the first byte.
    """
    first, stop = start, -1
    for dot in range(start + 1, run):
        if text[dot] != _DOT or (stop >= 0 and dot - first > _MOST_HOST):
            continue
        behind = _domain(text, dot + 1, end, points, domains)
        if behind >= 0:
            if stop < 0:
                first = max(start, dot - _MOST_HOST)
            stop = behind
    return (first, stop) if stop >= 0 else (-1, -1)


@kernel
def _domain(text: np.ndarray, start: int, end: int, points: np.ndarray, domains: np.ndarray) -> int:
    """Return the end of the top-level domain that is the whole word at ``start``, or -1."""
    stop = start
    while stop < end and stop - start <= _LONGEST:
        point, size = code_point(text, stop, end)
        if points[point] & WORD == 0:
            break
        stop += size
    if stop == start or stop - start > _LONGEST or not _known(text, start, stop, domains):
        return -1
    return stop


@kernel
def _octets(text: np.ndarray, index: int, end: int, kinds: np.ndarray) -> int:
    """Return the end of three numbers with a dot each and a digit, from ``index``, or -1."""
    for _ in range(3):
        digits = index
        while index < end and index - digits < 4 and kinds[text[index]] & _DIGIT:
            index += 1
        size = index - digits
        if size == 0 or size > 3 or (size == 3 and text[digits] > 0x32):
            return -1
        if index == end or text[index] != _DOT:
            return -1
        index += 1
    return index + 1 if index < end and kinds[text[index]] & _DIGIT else -1


@kernel
def _scheme(text: np.ndarray, left: int, start: int, alone: bool, points: np.ndarray) -> int:
    """Return where a scheme begins that ends at ``start``, else ``start``.

    ``alone``: no part of a word may stand before it.
    """
    for which in range(len(_SCHEME_ENDS) - 1):
        size = _SCHEME_ENDS[which + 1] - _SCHEME_ENDS[which]
        at = start - size
        if at < left:
            continue
        same = True
        for step in range(size):
            same = same and text[at + step] == _SCHEMES[_SCHEME_ENDS[which] + step]
        if same and not (alone and at > left and _ends_word(text, left, at, points)):
            return int(at)
    return start


@kernel
def _ends_word(text: np.ndarray, left: int, at: int, points: np.ndarray) -> bool:
    before = at - 1
    while before > left and text[before] & 0xC0 == 0x80:
        before -= 1
    return bool(points[code_point(text, before, at)[0]] & WORD)


@kernel
def _spaces(text: np.ndarray, left: int, at: int, classes: np.ndarray) -> int:
    """Return where the white space before ``at`` begins, at most ten characters of it."""
    for _ in range(_MOST_SPACES):
        if at == left:
            break
        before = at - 1
        while before > left and text[before] & 0xC0 == 0x80:
            before -= 1
        if classes[code_point(text, before, at)[0]] & SPACE == 0:
            break
        at = before
    return at
