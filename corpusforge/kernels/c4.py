"""C4: lines are cut out of a text, and what is left is judged.

Line by line, in this order; the document is what is left, joined by newlines and stripped:

    max_word_chars   a line with a longer word goes
    citations        [1], [], [edit], [citation needed] are cut out of the line
    end_mark         a line that does not end in . ? ! " ' goes, and one that ends in ...
    min_line_words   a line of fewer words (counted before citations are cut) goes
    javascript       a line with "javascript" goes
    policy           a line with one of the POLICY phrases goes

Words are what white space separates, lines are those of ``str.splitlines``, stripped. A rule whose
limit is OFF does nothing. Source: Raffel et al. 2020, JMLR 21/140; as datatrove 0.10.1
``c4_filters.py`` does it, apart from capital letters outside ASCII (U+212A, the Kelvin sign).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa

from corpusforge.kernels.c4_sentences import DIGIT, count_sentences, marks_of
from corpusforge.kernels.family import Signal
from corpusforge.kernels.jit import kernel
from corpusforge.kernels.text_column import text_buffers, text_column
from corpusforge.kernels.words import (
    BLOCK,
    BREAK,
    SPACE,
    byte_set,
    code_point,
    find_bytes,
    text_classes,
)

RULES = ("max_word_chars", "citations", "end_mark", "min_line_words", "javascript", "policy")
OFF = -1
SIGNALS = (
    Signal(
        "c4_lorem_ipsum",
        'lines with "lorem ipsum" that reached this test (before javascript), up to the first {',
        "count",
    ),
    Signal("c4_curly_bracket", "lines with { that reached this test (before policy)", "count"),
    Signal(
        "c4_sentences",
        "sentences of the lines that are left, each line cut for itself: a sentence ends behind"
        " tokens that are end marks and punctuation marks",
        "count",
    ),
)
POLICY = (
    *("terms of use", "privacy policy", "cookie policy"),
    *("uses cookies", "use of cookies", "use cookies"),
)
# Each phrase is looked for by a letter of its own that is rare in text.
_RARE = {"{": ("{",), "m": ("lorem ipsum", POLICY[0]), "v": ("javascript", POLICY[1])}
_RARE["k"] = POLICY[2:]
_PHRASES = tuple(phrase for group in _RARE.values() for phrase in group)
_HAS_CURLY, _HAS_LOREM, _HAS_SCRIPT = (
    1 << _PHRASES.index(phrase) for phrase in ("{", "lorem ipsum", "javascript")
)
_HAS_POLICY = sum(1 << _PHRASES.index(phrase) for phrase in POLICY)

_WORD, _CITE, _END, _FEW, _SCRIPT, _POLICY = range(6)
_LOREM, _CURLY, _SENTENCES, _COUNTS = range(6, 10)
_IN_LINE = byte_set(ord("["))
_IN_PHRASE = np.zeros(256, np.uint8)
_IN_PHRASE[[*map(ord, (rare := "".join(_RARE)) + rare.upper())]] = 1
_EDIT = np.frombuffer(b"[edit]", np.uint8)
_NEEDED = np.frombuffer(b"[citation needed]", np.uint8)


@cache
def _phrases() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Phrases in lower case, one behind the other (uint8).

    Then a row each: begin, end, rare letter; and for each byte, its first phrase and the one behind
    its last, (256, 2).
    """
    ends = np.cumsum([0, *map(len, _PHRASES)])
    groups, places, phrase = np.zeros((256, 2), np.int32), [], 0
    for letter, group in _RARE.items():
        for byte in letter.encode() + letter.upper().encode():
            groups[byte] = phrase, phrase + len(group)
        places += [one.index(letter) for one in group]
        phrase += len(group)
    rows = np.stack([ends[:-1], ends[1:], ends[:-1] + places], axis=1).astype(np.int32)
    return np.frombuffer("".join(_PHRASES).encode(), np.uint8), rows, groups


