"""Word splitters: named ways to cut texts into tokens, punctuation included.

unicode     words as in ``words``; each visible character outside of them is a token of its own
whitespace  what white space (``str.isspace``) separates: ``str.split()``
spacy       spaCy's English tokenizer, as datatrove uses it (extra ``spacy``)
uniseg      words of Unicode's text segmentation, as DCLM uses them (extra ``uniseg``)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpusforge.errors import SpecError, nearest
from corpusforge.kernels import spacy_words
from corpusforge.kernels.jit import kernel
from corpusforge.kernels.texts import buffers
from corpusforge.kernels.words import ALONE, MARK, SPACE, WORD, code_point, text_classes


@dataclass(frozen=True)
class Tokens:
    """Tokens of a string column: those of row i are ``spans[starts[i] : starts[i + 1]]``.

    ``starts`` is (rows + 1,) int64, ``spans`` (tokens, 2) int32: first and end byte in the column's
    data buffer. A token holds no white space; between two tokens there may be nothing.
    """

    starts: np.ndarray
    spans: np.ndarray


def split(text: pa.StringArray, splitter: str) -> Tokens:
    """Cut every text; a null has no tokens.

    Raises SpecError for an unknown splitter, ExtraMissing where its package is not installed.
    """
    if splitter not in SPLITTERS:
        raise SpecError(
            f"no word splitter is called '{splitter}'", remedy=nearest(splitter, SPLITTERS)
        )
    return SPLITTERS[splitter](text)


def _unicode(text: pa.StringArray) -> Tokens:
    return _scan(text, ALONE | WORD)


def _whitespace(text: pa.StringArray) -> Tokens:
    return _scan(text, 0)


def _scan(text: pa.StringArray, cut_at: int) -> Tokens:
    data, bounds, valid = buffers(text)
    starts = np.zeros(len(valid) + 1, np.int64)
    spans = np.empty((int(bounds[-1] - bounds[0]), 2), np.int32)
    count = _cut(data, bounds, valid, text_classes(), cut_at, starts, spans)
    return Tokens(starts, spans[:count])


def _spacy(text: pa.StringArray) -> Tokens:
    chunks = _whitespace(text)
    return Tokens(*spacy_words.cut(buffers(text)[0], chunks.starts, chunks.spans))


SPLITTERS: dict[str, Callable[[pa.StringArray], Tokens]] = {
    "unicode": _unicode,
    "whitespace": _whitespace,
    "spacy": _spacy,
}


@kernel
def _cut(
    data: np.ndarray,
    bounds: np.ndarray,
    valid: np.ndarray,
    classes: np.ndarray,
    cut_at: int,
    starts: np.ndarray,
    spans: np.ndarray,
) -> int:
    """Fill ``starts`` and ``spans``; returns the number of tokens.

    ``cut_at`` 0 cuts at white space only, else also around characters that belong to no word and
    around words of one letter (ALONE).
    """
    count = 0
    for row in range(len(valid)):
        starts[row] = count
        if not valid[row]:
            continue
        index, stop = int(bounds[row]), int(bounds[row + 1])
        first, seen = index, SPACE  # of the open token; SPACE: none is open
        while index < stop:
            point, size = code_point(data, index, stop)
            kind = int(classes[point])
            if kind & SPACE:
                joins = False
            elif cut_at == 0:
                joins = seen & SPACE == 0
            else:  # a mark belongs to the word before it; words of one letter stand alone
                joins = kind & WORD != 0 and seen & WORD != 0
                joins = joins and ((kind | seen) & ALONE == 0 or kind & MARK != 0)
            if not joins:
                if seen & SPACE == 0:
                    spans[count, 0], spans[count, 1] = first, index
                    count += 1
                first, seen = index, 0
            seen |= kind
            index += size
        if seen & SPACE == 0:
            spans[count, 0], spans[count, 1] = first, stop
            count += 1
    starts[len(valid)] = count
    return count
