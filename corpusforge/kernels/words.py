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
_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)


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
    """Return the hash of each stop word, as ``scan_words`` gives it: (8,) uint64."""
    text = np.frombuffer(" ".join(STOP).encode(), np.uint8)
    none, counts = np.empty(0, np.uint64), np.zeros(WORD_COUNTS, np.int64)
    return scan_words(text, 0, len(text), text_classes(), none, counts)[0]


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


@kernel
def ascii_word(data: np.ndarray, index: int, stop: int, classes: np.ndarray) -> int:
    """Return where the ASCII letters and digits from ``index`` end."""
    while index < stop and data[index] < 0x80 and classes[data[index]] & WORD:
        index += 1
    return index


@kernel
def count_words(data: np.ndarray, start: int, stop: int, classes: np.ndarray) -> tuple[int, int]:
    """Return the characters and words of data[start:stop], as ``scan_words`` counts them."""
    chars, words, is_open, alone, index = 0, 0, False, False, start
    while index < stop:
        end = ascii_word(data, index, stop, classes)
        if end > index:
            words += not is_open or alone
            chars += end - index
            is_open, alone, index = True, False, end
            continue
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
    most = (stop - start + 1) // 2 + 1  # a one-byte word needs a separator; others have 3 bytes
    hashes = np.empty(most, np.uint64)
    lengths = np.empty(most, np.int32)
    gaps = np.empty(most, np.uint8)
    words, chars, numbers, letters, uppers = 0, 0, 0, 0, 0
    alphabetic, marks, hash_signs, seen_stop = 0, 0, 0, 0
    state, length, seen = _FNV_OFFSET, 0, 0  # of the open word; length 0: none is open
    gap = 1
    index = start
    while index <= stop:
        kind, size = SPACE, 1
        if index < stop:  # the end counts as a separator
            point, size = code_point(data, index, stop)
            kind = int(classes[point])
            chars += 1
            hash_signs += point == 0x23
        inside = kind & WORD != 0
        opens = inside and (length == 0 or ((kind | seen) & ALONE != 0 and kind & MARK == 0))
        if length > 0 and (opens or not inside):
            hashes[words] = mix(state)
            lengths[words] = length
            gaps[words] = gap
            alphabetic += seen & LETTER != 0
            if length <= 4:
                for which in range(len(stop_words)):
                    if hashes[words] == stop_words[which]:
                        seen_stop |= 1 << which
            words += 1
            gap = 0
        if opens:
            state, length, seen = _FNV_OFFSET, 0, 0
        if not inside:
            length = 0
            gap = 1
            marks += kind & SPACE == 0
        while inside:
            for step in range(size):
                state = (state ^ np.uint64(data[index + step])) * _FNV_PRIME
            length += 1
            seen |= kind
            numbers += kind & NUMBER != 0
            letters += kind & LETTER != 0
            uppers += kind & UPPER != 0
            following = index + size
            if following == stop or data[following] >= 0x80 or seen & ALONE:
                break
            kind = int(classes[data[following]])
            if kind & WORD == 0:
                break
            index, size = following, 1  # most words go on in ASCII
            chars += 1
        index += size
    counts[CHARS], counts[WORDS], counts[ALPHA_WORDS] = chars, words, alphabetic
    counts[WORD_CHARS] = lengths[:words].sum()
    counts[NUMBERS], counts[LETTERS], counts[UPPERS] = numbers, letters, uppers
    counts[HASHES], counts[TOKENS] = hash_signs, words + marks
    for which in range(len(stop_words)):
        counts[STOP_WORDS] += (seen_stop >> which) & 1
    return hashes[:words], lengths[:words], gaps[:words]