def edit(
    text: pa.StringArray, limits: dict[str, float], splitter: str
) -> tuple[pa.StringArray, np.ndarray, dict[str, np.ndarray]]:
    """Cut lines out of every text.

    ``limits`` holds the rules of RULES that apply: the limit of one that has a limit.

    Returns
    -------
    text : the texts that are left; null stays null
    counts : (rows, 6) int64, per rule of RULES the lines that went, or citations that were cut
    signals : the SIGNALS by name, (rows,) int64
    """
    data, bounds, valid = text_buffers(text)
    chosen = np.array([limits.get(name, OFF) for name in RULES], np.int64)
    out = np.empty(int(bounds[-1] - bounds[0]) + len(valid), np.uint8)
    cuts = np.zeros(len(valid) + 1, np.int32)
    counts = np.zeros((len(valid), _COUNTS), np.int64)
    _edit(data, bounds, valid, text_classes(), marks_of(), _phrases(), chosen, out, cuts, counts)
    out = out[: cuts[-1]]
    out.flags.writeable = False
    counts[:, _SENTENCES] = count_sentences(text_column(out, cuts, valid), splitter)
    stripped = np.empty(len(out), np.uint8)
    ends_of = np.zeros(len(cuts), np.int32)
    _strip(out, cuts, text_classes(), stripped, ends_of)
    signals = {one.name: counts[:, 6 + place].copy() for place, one in enumerate(SIGNALS)}
    return text_column(stripped[: ends_of[-1]], ends_of, valid), counts[:, :6], signals


@kernel
def _edit(
    data: np.ndarray,
    bounds: np.ndarray,
    valid: np.ndarray,
    classes: np.ndarray,
    marks: np.ndarray,
    phrases: tuple[np.ndarray, np.ndarray, np.ndarray],
    limits: np.ndarray,
    out: np.ndarray,
    cuts: np.ndarray,
    counts: np.ndarray,
) -> None:
    written = 0
    places = np.empty(BLOCK + 1, np.int32)
    for row in range(len(cuts) - 1):
        first_line, mine = True, counts[row]
        index, stop = int(bounds[row]), int(bounds[row + 1] if valid[row] else bounds[row])
        likely = _find(data, index, stop, phrases) != 0
        # one line: where it begins, its first and last visible byte, words, longest word
        line, first, last, words, longest, length, bracket = index, -1, index, 0, 0, 0, False
        for block in range(index, stop + 1, BLOCK):
            for place in places[: find_bytes(data, block, stop, _IN_LINE, places)]:
                if place < index:
                    continue  # inside of a character, or behind a carriage return
                if place > index:  # visible, no bracket
                    if first < 0:
                        first = index
                    words += length == 0
                    length += place - index
                    longest = max(longest, length)
                    last = index = int(place)
                if index == line == stop:
                    break
                point, size, kind = 0x0A, 0, SPACE | BREAK
                if index < stop:
                    point, size = code_point(data, index, stop)
                    kind = int(classes[point])
                index += size
                if kind & SPACE == 0:
                    if first < 0:
                        first = index - size
                    words += length == 0
                    length += 1
                    longest = max(longest, length)
                    bracket = bracket or point == 0x5B
                    last = index
                    continue
                length = 0
                if kind & BREAK == 0:
                    continue
                if point == 0x0D and index < stop and data[index] == 0x0A:
                    index += 1
                if first < 0:
                    first = last
                begin = written if first_line else written + 1  # behind a newline
                span = (first, last, words, longest, bracket, likely)
                rule, end = _goes(data, first, last, words, longest, limits), -1
                if rule < 0 or (bracket and rule != _WORD):
                    end = _line(data, span, marks, phrases, limits, out, begin, mine)
                else:
                    mine[rule] += 1
                if end >= 0:
                    if not first_line:
                        out[written] = 0x0A
                    first_line = False
                    written = end
                line, first, last, words, longest, bracket = index, -1, index, 0, 0, False
        cuts[row + 1] = written


