"""MinHash signatures, definition ``forge-minhash-1``: tokens, shingles, minima, bands, sketches.

A token is a run of word characters (letters, numbers, ``_``) folded to lower case, or one character
of a script without spaces. Its hash w is the mixed polynomial of its code points in P modulo 2^64;
a shingle's hash is the upper half of the mixed polynomial of ``ngram`` consecutive w. A text of
fewer tokens has one shingle of all of them; a text without tokens has no signature.
The minima equal datasketch's ``MinHash(scheme="affine32")`` fed with the same 32-bit hashes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import comb
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from corpusforge.kernels.jit import kernel
from corpusforge.kernels.unicode_classes import UNICODE_VERSION, is_category, simple_lower

if TYPE_CHECKING:
    from datasketch import MinHash

VERSION = f"forge-minhash-1 unicode-{UNICODE_VERSION}"

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
Number = TypeVar("Number", bound=np.generic)

_P = np.uint64(0x9E3779B97F4A7C15)
_M = np.uint64(0xD6E8FEB86659FD93)
_ZERO = np.uint64(0)
_HALF = np.uint64(32)
_HIGHEST = np.uint32(0xFFFFFFFF)
_ALONE = 1 << 16  # flag of a character that is a token by itself
_SEGMENT = 8192  # bytes of text whose tokens and hashes stay in the first-level cache
_LANES = 32  # hashes are padded to whole vectors

# Thai and Lao, Burmese, Khmer, kana, CJK extension A, CJK, CJK compatibility: (first, last).
_WITHOUT_SPACES = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF)),
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF)),
)


@dataclass(frozen=True)
class Signatures:
    """Signatures of n texts: ``tokens`` (n,) and ``minima`` (n, K).

    A null text, or one without tokens, has 0 tokens and every minimum at its highest value.
    """

    tokens: I64
    minima: U32

    @property
    def has(self) -> npt.NDArray[np.bool_]:
        """Which texts have a signature: (n,)."""
        return self.tokens > 0


@cache
def permutations(count: int, seed: int) -> tuple[U32, U32]:
    """Return (a, b), (count,) each, of datasketch's ``affine32``: a * h + b mod 2^32, a odd.

    Drawn as datasketch 2.0 draws them, which a test compares: importing it takes every worker
    0.7 s, for scipy.
    """
    draw = np.random.RandomState(seed)
    a = draw.randint(0, 1 << 31, count, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return _frozen(a), _frozen(draw.randint(0, 1 << 32, count, dtype=np.uint32))


def sign(text: pa.StringArray | pa.LargeStringArray, a: U32, b: U32, ngram: int) -> Signatures:
    """Return the signatures of ``text`` under the permutations ``a``, ``b`` (K,).

    ``ngram`` is the number of tokens of a shingle. Nulls and slices are allowed.
    """
    data, bounds = bytes_of(text)
    tokens = np.zeros(len(text), dtype=np.int64)
    minima = np.full((len(text), len(a)), _HIGHEST, dtype=np.uint32)
    _sign(data, bounds, characters(), a, b, ngram, tokens, minima)
    return Signatures(tokens, minima)


def exact_keys(
    text: pa.StringArray | pa.LargeStringArray, mode: Literal["bytes", "tokens"]
) -> pa.FixedSizeBinaryArray:
    """Return the key of exact deduplication of each text: (n,) fixed_size_binary(16).

    xxh3-128 of the UTF-8 bytes, or of the token hashes w as little-endian 64-bit words, which
    sees through case, white space and punctuation. Null for a null text, and in mode ``tokens``
    for a text without tokens.
    """
    data, bounds = bytes_of(text)
    valid = text.is_valid().to_numpy(zero_copy_only=False)
    words = np.empty(_SEGMENT // 2 + 4, dtype=np.uint64)
    view = data.data
    keys = []
    for row in range(len(text)):
        at, end = int(bounds[row, 0]), int(bounds[row, 1])
        if mode == "bytes":
            keys.append(xxhash.xxh3_128_digest(view[at:end]))
            continue
        digest, total = xxhash.xxh3_128(), 0
        state, opened = _ZERO, False
        while at < end:
            at, filled, state, opened = scan(
                data, at, end, characters(), words, 0, np.uint64(state), opened
            )
            digest.update(words[:filled].astype("<u8").tobytes())
            total += filled
        valid[row] &= total > 0
        keys.append(digest.digest())
    return pa.array(
        [key if there else None for key, there in zip(keys, valid, strict=True)], pa.binary(16)
    )


def band_keys(minima: U32, bands: int, rows: int) -> U64:
    """Return one key a band of ``rows`` minima: (n, bands); equal keys make two texts candidates.

    ``minima`` is (n, bands * rows). Keys of different bands differ, whatever the minima.
    """
    if minima.shape[1] != bands * rows:
        raise ValueError(f"{minima.shape[1]} minima are not {bands} bands of {rows}")
    keys = np.empty((len(minima), bands), dtype=np.uint64)
    _band_keys(minima, keys)
    return keys


def sketch(minima: U32) -> U8:
    """Return the low byte of each minimum: (n, K)."""
    return minima.astype(np.uint8)


def estimate(matches: npt.ArrayLike, count: int) -> npt.NDArray[np.float64]:
    """Return the Jaccard similarity that ``matches`` equal bytes of ``count`` stand for.

    Unequal minima agree in their low byte once in 256, so m = s + (1 - s) / 256 (b-bit minwise
    hashing: Li and Koenig 2010). With 128 minima, 90 matches are the fewest that reach 0.70.
    """
    share = np.asarray(matches, dtype=np.float64) / count
    return np.maximum((share - 1 / 256) / (1 - 1 / 256), 0.0)


def similarity(sketch_a: U8, sketch_b: U8) -> npt.NDArray[np.float32]:
    """Return the estimated Jaccard similarity of each pair of sketches: (n, K) twice -> (n,)."""
    matches = np.count_nonzero(sketch_a == sketch_b, axis=-1)
    return estimate(matches, sketch_a.shape[-1]).astype(np.float32)


def detection_curve(bands: int, rows: int, similarities: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the chance that a pair of each Jaccard similarity shares a band: 1 - (1 - s^r)^b.

    Source: Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, 3.4.2.
    """
    s = np.asarray(similarities, dtype=np.float64)
    return 1.0 - (1.0 - s**rows) ** bands


