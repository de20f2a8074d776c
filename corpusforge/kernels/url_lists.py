"""URLs against lists of domains, URLs, words and substrings: one compiled pass over the bytes.

Follows datatrove 0.10's URLFilter (Apache-2.0), which FineWeb used, except that case does not
matter in words, every parent domain is looked up, and a listed URL matches without regard to its
scheme, ``www.`` and a last slash. A list is a sorted array of 64-bit hashes: of five million names
and a thousand million URLs, one in a thousand such corpora has one wrong hit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.kernels.jit import kernel
from corpusforge.kernels.words import mix

LISTS = ("domains", "urls", "hard_words", "soft_words", "substrings")
DOMAINS, URLS, HARD_WORDS, SOFT_WORDS, SUBSTRINGS = range(5)
LONGEST = 64  # bytes of a listed substring; a longer one is cut there

_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_NOT_WORD = re.compile(rb"[^a-z0-9]+")
_NONE = np.empty(0, np.uint64)


@dataclass(frozen=True)
class UrlLists:
    """The hashes of every list by its place in LISTS, sorted; an absent list is empty."""

    hashes: tuple[np.ndarray, ...] = (_NONE,) * len(LISTS)
    lengths: np.ndarray = field(default_factory=lambda: np.zeros(LONGEST + 1, bool))

    @staticmethod
    def of(lines: Mapping[str, bytes]) -> UrlLists:
        """Compile the lines of each list, named as in LISTS; blank ones and ``#`` are left out."""
        lengths = np.zeros(LONGEST + 1, bool)
        compiled = []
        for name in LISTS:
            data = lines.get(name, b"").lower()
            if name in ("domains", "urls"):
                compiled.append(_compiled(data, name == "domains"))
                continue
            kept = [line for line in data.splitlines() if line.strip()[:1] not in (b"", b"#")]
            words = {_NOT_WORD.sub(b"", line)[:LONGEST] for line in kept} - {b""}
            if name == "substrings":
                lengths[[len(word) for word in words]] = True
            joined = b"\n".join(sorted(words))
            compiled.append(_compiled(joined, True))
        return UrlLists(tuple(compiled), lengths)


def _compiled(data: bytes, as_domains: bool) -> np.ndarray:
    """Return the sorted hashes of the lines of ``data``, which is in lower case."""
    lines = np.frombuffer(data + b"\n", np.uint8)
    hashes = np.empty(data.count(b"\n") + 1, np.uint64)
    return np.unique(hashes[: _hash_lines(lines, as_domains, hashes)])


def match(url: pa.StringArray, lists: UrlLists) -> tuple[np.ndarray, pa.ListArray]:
    """Look every URL up in every list.

    Returns
    -------
    counts : (rows, 5) int64
        Entries of each of LISTS that the URL has; words count once each. A null URL has none.
    first : (rows,) list<string>
        Of each list the first entry that was found, null where none was.
    """
    lower = pc.fill_null(pc.ascii_lower(url), "")
    _, offsets, values = lower.buffers()
    bounds = np.frombuffer(offsets or bytes(4), np.int32)[lower.offset :][: len(lower) + 1]
    data = np.frombuffer(values or b"", np.uint8)
    data.flags.writeable = bounds.flags.writeable = False
    counts = np.zeros((len(url), len(LISTS)), np.int64)
    spans = np.zeros((len(url), len(LISTS), 2), np.int64)
    longest = int(np.diff(bounds).max(initial=0))
    domains, urls, hard, soft, substrings = lists.hashes
    _match(
        *(data, bounds, domains, urls, hard, soft, substrings, lists.lengths),
        *(np.empty(longest, np.uint8), counts, spans),
    )
    view = data.data
    first: list[list[str | None] | None] = [None] * len(url)
    for row in np.flatnonzero(counts.any(axis=1)).tolist():
        first[row] = [
            _entry(bytes(view[start:stop]), place) if counts[row, place] else None
            for place, (start, stop) in enumerate(spans[row].tolist())
        ]
    return counts, pa.array(first, pa.list_(pa.string()))


def _entry(found: bytes, place: int) -> str:
    """The entry as its list has it; of a substring, which may span punctuation, without that."""
    return (_NOT_WORD.sub(b"", found) if place == SUBSTRINGS else found).decode("utf-8", "replace")


@kernel
def _hash(data: np.ndarray, start: int, stop: int) -> np.uint64:
    state = _FNV_OFFSET
    for index in range(start, stop):
        state = (state ^ np.uint64(data[index])) * _FNV_PRIME
    return mix(state)


@kernel
def _trim(data: np.ndarray, start: int, stop: int) -> tuple[int, int]:
    """The URL in data[start:stop] without scheme, ``www.`` and a last slash."""
    for index in range(start, min(stop, start + 32) - 2):
        byte = data[index]
        if byte == 0x3A and data[index + 1] == 0x2F and data[index + 2] == 0x2F:
            start = index + 3
            break
        if byte == 0x2F or byte == 0x3F or byte == 0x23 or byte == 0x2E:
            break
    if (
        start + 4 <= stop
        and data[start] == 0x77
        and data[start + 1] == 0x77
        and data[start + 2] == 0x77
        and data[start + 3] == 0x2E
    ):
        start += 4
    if stop > start and data[stop - 1] == 0x2F:
        stop -= 1
    return start, stop


