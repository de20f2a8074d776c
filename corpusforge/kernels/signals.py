"""Signals: the numbers of a text that quality rules look at.

One compiled pass a text counts (``words``, ``lines``, ``repetition``); each signal is one of these
integers or the share of one in another. A share of nothing is 0.

Sources: [G] Gopher, Rae et al. 2021, arXiv 2112.11446, appendix A1; [F] FineWeb, Penedo et al.
2024, arXiv 2406.17557. What the papers leave open is as in datatrove 0.10, except the words
(``words``) and where a signal says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from corpusforge.kernels import lines, repetition, words
from corpusforge.kernels.jit import kernel
from corpusforge.kernels.lines import scan_lines
from corpusforge.kernels.repetition import (
    DUP_GRAMS,
    GRAMS,
    TOP_GRAMS,
    count_duplicates,
    count_grams,
)
from corpusforge.kernels.splitters import Tokens
from corpusforge.kernels.text_column import text_buffers
from corpusforge.kernels.tokens_as_words import span_hashes, token_words
from corpusforge.kernels.words import count_words, scan_words, stop_hashes, text_classes

BYTES, INLINE_CHARS = repetition.COUNTS, repetition.COUNTS + 1
COUNTS = repetition.COUNTS + 2


@dataclass(frozen=True)
class Signal:
    """A count of a text (int64), or the share of the count ``part`` in ``whole`` (float64)."""

    name: str
    part: int  # column of the counts
    whole: int | None
    meaning: str

    @property
    def kind(self) -> Literal["count", "share"]:
        """A count is stored as int64, a share as float64."""
        return "count" if self.whole is None else "share"

    def of(self, counts: np.ndarray) -> np.ndarray:
        """Return the values (rows,) of ``counts`` (rows, COUNTS) int64."""
        part = counts[:, self.part]
        if self.whole is None:
            return part.copy()
        return np.asarray(part / np.maximum(counts[:, self.whole], 1))


_ALL = (
    Signal("chars", words.CHARS, None, "code points"),
    Signal("bytes", BYTES, None, "bytes of UTF-8"),
    Signal("words", words.WORDS, None, "words"),
    Signal("tokens", words.TOKENS, None, "words and visible characters outside of words"),
    Signal(
        *("mean_word_length", words.WORD_CHARS, words.WORDS),
        "characters of words / words [G]",
    ),
    Signal("hash_word_ratio", words.HASHES, words.WORDS, "characters # / words [G]"),
    Signal(
        *("ellipsis_word_ratio", lines.ELLIPSES, words.WORDS),
        "... (not overlapping) and U+2026 / words [G]",
    ),
    Signal(
        *("bullet_line_ratio", lines.BULLET_LINES, lines.LINES),
        "lines whose first visible character is U+2022 or - / lines of str.splitlines [G]",
    ),
    Signal(
        *("ellipsis_line_ratio", lines.ELLIPSIS_LINES, lines.LINES),
        "lines that end in ... or U+2026 but for white space / lines of str.splitlines [G]",
    ),
    Signal(
        *("alpha_word_ratio", words.ALPHA_WORDS, words.WORDS),
        "words with a letter / words [G]; datatrove divides by words and punctuation marks",
    ),
    Signal(
        *("stop_words", words.STOP_WORDS, None),
        "how many of the, be, to, of, and, that, have, with occur, in lower case [G]",
    ),
    Signal("lines", lines.LINES, None, "lines of str.splitlines"),
    Signal(
        *("paragraphs", repetition.PARAGRAPHS, None),
        "parts of the stripped text between runs of two or more newlines",
    ),
    Signal(
        *("dup_line_fraction", repetition.DUP_PIECES, repetition.PIECES),
        "lines equal to an earlier one / lines, split at runs of newlines [G]",
    ),
    Signal(
        *("dup_line_char_fraction", repetition.DUP_PIECE_CHARS, words.CHARS),
        "characters of lines equal to an earlier one / characters [G]",
    ),
    Signal(
        *("dup_paragraph_fraction", repetition.DUP_PARAGRAPHS, repetition.PARAGRAPHS),
        "paragraphs equal to an earlier one / paragraphs [G]",
    ),
    Signal(
        *("dup_paragraph_char_fraction", repetition.DUP_PARAGRAPH_CHARS, words.CHARS),
        "characters of paragraphs equal to an earlier one / characters [G]",
    ),
    *(
        Signal(
            *(f"top_{n}_gram_char_fraction", GRAMS + n, words.CHARS),
            f"characters of the most frequent {n} words in a row, if they occur twice, times its"
            " occurrences / characters [G]",
        )
        for n in TOP_GRAMS
    ),
    *(
        Signal(
            *(f"dup_{n}_gram_char_fraction", GRAMS + n, words.CHARS),
            f"characters of every {n} words in a row that occurred before, each word counted once"
            " / characters [G]",
        )
        for n in DUP_GRAMS
    ),
    Signal("digit_ratio", words.NUMBERS, words.CHARS, "numbers (category N) / characters"),
    Signal("upper_ratio", words.UPPERS, words.LETTERS, "capital letters / letters"),
    Signal("white_space_ratio", lines.SPACES, words.CHARS, "white space / characters"),
    Signal(
        *("line_punct_ratio", lines.TERMINAL_PIECES, lines.VISIBLE_PIECES),
        "lines whose last character ends a sentence / lines between newlines, not blank [F]",
    ),
    Signal(
        *("short_line_ratio", lines.SHORT_PIECES, lines.VISIBLE_PIECES),
        "lines of at most 30 characters / lines between newlines, not blank [F]",
    ),
    Signal(
        *("char_dup_ratio", repetition.DUP_VISIBLE_CHARS, INLINE_CHARS),
        "characters of lines, not blank, equal to an earlier one / characters but newlines [F]",
    ),
    Signal(
        *("newline_ratio", lines.NEWLINES, words.TOKENS),
        "newlines / tokens [F]; the rule's words are a tokenizer's, punctuation included",
    ),
)
SIGNALS = {signal.name: signal for signal in _ALL}


def measure(text: pa.StringArray, tokens: Tokens | None = None) -> dict[str, np.ndarray]:
    """Return every signal of every text by name, in the order of SIGNALS.

    Each is (rows,): int64 for a count, float64 for a share. A null text has 0 or NaN. Words are
    those of ``words``, or of ``tokens`` the ones with a letter, number or mark.
    """
    data, bounds, valid = text_buffers(text)
    counts = np.zeros((len(text), COUNTS), np.int64)
    if tokens is None:
        _count(data, bounds, valid, text_classes(), stop_hashes(), counts)
    else:
        starts, spans = tokens.starts, tokens.spans
        _count_tokens(data, bounds, valid, starts, spans, text_classes(), span_hashes(), counts)
    signals = {name: signal.of(counts) for name, signal in SIGNALS.items()}
    for column in signals.values():
        if column.dtype == np.float64:
            column[~valid] = np.nan
    return signals


def sizes(text: pa.StringArray) -> dict[str, np.ndarray]:
    """Return the signals chars and words alone, which takes a fifth of the time."""
    data, bounds, valid = text_buffers(text)
    counts = np.zeros((len(text), 2), np.int64)
    _count_words(data, bounds, valid, text_classes(), counts)
    return {"chars": counts[:, 0].copy(), "words": counts[:, 1].copy()}


@kernel
def _count_words(
    data: np.ndarray, bounds: np.ndarray, valid: np.ndarray, classes: np.ndarray, counts: np.ndarray
) -> None:
    for row in range(len(valid)):
        if valid[row]:
            start, stop = int(bounds[row]), int(bounds[row + 1])
            counts[row, 0], counts[row, 1] = count_words(data, start, stop, classes)


@kernel
def _count(
    data: np.ndarray,
    bounds: np.ndarray,
    valid: np.ndarray,
    classes: np.ndarray,
    stop_words: np.ndarray,
    counts: np.ndarray,
) -> None:
    for row in range(len(valid)):
        if not valid[row]:
            continue
        start, stop = int(bounds[row]), int(bounds[row + 1])
        hashes, lengths, gaps = scan_words(data, start, stop, classes, stop_words, counts[row])
        count_grams(hashes, lengths, gaps, counts[row])
        _count_lines(data, start, stop, classes, counts[row])


@kernel
def _count_tokens(
    data: np.ndarray,
    bounds: np.ndarray,
    valid: np.ndarray,
    starts: np.ndarray,
    spans: np.ndarray,
    classes: np.ndarray,
    stop_words: np.ndarray,
    counts: np.ndarray,
) -> None:
    for row in range(len(valid)):
        if not valid[row]:
            continue
        start, stop = int(bounds[row]), int(bounds[row + 1])
        own = spans[starts[row] : starts[row + 1]]
        hashes, lengths, gaps = token_words(
            data, start, stop, own, classes, stop_words, counts[row]
        )
        count_grams(hashes, lengths, gaps, counts[row])
        _count_lines(data, start, stop, classes, counts[row])


@kernel
def _count_lines(
    data: np.ndarray, start: int, stop: int, classes: np.ndarray, counts: np.ndarray
) -> None:
    spans, visible, trim = scan_lines(data, start, stop, classes, counts)
    count_duplicates(data, start, stop, spans, visible, trim, counts)
    counts[BYTES] = stop - start
    counts[INLINE_CHARS] = counts[words.CHARS] - counts[lines.NEWLINES]
