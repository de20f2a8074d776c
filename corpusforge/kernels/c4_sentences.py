"""Sentences of the lines that C4 leaves."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa

from corpusforge.kernels.jit import kernel
from corpusforge.kernels.splitters import split
from corpusforge.kernels.text_column import text_buffers
from corpusforge.kernels.unicode_classes import is_category
from corpusforge.kernels.words import (
    BLOCK,
    SPACE,
    byte_set,
    code_point,
    find_bytes,
    text_classes,
)

DIGIT, _STOP, _PUNCT = 1, 2, 4
_NO_WORD = (*range(0x21, 0x30), *range(0x3A, 0x41), *range(0x5B, 0x61), *range(0x7B, 0x80))
_SEEN = byte_set(*_NO_WORD)
# ``default_punct_chars`` of spaCy 3.8's sentencizer
_STOPS = (
    "!.?։؟۔܀܁܂߹।॥၊။።፧፨᙮᜵᜶᠃᠉᥄᥅᪨᪩᪪᪫᭚᭛᭞᭟᰻᰼᱾᱿‼‽⁇⁈⁉⸮⸼꓿꘎꘏꛳꛷꡶꡷꣎꣏꤯꧈꧉꩝꩞꩟꫰꫱꯫﹒﹖﹗！．？"
    "𐩖𐩗𑁇𑁈𑂾𑂿𑃀𑃁𑅁𑅂𑅃𑇅𑇆𑇍𑇞𑇟𑈸𑈹𑈻𑈼𑊩𑑋𑑌𑗂𑗃𑗉𑗊𑗋𑗌𑗍𑗎𑗏𑗐𑗑𑗒𑗓𑗔𑗕𑗖𑗗𑙁𑙂𑜼𑜽𑜾𑩂𑩃𑪛𑪜𑱁𑱂𖩮𖩯𖫵𖬷𖬸𖭄𛲟𝪈｡。"
)


@cache
def marks_of() -> np.ndarray:
    """Bits of every code point: (0x110000,) uint8; decimal digit, end mark, punctuation."""
    marks = np.zeros(0x110000, np.uint8)
    marks[is_category("Nd")] |= DIGIT
    marks[[ord(character) for character in _STOPS]] |= _STOP
    marks[is_category("P")] |= _PUNCT
    marks.setflags(write=False)
    return marks


def count_sentences(text: pa.StringArray, splitter: str) -> np.ndarray:
    """Return the sentences (rows,) int64 of texts whose lines ``splitter`` cuts; 0 of no text."""
    data, bounds, _ = text_buffers(text)
    counts = np.zeros(len(text), np.int64)
    if splitter == "spacy":
        tokens = split(text, splitter)
        _spacy_sentences(data, bounds, tokens.starts, tokens.spans, marks_of(), counts)
    else:
        _sentences(data, bounds, text_classes(), marks_of(), counts)
    return counts


@kernel
def _sentences(
    data: np.ndarray,
    bounds: np.ndarray,
    classes: np.ndarray,
    marks: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Count sentences: every line is one, and one more behind each end.

    A sentence ends where an end mark that is no dot of several, and other marks behind it, stand
    before white space, and what follows is not marks only.
    """
    places = np.empty(BLOCK + 1, np.int32)
    for row in range(len(bounds) - 1):
        start, stop = int(bounds[row]), int(bounds[row + 1])
        if start == stop:
            continue
        sentences, armed, ends, dots, blank = 1, False, False, 0, True
        index = start
        for block in range(start, stop, BLOCK):
            for place in places[: find_bytes(data, block, stop, _SEEN, places)]:
                if place < index:
                    continue  # inside of a character
                if place > index:  # neither white space nor punctuation
                    sentences += armed and blank
                    armed = armed and not blank
                    ends, dots, blank, index = False, 0, False, int(place)
                if index == stop:
                    break
                point, size = code_point(data, index, stop)
                index += size
                if classes[point] & SPACE:
                    armed = armed or ends or dots == 1
                    ends, dots, blank = False, 0, True
                    if point == 0x0A:
                        sentences, armed = sentences + 1, False
                    continue
                mark = marks[point]
                if mark & _PUNCT == 0:
                    if armed and blank:
                        sentences, armed = sentences + 1, False
                    ends, dots, blank = False, 0, False
                elif point == 0x2E:
                    dots += 1
                else:
                    ends = ends or dots == 1 or mark & _STOP != 0
                    dots = 0
        counts[row] = sentences


@kernel
def _spacy_sentences(
    data: np.ndarray,
    bounds: np.ndarray,
    starts: np.ndarray,
    spans: np.ndarray,
    marks: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Count sentences as spaCy's sentencizer does, of every line apart.

    A token that is an end mark arms; the next token that is neither that nor all punctuation
    starts a sentence. White space that spaCy makes a token (all but one space behind a token)
    counts as one.
    """
    for row in range(len(starts) - 1):
        start, stop = int(bounds[row]), int(bounds[row + 1])
        if start == stop:
            continue
        sentences, armed, index = 1, False, start
        token, last_token = int(starts[row]), int(starts[row + 1])
        while index < stop:
            end = int(spans[token, 0]) if token < last_token else stop
            spaces, newline = 0, False  # white space up to the next token or line
            first_space = index
            while index < end:
                point, size = code_point(data, index, stop)
                index += size
                if point == 0x0A:
                    newline = True
                    break
                spaces += 1
            one_space = spaces == 1 and data[first_space] == 0x20
            if newline or (armed and spaces > 0 and not one_space):
                sentences, armed = sentences + 1, False
            if newline:
                continue
            if token == last_token:
                break
            end = int(spans[token, 1])
            is_stop, is_punct, length = False, True, 0
            while index < end:
                point, size = code_point(data, index, end)
                is_stop = marks[point] & _STOP != 0
                is_punct = is_punct and marks[point] & _PUNCT != 0
                length += 1
                index += size
            is_stop = is_stop and length == 1
            if armed and not is_punct and not is_stop:
                sentences, armed = sentences + 1, False
            armed = armed or is_stop
            token += 1
        counts[row] = sentences