def acceptance(count: int, minimum: float, similarities: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the chance that the estimate of each similarity reaches ``minimum``.

    The equal bytes of ``count`` are binomial, with the chance that ``estimate`` corrects for.
    """
    values = np.atleast_1d(np.asarray(similarities, dtype=np.float64))
    enough = np.flatnonzero(estimate(np.arange(count + 1), count) >= minimum).tolist()
    chances = values + (1 - values) / 256
    sums = [sum(comb(count, k) * p**k * (1 - p) ** (count - k) for k in enough) for p in chances]
    return np.array(sums, dtype=np.float64)


def to_datasketch(minima: U32, a: U32, b: U32, seed: int = 1) -> MinHash:
    """Return one row of minima (K,) as a datasketch object that goes on with the same functions."""
    from datasketch import MinHash

    return MinHash(seed=seed, hashvalues=minima, permutations=np.array([a, b]), scheme="affine32")


@cache
def characters() -> U32:
    """(65536,): folded code point of each token character, with _ALONE; 0 for separators.

    Code points above separate too.
    """
    entries = np.zeros(1 << 16, dtype=np.uint32)
    word = is_category("L", "N")[: 1 << 16]
    word[ord("_")] = True
    entries[word] = simple_lower()[: 1 << 16][word]
    for first, last in _WITHOUT_SPACES:
        entries[first : last + 1] = simple_lower()[first : last + 1] | _ALONE
    return _frozen(entries)


def bytes_of(text: pa.StringArray | pa.LargeStringArray) -> tuple[U8, I64]:
    """Return the UTF-8 buffer (read-only) and start and end of each text in it: (n, 2)."""
    width = np.int64 if pa.types.is_large_string(text.type) else np.int32
    _, offsets, values = text.buffers()
    bounds = np.zeros((len(text), 2), dtype=np.int64)
    if len(text):
        steps = np.frombuffer(offsets, dtype=width)[text.offset : text.offset + len(text) + 1]
        bounds[:, 0], bounds[:, 1] = steps[:-1], steps[1:]
    if text.null_count:
        null = text.is_null().to_numpy(zero_copy_only=False)
        bounds[null, 1] = bounds[null, 0]
    data = np.frombuffer(values if values is not None else b"", dtype=np.uint8)
    return _frozen(data), bounds


def _frozen(array: npt.NDArray[Number]) -> npt.NDArray[Number]:
    array.setflags(write=False)
    return array


@kernel
def mix(value: np.uint64) -> np.uint64:
    """Spread every bit of a uint64 over all bits."""
    value ^= value >> _HALF
    value *= _M
    value ^= value >> _HALF
    value *= _M
    return value ^ (value >> _HALF)


@kernel
def scan(
    data: U8,
    at: int,
    end: int,
    characters: U32,
    words: U64,
    filled: int,
    state: np.uint64,
    opened: bool,
) -> tuple[int, int, np.uint64, bool]:
    """Append to ``words`` the hashes of the tokens that end within the next segment of a text.

    ``state`` and ``opened`` carry an unfinished token from one segment to the next. Returns
    (at, filled, state, opened); the last token is closed once ``at`` is ``end``.
    """
    first = filled
    stop = min(at + _SEGMENT, end)
    while at < stop:
        byte = np.int64(data[at])
        if byte < 0x80:
            # No branch on the character: a separator multiplies the state by 0.
            entry = np.uint64(characters[byte])
            inside = entry != _ZERO
            words[filled] = state
            filled += opened & (not inside)
            state = state * (_P if inside else _ZERO) + entry
            opened = inside
            at += 1
            continue
        entry = _ZERO
        if byte < 0xC0:  # a stray continuation byte separates
            at += 1
        elif byte < 0xE0:
            if at + 1 < end:
                entry = np.uint64(characters[(byte & 0x1F) << 6 | (np.int64(data[at + 1]) & 0x3F)])
            at += 2
        elif byte < 0xF0:
            if at + 2 < end:
                middle = (np.int64(data[at + 1]) & 0x3F) << 6
                entry = np.uint64(
                    characters[(byte & 0x0F) << 12 | middle | (np.int64(data[at + 2]) & 0x3F)]
                )
            at += 3
        else:
            at += 4
        if entry >= np.uint64(_ALONE) or entry == _ZERO:
            if opened:
                words[filled] = state
                filled += 1
            if entry != _ZERO:
                words[filled] = entry - np.uint64(_ALONE)
                filled += 1
            state, opened = _ZERO, False
        else:
            state = state * _P + entry
            opened = True
    at = min(at, end)
    if at == end and opened:
        words[filled] = state
        filled += 1
        opened = False
    for index in range(first, filled):
        words[index] = mix(words[index])
    return at, filled, state, opened


@kernel
def _lower_minima(
    words: U64, count: int, a: U32, b: U32, ngram: int, sums: U64, minima: U32
) -> None:
    """Lower ``minima`` (K,) by the ``count`` shingles that start at words[0], words[1], ..."""
    for index in range(count):
        sums[index] = words[index]
    for step in range(1, ngram):
        for index in range(count):
            sums[index] = sums[index] * _P + words[index + step]
    hashes = np.empty(count + _LANES, dtype=np.uint32)
    for index in range(count):
        # datasketch's pre-mix: the finalizer of MurmurHash3.
        h = np.uint32(mix(sums[index]) >> _HALF)
        h ^= h >> np.uint32(16)
        h = np.uint32(h * np.uint32(0x85EBCA6B))
        h ^= h >> np.uint32(13)
        h = np.uint32(h * np.uint32(0xC2B2AE35))
        hashes[index] = h ^ (h >> np.uint32(16))
    padded = (count + _LANES - 1) // _LANES * _LANES
    for index in range(count, padded):
        hashes[index] = hashes[0]  # a repeated hash changes no minimum
    for k in range(len(a)):
        lowest = minima[k]
        for index in range(padded):
            lowest = min(lowest, np.uint32(a[k] * hashes[index] + b[k]))
        minima[k] = lowest


@kernel
def _sign(
    data: U8, bounds: I64, characters: U32, a: U32, b: U32, ngram: int, tokens: I64, minima: U32
) -> None:
    words = np.empty(_SEGMENT // 2 + 4 + ngram, dtype=np.uint64)
    sums = np.empty_like(words)
    for row in range(len(bounds)):
        at, end = bounds[row, 0], bounds[row, 1]
        carried, total, state, opened = 0, 0, _ZERO, False
        while at < end:
            at, filled, state, opened = scan(
                data, at, end, characters, words, carried, state, opened
            )
            total += filled - carried
            carried = filled
            if filled >= ngram:
                shingles = filled - ngram + 1
                _lower_minima(words, shingles, a, b, ngram, sums, minima[row])
                carried = ngram - 1
                for index in range(carried):
                    words[index] = words[shingles + index]
        if 0 < total < ngram:
            _lower_minima(words, 1, a, b, total, sums, minima[row])
        tokens[row] = total


@kernel
def _band_keys(minima: U32, keys: U64) -> None:
    rows = minima.shape[1] // keys.shape[1]
    for row in range(len(minima)):
        for band in range(keys.shape[1]):
            key = np.uint64(band + 1)
            for index in range(band * rows, (band + 1) * rows):
                key = key * _P + np.uint64(minima[row, index])
            keys[row, band] = mix(key)
