"""The splitter ``spacy``: tokens of spaCy's English tokenizer, from a table of chunks.

spaCy cuts each run between white space on its own, except that an emoticon or abbreviation of its
special cases which it finds across white space stops a shorter one inside a chunk: 2 of 4,994
documents. So a table chunk -> cuts, kept for the process, gives the same tokens in a pass of
compiled code, and spaCy sees each different chunk once. Source: spaCy 3.8 ``tokenizer.pyx``.

Chunks over MAX_CHUNK bytes stay whole: spaCy's time is quadratic in their length.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from corpusforge.errors import ExtraMissing
from corpusforge.kernels.jit import kernel
from corpusforge.kernels.repetition import hash_span

MAX_CHUNK = 1 << 15  # bytes
MOST_CUTS = 1 << 23  # of the table; then it starts anew, so that memory is bounded

_EMPTY = np.uint64(0)
_ONE = np.uint64(1)


class _Table:
    """Chunk hash -> its cuts: ``pool[places[slot] : places[slot] + sizes[slot]]``, token ends."""

    def __init__(self) -> None:
        self.used, self.filled = 0, 0  # of the pool, of the slots
        self.keys = np.zeros(1 << 16, np.uint64)
        self.places = np.zeros((1 << 16, 2), np.int64)  # first cut, number of cuts
        self.pool = np.empty(1 << 16, np.uint16)

    def add(self, keys: np.ndarray, sizes: np.ndarray, cuts: np.ndarray) -> None:
        """Add chunks that are not there: hashes (n,), cuts a chunk (n,), all cuts."""
        while 2 * (self.filled + len(keys)) > len(self.keys):
            old, places = self.keys, self.places
            self.keys = np.zeros(2 * len(old), np.uint64)
            self.places = np.zeros((2 * len(old), 2), np.int64)
            _insert(self.keys, self.places, old, places)
        while self.used + len(cuts) > len(self.pool):
            self.pool = np.concatenate([self.pool, np.empty_like(self.pool)])
        self.pool[self.used : self.used + len(cuts)] = cuts
        places = np.stack([self.used + np.cumsum(sizes) - sizes, sizes], axis=1).astype(np.int64)
        _insert(self.keys, self.places, keys, places)
        self.used, self.filled = self.used + len(cuts), self.filled + len(keys)


_TABLE = _Table()


@cache
def _english() -> tuple[Any, frozenset[str]]:
    """SpaCy's blank English, and its special cases."""
    try:
        import spacy
    except ImportError:
        raise ExtraMissing("spacy", "spacy") from None
    language: Any = spacy.blank("en")
    return language, frozenset(language.tokenizer.rules)


def cut(data: np.ndarray, starts: np.ndarray, chunks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return starts (rows + 1,) int64 and spans (tokens, 2) int32 of the tokens of ``chunks``.

    ``chunks`` (n, 2) int32 are what white space separates, those of row i at starts[i]. Raises
    ExtraMissing without spaCy.
    """
    global _TABLE
    _english()
    if _TABLE.used > MOST_CUTS:
        _TABLE = _Table()
    hashes = np.empty(len(chunks), np.uint64)
    unknown = _unknown(data, chunks, _TABLE.keys, hashes)
    if len(unknown):
        _TABLE.add(hashes[unknown], *_ask([bytes(data[a:b]) for a, b in chunks[unknown].tolist()]))
    slots = np.empty(len(chunks), np.int64)
    count = _find(hashes, _TABLE.keys, _TABLE.places, slots)
    spans = np.empty((count, 2), np.int32)
    firsts = np.empty(len(starts), np.int64)
    _lay_out(chunks, starts, slots, _TABLE.places, _TABLE.pool, firsts, spans)
    return firsts, spans


def _ask(chunks: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Return cuts a chunk (n,) and the end bytes of all tokens, in order, as spaCy cuts them."""
    language, special = _english()
    sizes, cuts = np.empty(len(chunks), np.int64), []
    with language.memory_zone():
        for index, chunk in enumerate(chunks):
            text = chunk.decode("utf-8", "replace")
            known = text.isascii() and text.isalpha() and text not in special
            if known or len(chunk) > MAX_CHUNK:  # letters only are cut in special cases only
                ends = [min(len(chunk), MAX_CHUNK + 1)]
            elif text.isascii():
                ends = [token.idx + len(token) for token in language.tokenizer(text)]
            else:
                ends, end = [], 0
                for token in language.tokenizer(text):
                    end += len(token.text.encode())
                    ends.append(end)
            sizes[index] = len(ends)
            cuts += ends
    return sizes, np.array(cuts, np.uint16)


@kernel
def _insert(keys: np.ndarray, places: np.ndarray, new: np.ndarray, new_places: np.ndarray) -> None:
    mask = np.int64(len(keys) - 1)
    for index in range(len(new)):
        if new[index] == _EMPTY:
            continue
        slot = np.int64(new[index] >> _ONE) & mask
        while keys[slot] != _EMPTY and keys[slot] != new[index]:
            slot = (slot + 1) & mask
        keys[slot] = new[index]
        places[slot, 0], places[slot, 1] = new_places[index, 0], new_places[index, 1]


@kernel
def _unknown(
    data: np.ndarray, chunks: np.ndarray, keys: np.ndarray, hashes: np.ndarray
) -> np.ndarray:
    """Fill ``hashes``; return the first place of every chunk that ``keys`` lacks."""
    missing = np.empty(len(chunks), np.int64)
    count = 0
    mask = np.int64(len(keys) - 1)
    capacity = 16
    while capacity < 2 * len(chunks):
        capacity *= 2
    met = np.zeros(capacity, np.uint64)
    for index in range(len(chunks)):
        key = hash_span(data, chunks[index, 0], chunks[index, 1]) | _ONE
        hashes[index] = key
        slot = np.int64(key >> _ONE) & mask
        while keys[slot] != key and keys[slot] != _EMPTY:
            slot = (slot + 1) & mask
        if keys[slot] == key:
            continue
        slot = np.int64(key >> _ONE) & (capacity - 1)
        while met[slot] != key and met[slot] != _EMPTY:
            slot = (slot + 1) & (capacity - 1)
        if met[slot] == _EMPTY:
            met[slot] = key
            missing[count] = index
            count += 1
    return missing[:count]


@kernel
def _find(hashes: np.ndarray, keys: np.ndarray, places: np.ndarray, slots: np.ndarray) -> int:
    """Fill ``slots`` with the slot of every chunk; return the tokens in all."""
    mask = np.int64(len(keys) - 1)
    count = 0
    for index in range(len(hashes)):
        slot = np.int64(hashes[index] >> _ONE) & mask
        while keys[slot] != hashes[index]:
            slot = (slot + 1) & mask
        slots[index] = slot
        count += places[slot, 1]
    return count


@kernel
def _lay_out(
    chunks: np.ndarray,
    starts: np.ndarray,
    slots: np.ndarray,
    places: np.ndarray,
    pool: np.ndarray,
    firsts: np.ndarray,
    spans: np.ndarray,
) -> None:
    count = 0
    for row in range(len(starts) - 1):
        firsts[row] = count
        for chunk in range(starts[row], starts[row + 1]):
            first = chunks[chunk, 0]
            place, cuts = places[slots[chunk], 0], places[slots[chunk], 1]
            begin = first
            for which in range(place, place + cuts):
                end = first + np.int32(pool[which])
                if which == place + cuts - 1:
                    end = chunks[chunk, 1]
                spans[count, 0], spans[count, 1] = begin, end
                begin = end
                count += 1
    firsts[len(starts) - 1] = count
