"""Words of a text: the ``unicode`` splitter, one pass over the UTF-8 bytes.

A word is a run of letters, numbers and marks (general categories L, N, M). Scripts written without
spaces (Han, kana, Thai, Lao, Burmese, Khmer, ...) give one word a letter, its marks included.
Punctuation and symbols are no words; they separate them.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from corpusforge.kernels.jit import kernel
from corpusforge.kernels.unicode_classes import (
    is_category,
    is_sentence_terminal,
    is_white_space,
)

# Class bits of a code point.
LETTER, NUMBER, MARK, ALONE, SPACE, BREAK, UPPER, TERMINAL = (1 << bit for bit in range(8))
WORD = LETTER | NUMBER | MARK

# Blocks of scripts without spaces between words.
_ALONE_BLOCKS = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF)),  # Thai, Lao; Burmese; Khmer
    *((0x1950, 0x19DF), (0x1A20, 0x1AAF)),  # Tai Le, New Tai Lue; Tai Tham
    *((0x3005, 0x3007), (0x3021, 0x3029), (0x3038, 0x303C)),  # ideographic letters and numbers
    *((0x3040, 0x312F), (0x31A0, 0x31BF), (0x31F0, 0x31FF)),  # kana, Bopomofo
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF)),  # Han
    *((0xA9E0, 0xA9FF), (0xAA60, 0xAADF)),  # Burmese extensions, Tai Viet
    *((0xFF66, 0xFF9F), (0x1AFF0, 0x1B16F), (0x20000, 0x3FFFF)),  # half-width kana; Han extensions
)

CHARS, WORDS, WORD_CHARS, ALPHA_WORDS, STOP_WORDS = range(5)
TOKENS, NUMBERS, LETTERS, UPPERS, HASHES = range(5, 10)
WORD_COUNTS = 10  # columns that scan_words fills

STOP = ("the", "be", "to", "of", "and", "that", "have", "with")  # Rae et al. 2021, A1.1

_REPLACEMENT = 0xFFFD
_OFFSET = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_ONE, _FIELD, _LETTERS = np.uint64(1), np.uint64(0xFFFF), np.uint64(0x4040404040404040)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_HALF, _SLOT = np.uint64(32), np.uint64(56)


@cache
def text_classes() -> np.ndarray:
    """Return the class bits of every code point: (0x110000,) uint8.

    White space is that of ``str.isspace``: the property White_Space and U+001C-001F; BREAK are the
    line boundaries of ``str.splitlines``.
    """
    classes = np.zeros(0x110000, np.uint8)
    white = is_white_space()
    white[0x1C:0x20] = True
    terminal = is_sentence_terminal().copy()
    terminal[[0x17D6, 0x17D9, 0x17DA]] = True  # Khmer marks that FineWeb's list holds beside it
    for bit, members in (
        (LETTER, is_category("L")),
        (NUMBER, is_category("N")),
        (MARK, is_category("M")),
        (SPACE, white),
        (BREAK, [*range(0x0A, 0x0E), 0x1C, 0x1D, 0x1E, 0x85, 0x2028, 0x2029]),
        (UPPER, is_category("Lu", "Lt")),
        (TERMINAL, terminal),
    ):
        classes[members] |= bit
    for first, last in _ALONE_BLOCKS:
        block = classes[first : last + 1]
        block[block & (LETTER | NUMBER) != 0] |= ALONE
    classes.setflags(write=False)
    return classes


@cache
def stop_hashes() -> np.ndarray:
    """Return the hash of each stop word, as ``scan_words`` gives it, in its slot: (256,) uint64."""
    text = np.frombuffer(" ".join(STOP).encode(), np.uint8)
    counts = np.zeros(WORD_COUNTS, np.int64)
    hashes = scan_words(text, 0, len(text), text_classes(), no_stop_words(), counts)[0]
    table = no_stop_words()
    table[hashes >> _SLOT] = hashes
    assert np.count_nonzero(table) == len(STOP), "two stop words share a slot"
    return table


def no_stop_words() -> np.ndarray:
    """Return what ``scan_words`` takes where stop words are not counted: (256,) uint64."""
    return np.zeros(256, np.uint64)


@kernel
def mix(state: np.uint64) -> np.uint64:
    """Spread every bit of a uint64 over all bits."""
    state = (state ^ (state >> _HALF)) * _MIX
    state = (state ^ (state >> _HALF)) * _MIX
    return state ^ (state >> _HALF)


@kernel
def code_point(data: np.ndarray, index: int, stop: int) -> tuple[int, int]:
    """Decode the character at ``index``: (code point, its bytes). A malformed byte is U+FFFD."""
    lead = int(data[index])
    if lead < 0x80:
        return lead, 1
    size = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    if lead < 0xC2 or lead > 0xF4 or index + size > stop:
        return _REPLACEMENT, 1
    point = lead & (0x7F >> size)
    for step in range(1, size):
        byte = int(data[index + step])
        if byte & 0xC0 != 0x80:
            return _REPLACEMENT, 1
        point = (point << 6) | (byte & 0x3F)
    return point if point <= 0x10FFFF else _REPLACEMENT, size


BLOCK = 4096  # bytes that ``find_bytes`` looks at in one call


def byte_set(*members: int) -> np.ndarray:
    """Return for ``find_bytes`` what is in a set: ``members``, white space, all but ASCII."""
    among = np.zeros(256, np.uint8)
    among[[*range(0x09, 0x0E), *range(0x1C, 0x21), *members]] = 1
    among[0x80:] = 1
    return among


_NO_WORD = byte_set(*range(0x30), *range(0x3A, 0x41), *range(0x5B, 0x61), *range(0x7B, 0x80))
_PACKED = np.zeros(256, np.uint64)  # what a byte adds to the counts from NUMBERS on, 16 bits each
_PACKED[0x30:0x3A], _PACKED[0x61:0x7B], _PACKED[0x41:0x5B] = 1, 1 << 16, (1 << 32) + (1 << 16)
_PACKED[0x23] = 1 << 48


@kernel
def find_bytes(
    data: np.ndarray, start: int, stop: int, among: np.ndarray, places: np.ndarray
) -> int:
    """Write the places of the bytes of data[start : start + BLOCK] that ``among`` (256,) has.

    ``places`` is (BLOCK + 1,) int32; ``stop``, the end of the text, is such a place too, so that
    all other bytes are in runs that end at one. Returns how many. Without a branch a byte: what
    is looked for comes every few bytes, and guessing wrong costs more than a pass over all.
    """
    found = 0
    for index in range(start, min(start + BLOCK, stop)):
        places[found] = index
        found += int(among[data[index]])
    if stop < start + BLOCK:
        places[found] = stop
        found += 1
    return found


@kernel
def count_words(data: np.ndarray, start: int, stop: int, classes: np.ndarray) -> tuple[int, int]:
    """Return the characters and words of data[start:stop], as ``scan_words`` counts them."""
    chars, words, is_open, alone, index = 0, 0, False, False, start
    places = np.empty(BLOCK + 1, np.int32)
    for block in range(start, stop, BLOCK):
        for place in places[: find_bytes(data, block, stop, _NO_WORD, places)]:
            if place < index:
                continue  # inside of a character
            if place > index:  # letters and digits
                words += not is_open or alone
                chars += place - index
                is_open, alone, index = True, False, int(place)
            if index == stop:
                break
            point, size = code_point(data, index, stop)
            kind = int(classes[point])
            if kind & WORD == 0:
                is_open = False
            else:
                if not is_open or ((alone or kind & ALONE) and kind & MARK == 0):
                    words += 1
                    alone = False
                is_open, alone = True, alone or kind & ALONE != 0
            chars += 1
            index += size
    return chars, words


@kernel
def scan_words(
    data: np.ndarray,
    start: int,
    stop: int,
    classes: np.ndarray,
    stop_words: np.ndarray,
    counts: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split data[start:stop] (uint8) into words and fill counts[:WORD_COUNTS] (int64).

    Returns per word: its hash (uint64), its characters (int32), and whether something that is no
    word stands before it (uint8).
    """
    most = (stop - start + 1) // 2 + 2  # a one-byte word needs a separator; others have 3 bytes
    hashes = np.empty(most, np.uint64)
    lengths = np.empty(most, np.int32)
    gaps = np.empty(most, np.uint8)
    letter = np.empty(most, np.uint8)
    places = np.empty(BLOCK + 1, np.int32)
    words, chars, marks = 0, 0, 0
    state, length, seen, gap = _OFFSET, 0, 0, 1  # of the open word; length 0: none is open
    index = start
    for block in range(start, stop + 1, BLOCK):
        _count_ascii(data, block, min(block + BLOCK, stop), counts)
        for place in places[: find_bytes(data, block, stop, _NO_WORD, places)]:
            if place < index:
                continue  # inside of a character
            if place > index:  # letters and digits
                if length > 0 and seen & ALONE:
                    words, length, gap = words + 1, 0, 0
                if length == 0:
                    state, seen = _OFFSET, 0
                state, first = _hash_run(data, index, place, state)
                seen |= first
                length += place - index
                chars += place - index
                hashes[words], lengths[words], gaps[words] = state, length, gap
                letter[words] = seen & LETTER
                index = place
            if index == stop:
                break
            point, size = code_point(data, index, stop)
            kind = int(classes[point])
            if kind & WORD == 0:
                words += length > 0
                length, gap = 0, 1
                marks += kind & SPACE == 0
            else:
                if length > 0 and (kind | seen) & ALONE and kind & MARK == 0:
                    words, length, gap = words + 1, 0, 0
                if length == 0:
                    state, seen = _OFFSET, 0
                state = _hash_run(data, index, index + size, state)[0]
                seen |= kind
                length += 1
                counts[NUMBERS] += kind & NUMBER != 0
                counts[LETTERS] += kind & LETTER != 0
                counts[UPPERS] += kind & UPPER != 0
                hashes[words], lengths[words], gaps[words] = state, length, gap
                letter[words] = seen & LETTER
            chars += 1
            index += size
    words += length > 0
    met = np.zeros(256, np.bool_)
    for word in range(words):
        hashes[word] = mix(hashes[word])
        slot = hashes[word] >> _SLOT
        met[slot] |= hashes[word] == stop_words[slot]
    counts[CHARS], counts[WORDS], counts[TOKENS] = chars, words, words + marks
    counts[WORD_CHARS] = lengths[:words].sum()
    counts[ALPHA_WORDS] = letter[:words].sum()  # LETTER is 1
    counts[STOP_WORDS] += met.sum()
    return hashes[:words], lengths[:words], gaps[:words]


