"""General signals: scripts, entropy, addresses, longest word and line.

No published rule asks for them; they are what one looks at beside the rules.
"""

from __future__ import annotations

from math import log2

import numpy as np
import pyarrow as pa

from corpusforge.kernels.jit import kernel
from corpusforge.kernels.signals import Signal
from corpusforge.kernels.text_column import named_columns, text_buffers
from corpusforge.kernels.text_tables import SCRIPTS, scripts
from corpusforge.kernels.words import BREAK, LETTER, SPACE, code_point, text_classes

CHARS, LETTERS, URL_CHARS, LONGEST_WORD, LONGEST_LINE, MICRO_BITS, MILLION = range(7)
SCRIPT = 7  # column SCRIPT + code; code 0 is every other script
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
    _count(data, bounds, valid, text_classes(), scripts(), counts)
    return named_columns(SIGNALS, counts, valid)


@kernel
def _count(
    data: np.ndarray,
    bounds: np.ndarray,
    valid: np.ndarray,
    classes: np.ndarray,
    scripts: np.ndarray,
    counts: np.ndarray,
) -> None:
    frequency = np.zeros(len(classes), np.int64)  # all 0 again after each text
    for row in range(len(valid)):
        if valid[row]:
            start, stop = int(bounds[row]), int(bounds[row + 1])
            _count_text(data, start, stop, classes, scripts, frequency, counts[row])
            counts[row, MICRO_BITS] = _micro_bits(data, start, stop, frequency, counts[row, CHARS])
        counts[row, MILLION] = 1_000_000


@kernel
def _count_text(
    data: np.ndarray,
    start: int,
    stop: int,
    classes: np.ndarray,
    scripts: np.ndarray,
    frequency: np.ndarray,
    counts: np.ndarray,
) -> None:
    word, line, longest_word, longest_line, chars, letters, in_url = 0, 0, 0, 0, 0, 0, False
    index = start
    while index < stop:
        point, size = code_point(data, index, stop)
        kind = int(classes[point])
        chars += 1
        frequency[point] += 1
        line = 0 if kind & BREAK else line + 1
        longest_line = max(longest_line, line)
        if kind & SPACE:
            word, in_url = 0, False
        else:
            word += 1
            longest_word = max(longest_word, word)
            in_url = in_url or _begins_url(data, index, stop)
            counts[URL_CHARS] += in_url
        if kind & LETTER:
            letters += 1
            counts[SCRIPT + scripts[point]] += 1
        index += size
    counts[CHARS], counts[LETTERS] = chars, letters
    counts[LONGEST_WORD], counts[LONGEST_LINE] = longest_word, longest_line


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
def _micro_bits(data: np.ndarray, start: int, stop: int, frequency: np.ndarray, chars: int) -> int:
    """Entropy in millionths of a bit; sets ``frequency`` back to 0."""
    bits = 0.0
    index = start
    while index < stop:
        point, size = code_point(data, index, stop)
        times = frequency[point]
        if times > 0:
            share = times / chars
            bits -= share * log2(share)
            frequency[point] = 0
        index += size
    return round(bits * 1e6)
