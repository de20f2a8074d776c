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
from corpusforge.kernels.words import BREAK, LETTER, SPACE, code_point, text_classes

CHARS, LETTERS, URL_CHARS, LONGEST_WORD, LONGEST_LINE, MICRO_BITS, MILLION = range(7)
BYTES, PACKED, SCRIPT = 7, 8, 9  # column SCRIPT + code; code 0 is every other script
COUNTS = SCRIPT + 1 + len(SCRIPTS)

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
    longest_word, longest_line, letters, latin, url_chars, different = 0, 0, 0, 0, 0, 0
    chars, word, line, url = 0, 0, 0, -1  # the characters before the open word, line, address
    index = start
    while index < stop:
        point, size = int(data[index]), 1
        if point >= 0x80:
            point, size = code_point(data, index, stop)
        kind = int(classes[point])
        if frequency[point] == 0:
            points[different] = point
            different += 1
        frequency[point] += 1
        if kind & LETTER:
            if point < 0x80:
                latin += 1
                if point in (0x68, 0x77) and url < 0 and _begins_url(data, index, stop):
                    url = chars
            else:
                letters += 1
                counts[SCRIPT + scripts[point]] += 1
        elif kind & SPACE:
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
    counts[CHARS], counts[LETTERS] = chars, letters + latin
    counts[SCRIPT + scripts[0x61]] += latin
    counts[URL_CHARS] = url_chars + (chars - url if url >= 0 else 0)
    counts[LONGEST_WORD] = max(longest_word, chars - word)
    counts[LONGEST_LINE] = max(longest_line, chars - line)
    return different


@kernel
def _begins_url(data: np.ndarray, index: int, stop: int) -> bool:
    if data[index] == 0x77:
        return index + 4 <= stop and (
            data[index + 1] == 0x77 and data[index + 2] == 0x77 and data[index + 3] == 0x2E
        )
    if data[index] != 0x68 or index + 8 > stop:
        return False
    if data[index + 1] != 0x74 or data[index + 2] != 0x74 or data[index + 3] != 0x70:
        return False
    at = index + 4 + (data[index + 4] == 0x73)
    if at + 3 > stop:
        return False
    return bool(data[at] == 0x3A and data[at + 1] == 0x2F and data[at + 2] == 0x2F)


@kernel
def _micro_bits(points: np.ndarray, frequency: np.ndarray, chars: int) -> int:
    """Entropy in millionths of a bit; sets ``frequency`` of ``points`` back to 0."""
    bits = 0.0
    for point in points:
        share = frequency[point] / chars
        bits -= share * log2(share)
        frequency[point] = 0
    return round(bits * 1e6)