@kernel
def _hash_lines(data: np.ndarray, as_domains: bool, hashes: np.ndarray) -> int:
    count, start = 0, 0
    for index in range(len(data)):
        if data[index] != 0x0A:
            continue
        first, last = start, index
        start = index + 1
        while first < last and data[first] <= 0x20:
            first += 1
        while last > first and data[last - 1] <= 0x20:
            last -= 1
        if first == last or data[first] == 0x23:
            continue
        if as_domains:
            while first < last and data[first] == 0x2E:
                first += 1
            while last > first and data[last - 1] == 0x2E:
                last -= 1
        else:
            first, last = _trim(data, first, last)
        hashes[count] = _hash(data, first, last)
        count += 1
    return count


@kernel
def _has(hashes: np.ndarray, value: np.uint64) -> bool:
    place = np.searchsorted(hashes, value)
    return bool(place < len(hashes) and hashes[place] == value)


@kernel
def _note(counts: np.ndarray, spans: np.ndarray, place: int, start: int, stop: int) -> None:
    if counts[place] == 0:
        spans[place, 0], spans[place, 1] = start, stop
    counts[place] += 1


@kernel
def _alnum(byte: int) -> bool:
    return 0x30 <= byte <= 0x39 or 0x61 <= byte <= 0x7A


@kernel
def _host(data: np.ndarray, start: int, stop: int) -> tuple[int, int]:
    """Host of a URL from which the scheme was cut: no user, port or final dot."""
    end = start
    while end < stop and data[end] != 0x2F and data[end] != 0x3F and data[end] != 0x23:
        if data[end] == 0x40:
            start = end + 1
        end += 1
    for index in range(start, end):
        if data[index] == 0x3A:
            end = index
            break
    while end > start and data[end - 1] == 0x2E:
        end -= 1
    return start, end


@kernel
def _match(
    data: np.ndarray,
    bounds: np.ndarray,
    domains: np.ndarray,
    urls: np.ndarray,
    hard: np.ndarray,
    soft: np.ndarray,
    substrings: np.ndarray,
    lengths: np.ndarray,
    squeezed: np.ndarray,
    counts: np.ndarray,
    spans: np.ndarray,
) -> None:
    places = np.empty(len(squeezed) + 1, np.int64)
    for row in range(len(bounds) - 1):
        start, stop = int(bounds[row]), int(bounds[row + 1])
        while start < stop and data[start] <= 0x20:
            start += 1
        while stop > start and data[stop - 1] <= 0x20:
            stop -= 1
        if start == stop:
            continue
        first, last = _trim(data, start, stop)
        if len(urls) and _has(urls, _hash(data, first, last)):
            _note(counts[row], spans[row], URLS, first, last)
        if len(domains):
            if first >= 4 and first - start >= 4 and data[first - 1] == 0x2E:
                first -= 4  # www. is part of the host
            host, end = _host(data, first, stop)
            at = host
            while at < end:
                if _has(domains, _hash(data, at, end)):
                    _note(counts[row], spans[row], DOMAINS, at, end)
                while at < end and data[at] != 0x2E:
                    at += 1
                at += 1
        if len(hard) or len(soft):
            _words(data, start, stop, hard, soft, counts[row], spans[row])
        if len(substrings):
            size = 0
            for index in range(start, stop):
                if _alnum(int(data[index])):
                    squeezed[size] = data[index]
                    places[size] = index
                    size += 1
            for begin in range(size):
                state = _FNV_OFFSET
                for end in range(begin, min(size, begin + LONGEST)):
                    state = (state ^ np.uint64(squeezed[end])) * _FNV_PRIME
                    if lengths[end - begin + 1] and _has(substrings, mix(state)):
                        first, last = places[begin], places[end] + 1
                        _note(counts[row], spans[row], SUBSTRINGS, first, last)


@kernel
def _words(
    data: np.ndarray,
    start: int,
    stop: int,
    hard: np.ndarray,
    soft: np.ndarray,
    counts: np.ndarray,
    spans: np.ndarray,
) -> None:
    """Count the distinct words of a URL that the lists have."""
    seen = np.empty(16, np.uint64)
    found, at = 0, start
    while at < stop:
        if not _alnum(int(data[at])):
            at += 1
            continue
        begin = at
        while at < stop and _alnum(int(data[at])):
            at += 1
        value = _hash(data, begin, at)
        is_hard, is_soft = _has(hard, value), _has(soft, value)
        if not (is_hard or is_soft):
            continue
        new = True
        for place in range(found):
            if seen[place] == value:
                new = False
        if not new:
            continue
        if found < len(seen):
            seen[found] = value
            found += 1
        if is_hard:
            _note(counts, spans, HARD_WORDS, begin, at)
        if is_soft:
            _note(counts, spans, SOFT_WORDS, begin, at)