@kernel
def _count_ascii(data: np.ndarray, start: int, stop: int, counts: np.ndarray) -> None:
    """Add the ASCII numbers, letters, capitals and # of at most BLOCK bytes to ``counts``."""
    packed = np.uint64(0)
    for index in range(start, stop):
        packed += _PACKED[data[index]]
    for place in range(4):
        counts[NUMBERS + place] += np.int64(packed >> np.uint64(16 * place) & _FIELD)


@kernel
def _hash_run(data: np.ndarray, start: int, stop: int, state: np.uint64) -> tuple[np.uint64, int]:
    """Hash data[start:stop] on top of ``state``, eight bytes at a time.

    The other value is LETTER if a byte is an ASCII letter, where all are letters or digits: of
    these, letters have the bit 0x40.
    """
    seen = np.uint64(0)
    for index in range(start, stop, 8):
        block = np.uint64(0)
        if index + 8 <= len(data):
            for step in range(8):  # becomes one load
                block |= np.uint64(data[index + step]) << np.uint64(8 * step)
            if index + 8 > stop:
                block &= (_ONE << np.uint64(8 * (stop - index))) - _ONE
        else:
            for step in range(stop - index):
                block |= np.uint64(data[index + step]) << np.uint64(8 * step)
        seen |= block
        state = (state ^ block) * _PRIME
        state ^= state >> _HALF
    return state, LETTER if seen & _LETTERS else 0
