"""General signals: scripts, entropy, compression, addresses, longest word and line.

No published rule asks for them; they are what one looks at beside the rules.
"""

from __future__ import annotations

from math import log2

import numpy as np
import pyarrow as pa

from corpusforge.kernels.compression import block_size, places
from corpusforge.kernels.jit import kernel
from corpusforge.kernels.signals import Signal
from corpusforge.kernels.text_column import named_columns, text_buffers
from corpusforge.kernels.text_tables import SCRIPTS, scripts
from corpusforge.kernels.words import (
    BLOCK,
    BREAK,
    LETTER,
    SPACE,
    byte_set,
    code_point,
    find_bytes,
    text_classes,
)

CHARS, LETTERS, URL_CHARS, LONGEST_WORD, LONGEST_LINE, MICRO_BITS, MILLION = range(7)
BYTES, PACKED, SCRIPT = 7, 8, 9  # column SCRIPT + code; code 0 is every other script
COUNTS = SCRIPT + 1 + len(SCRIPTS)
_SEEN = byte_set(ord("."), ord(":"))  # white space, and what stands behind www and http

SIGNALS = (
    *(
        Signal(
            f"{name}_ratio", SCRIPT + code, LETTERS, f"letters of {' or '.join(names)} / letters"
        )
        for code, (name, names) in enumerate(SCRIPTS.items(), 1)
    ),
    Signal(
        *("char_entropy", MICRO_BITS, MILLION),
        "entropy of the characters' frequencies in bits, to a millionth; Shannon 1948",
    ),
    Signal(
        *("compression_ratio", BYTES, PACKED),
        "bytes / bytes of an LZ4 block of them (kernels.compression); plain text has about 1.5",
    ),
    Signal(
        *("url_char_ratio", URL_CHARS, CHARS),
        "characters from http:// or https:// or www. up to white space / characters",
    ),
    Signal("longest_word", LONGEST_WORD, None, "characters of the longest word of white space"),
    Signal("longest_line", LONGEST_LINE, None, "characters of the longest line of str.splitlines"),
)


def measure(text: pa.StringArray) -> dict[str, np.ndarray]:
    """Return every signal of every text by name, in the order of SIGNALS.

    Each is (rows,): int64 for a count, float64 for a share. A null text has 0 or NaN.
    """
    data, bounds, valid = text_buffers(text)
    counts = np.zeros((len(text), COUNTS), np.int64)
    _count(data, bounds, valid, text_classes(), scripts(), places(), counts)
    return named_columns(SIGNALS, counts, valid)


@kernel
def _count(
    data: np.ndarray,
    bounds: np.ndarray,
    valid: np.ndarray,
    classes: np.ndarray,
    scripts: np.ndarray,
    places: np.ndarray,
    counts: np.ndarray,
) -> None:
    frequency = np.zeros(len(classes), np.int32)  # all 0 again after each text
    points = np.empty(len(classes), np.int32)
    for row in range(len(valid)):
        if valid[row]:
            start, stop = int(bounds[row]), int(bounds[row + 1])
            mine = counts[row]
            different = _count_text(data, start, stop, classes, scripts, frequency, points, mine)
            mine[MICRO_BITS] = _micro_bits(points[:different], frequency, mine[CHARS])
            mine[BYTES] = stop - start
            mine[PACKED] = block_size(data, start, stop, places)
        counts[row, MILLION] = 1_000_000


@kernel
def _count_text(
    data: np.ndarray,
    start: int,
    stop: int,
    classes: np.ndarray,
    scripts: np.ndarray,
    frequency: np.ndarray,
    points: np.ndarray,
    counts: np.ndarray,
) -> int:
    """Fill all but the last three counts; ``points`` becomes the characters, returns how many."""
    longest_word, longest_line, letters, url_chars, different = 0, 0, 0, 0, 0
    chars, word, line, url = 0, 0, 0, -1  # the characters before the open word, line, address
    places = np.empty(BLOCK + 1, np.int32)
    index = start
    for block in range(start, stop + 1, BLOCK):
        for byte in data[block : min(block + BLOCK, stop)]:
            frequency[byte & 0x7F] += 1 - (byte >> 7)
        for place in places[: find_bytes(data, block, stop, _SEEN, places)]:
            if place < index:
                continue  # inside of a character
            chars += place - index
            begin, index = index, place
            if index == stop:
                break
            point, size = code_point(data, index, stop)
            kind = int(classes[point])
            if point >= 0x80:
                if frequency[point] == 0:
                    points[different] = point
                    different += 1
                frequency[point] += 1
                if kind & LETTER:
                    letters += 1
                    counts[SCRIPT + scripts[point]] += 1
            elif point in (0x3A, 0x2E):
                named = _url_letters(data, begin, index, stop)
                if named > 0 and url < 0:
                    url = chars - named
            if kind & SPACE:
                longest_word = max(longest_word, chars - word)
                word = chars + 1
                if url >= 0:
                    url_chars += chars - url
                    url = -1
                if kind & BREAK:
                    longest_line = max(longest_line, chars - line)
                    line = chars + 1
            chars += 1
            index += size
    latin = 0
    for point in range(0x80):
        if frequency[point] > 0:
            points[different] = point
            different += 1
            latin += frequency[point] * (classes[point] & LETTER)
    counts[CHARS], counts[LETTERS] = chars, letters + latin
    counts[SCRIPT + scripts[0x61]] += latin
    counts[URL_CHARS] = url_chars + (chars - url if url >= 0 else 0)
    counts[LONGEST_WORD] = max(longest_word, chars - word)
    counts[LONGEST_LINE] = max(longest_line, chars - line)
    return different


@kernel
def _url_letters(data: np.ndarray, begin: int, end: int, stop: int) -> int:
    """Letters of http, https or www that close data[begin:end], :// or . behind them; or 0."""
    if begin == end:
        return 0
    if data[end] == 0x2E:
        www = end - begin >= 3 and data[end - 1] == 0x77
        return 3 if www and data[end - 2] == 0x77 and data[end - 3] == 0x77 else 0
    size = 4 + (data[end - 1] == 0x73)
    at = end - size
    if at < begin or at + 8 > stop or data[end + 1] != 0x2F or data[end + 2] != 0x2F:
        return 0
    http = data[at] == 0x68 and data[at + 1] == 0x74 and data[at + 2] == 0x74
    return size if http and data[at + 3] == 0x70 else 0


@kernel
def _micro_bits(points: np.ndarray, frequency: np.ndarray, chars: int) -> int:
    """Entropy in millionths of a bit; sets ``frequency`` of ``points`` back to 0."""
    bits = 0.0
    for point in points:
        share = frequency[point] / chars
        bits -= share * log2(share)
        frequency[point] = 0
    return round(bits * 1e6)