@kernel
def _line(
    data: np.ndarray,
    span: tuple[int, int, int, int, bool, bool],
    marks: np.ndarray,
    phrases: tuple[np.ndarray, np.ndarray, np.ndarray],
    limits: np.ndarray,
    out: np.ndarray,
    begin: int,
    counts: np.ndarray,
) -> int:
    """Write the line data[first:last] to out[begin:]; returns its end there, -1 if it goes.

    ``span`` is first, last, the words between them, the characters of the longest, whether [ is
    among them, and whether the text has a phrase.
    """
    first, last, words, longest, bracket, likely = span
    end, index = begin, first
    while index < last and bracket and limits[_CITE] >= 0:
        behind = _citation(data, index, last, marks) if data[index] == 0x5B else 0
        if behind:
            counts[_CITE] += 1
            index = behind
        else:
            out[end] = data[index]
            end += 1
            index += 1
    for place in range(index, last):
        out[end] = data[place]
        end += 1
    rule = _goes(out, begin, end, words, longest, limits) if bracket else -1
    if rule >= 0:
        counts[rule] += 1
        return -1
    found = _find(out, begin, end, phrases) if likely or bracket else 0
    if found & _HAS_LOREM and counts[_CURLY] == 0:
        counts[_LOREM] += 1
    if limits[_SCRIPT] >= 0 and found & _HAS_SCRIPT:
        counts[_SCRIPT] += 1
        return -1
    counts[_CURLY] += found & _HAS_CURLY
    if limits[_POLICY] >= 0 and found & _HAS_POLICY:
        counts[_POLICY] += 1
        return -1
    return end


@kernel
def _goes(
    text: np.ndarray, start: int, stop: int, words: int, longest: int, limits: np.ndarray
) -> int:
    """Return the rule by which the line text[start:stop] goes, the phrases apart; -1 if none."""
    if limits[_WORD] >= 0 and longest > limits[_WORD]:
        return _WORD
    if limits[_END] >= 0:
        mark = int(text[stop - 1]) if stop > start else 0
        if mark not in (0x2E, 0x3F, 0x21, 0x22, 0x27):
            return _END
        several = stop - start >= 3 and text[stop - 2] == 0x2E and text[stop - 3] == 0x2E
        if mark == 0x2E and several:
            return _END
    return _FEW if words < limits[_FEW] else -1


@kernel
def _citation(data: np.ndarray, index: int, stop: int, marks: np.ndarray) -> int:
    """Return the end of the citation that opens at ``index``, or 0."""
    for length in (6, 17):  # [edit] and [citation needed]
        if index + length <= stop and data[index + length - 1] == 0x5D:
            same = True
            for place in range(1, length - 1):
                letter = _EDIT[place] if length == 6 else _NEEDED[place]
                same = same and data[index + place] == letter
            if same:
                return index + length
    index += 1
    while index < stop:
        point, size = code_point(data, index, stop)
        index += size
        if point == 0x5D:
            return index
        if marks[point] & DIGIT == 0:
            return 0
    return 0


@kernel
def _find(
    text: np.ndarray, start: int, stop: int, phrases: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> int:
    """Bit i is set if phrase i, but for the case of ASCII letters, stands in text[start:stop]."""
    letters, rows, groups = phrases
    found = 0
    places = np.empty(BLOCK + 1, np.int32)
    for block in range(start, stop, BLOCK):
        for place in places[: find_bytes(text, block, stop, _IN_PHRASE, places)]:
            if place == stop:
                break
            for which in range(groups[text[place], 0], groups[text[place], 1]):
                first, behind = rows[which, 0], rows[which, 1]
                begin = place - (rows[which, 2] - first)
                same = begin >= start and begin + behind - first <= stop
                for step in range(first, behind if same else first):
                    byte = text[begin + step - first]
                    if 0x41 <= byte <= 0x5A:
                        byte |= 0x20
                    same = byte == letters[step]
                    if not same:
                        break
                found |= int(same) << which
    return found


@kernel
def _strip(
    data: np.ndarray, bounds: np.ndarray, classes: np.ndarray, out: np.ndarray, cuts: np.ndarray
) -> None:
    """Write every row without the white space around it to ``out``, its bounds to ``cuts``."""
    written = 0
    for row in range(len(cuts) - 1):
        first, stop = int(bounds[row]), int(bounds[row + 1])
        while first < stop:
            point, size = code_point(data, first, stop)
            if classes[point] & SPACE == 0:
                break
            first += size
        while stop > first:
            last = stop - 1
            while data[last] & 0xC0 == 0x80:
                last -= 1
            if classes[code_point(data, last, stop)[0]] & SPACE == 0:
                break
            stop = last
        out[written : written + stop - first] = data[first:stop]
        written += stop - first
        cuts[row + 1] = written
