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

from corpusforge.kernels.family import Signal
from corpusforge.kernels.jit import kernel
from corpusforge.kernels.splitters import split
from corpusforge.kernels.text_column import text_buffers, text_column
from corpusforge.kernels.unicode_classes import is_category
from corpusforge.kernels.words import BREAK, SPACE, code_point, text_classes

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

_WORD, _CITE, _END, _FEW, _SCRIPT, _POLICY = range(6)
_LOREM, _CURLY, _SENTENCES, _COUNTS = range(6, 10)
_DIGIT, _STOP, _PUNCT = 1, 2, 4
_EDIT = np.frombuffer(b"[edit]", np.uint8)
# Two bytes, the first times 256, with which a phrase may begin, letters in any case.
_BEGINS = np.zeros(1 << 16, np.bool_)
for _case in (0, 0x20, 0x2000, 0x2020):
    for _phrase in ("lorem ipsum", "javascript", *POLICY):
        _BEGINS[(ord(_phrase[0]) << 8 | ord(_phrase[1])) ^ _case] = True
_NEEDED = np.frombuffer(b"[citation needed]", np.uint8)
# ``default_punct_chars`` of spaCy 3.8's sentencizer
_STOPS = (
    "!.?։؟۔܀܁܂߹।॥၊။።፧፨᙮᜵᜶᠃᠉᥄᥅᪨᪩᪪᪫᭚᭛᭞᭟᰻᰼᱾᱿‼‽⁇⁈⁉⸮⸼꓿꘎꘏꛳꛷꡶꡷꣎꣏꤯꧈꧉꩝꩞꩟꫰꫱꯫﹒﹖﹗！．？"
    "𐩖𐩗𑁇𑁈𑂾𑂿𑃀𑃁𑅁𑅂𑅃𑇅𑇆𑇍𑇞𑇟𑈸𑈹𑈻𑈼𑊩𑑋𑑌𑗂𑗃𑗉𑗊𑗋𑗌𑗍𑗎𑗏𑗐𑗑𑗒𑗓𑗔𑗕𑗖𑗗𑙁𑙂𑜼𑜽𑜾𑩂𑩃𑪛𑪜𑱁𑱂𖩮𖩯𖫵𖬷𖬸𖭄𛲟𝪈｡。"
)


@cache
def _marks() -> np.ndarray:
    """Bits of every code point: (0x110000,) uint8; decimal digit, end mark, punctuation."""
    marks = np.zeros(0x110000, np.uint8)
    marks[is_category("Nd")] |= _DIGIT
    marks[[ord(character) for character in _STOPS]] |= _STOP
    marks[is_category("P")] |= _PUNCT
    marks.setflags(write=False)
    return marks


@cache
def _phrases() -> tuple[np.ndarray, np.ndarray]:
    """Phrases in lower case, one behind the other (uint8), and their bounds (int32)."""
    phrases = ["{", "lorem ipsum", "javascript", *POLICY]
    bounds = np.cumsum([0, *map(len, phrases)]).astype(np.int32)
    return np.frombuffer("".join(phrases).encode(), np.uint8), bounds


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
    phrases, ends = _phrases()
    _edit(data, bounds, valid, text_classes(), _marks(), phrases, ends, chosen, out, cuts, counts)
    out = out[: cuts[-1]]
    out.flags.writeable = False
    if splitter == "spacy":
        tokens = split(text_column(out, cuts, valid), splitter)
        _spacy_sentences(out, cuts, tokens.starts, tokens.spans, _marks(), counts)
    else:
        _sentences(out, cuts, text_classes(), _marks(), counts)
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
    phrases: np.ndarray,
    ends: np.ndarray,
    limits: np.ndarray,
    out: np.ndarray,
    cuts: np.ndarray,
    counts: np.ndarray,
) -> None:
    written = 0
    for row in range(len(cuts) - 1):
        first_line = True
        index, stop = int(bounds[row]), int(bounds[row + 1])
        if not valid[row]:
            stop = index
        while index < stop:
            # one line: its first and last visible byte, words, longest word
            first, last, words, longest, length = -1, index, 0, 0, 0
            bracket = False
            while index < stop:
                point, size = code_point(data, index, stop)
                kind = int(classes[point])
                if kind & SPACE == 0:
                    if first < 0:
                        first = index
                    words += length == 0
                    length += 1
                    longest = max(longest, length)
                    bracket = bracket or point == 0x5B
                    last = index + size
                else:
                    length = 0
                index += size
                if kind & BREAK:
                    if point == 0x0D and index < stop and data[index] == 0x0A:
                        index += 1
                    break
            if first < 0:
                first = last
            begin = written if first_line else written + 1  # behind a newline
            span = (first, last, words, longest, bracket)
            end = _line(data, span, marks, phrases, ends, limits, out, begin, counts[row])
            if end >= 0:
                if not first_line:
                    out[written] = 0x0A
                first_line = False
                written = end
        cuts[row + 1] = written


@kernel
def _line(
    data: np.ndarray,
    span: tuple[int, int, int, int, bool],
    marks: np.ndarray,
    phrases: np.ndarray,
    ends: np.ndarray,
    limits: np.ndarray,
    out: np.ndarray,
    begin: int,
    counts: np.ndarray,
) -> int:
    """Write the line data[first:last] to out[begin:]; returns its end there, -1 if it goes.

    ``span`` is first, last, the words between them, the characters of the longest, and whether [ is
    among them.
    """
    first, last, words, longest, bracket = span
    if limits[_WORD] >= 0 and longest > limits[_WORD]:
        counts[_WORD] += 1
        return -1
    end, cut = begin, 0
    index = first
    while index < last and bracket and limits[_CITE] >= 0:
        behind = _citation(data, index, last, marks) if data[index] == 0x5B else 0
        if behind:
            cut += 1
            index = behind
        else:
            out[end] = data[index]
            end += 1
            index += 1
    out[end : end + last - index] = data[index:last]
    end += last - index
    counts[_CITE] += cut
    if limits[_END] >= 0:
        mark = int(out[end - 1]) if end > begin else 0
        ends_well = mark in (0x2E, 0x3F, 0x21, 0x22, 0x27)
        dots = end - begin >= 3 and mark == 0x2E and out[end - 2] == 0x2E and out[end - 3] == 0x2E
        if not ends_well or dots:
            counts[_END] += 1
            return -1
    if words < limits[_FEW]:
        counts[_FEW] += 1
        return -1
    found = _find(out, begin, end, phrases, ends)
    if found & 2 and counts[_CURLY] == 0:
        counts[_LOREM] += 1
    if limits[_SCRIPT] >= 0 and found & 4:
        counts[_SCRIPT] += 1
        return -1
    counts[_CURLY] += found & 1
    if limits[_POLICY] >= 0 and found >> 3:
        counts[_POLICY] += 1
        return -1
    return end


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
        if marks[point] & _DIGIT == 0:
            return 0
    return 0


@kernel
def _find(text: np.ndarray, start: int, stop: int, phrases: np.ndarray, ends: np.ndarray) -> int:
    """Bit i is set if phrase i, but for the case of ASCII letters, stands in text[start:stop]."""
    found = 0
    for index in range(start, stop):
        lower = text[index] | 0x20
        behind = int(text[index + 1]) if index + 1 < stop else 0
        if lower != 0x7B and not _BEGINS[int(text[index]) << 8 | behind]:
            continue
        for which in range(len(ends) - 1):
            size = ends[which + 1] - ends[which]
            if lower != phrases[ends[which]] or index + size > stop:
                continue
            same = True
            for place in range(size):
                byte = text[index + place]
                if 0x41 <= byte <= 0x5A:
                    byte |= 0x20
                same = byte == phrases[ends[which] + place]
                if not same:
                    break
            found |= int(same) << which
    return found


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
    for row in range(len(bounds) - 1):
        start, stop = int(bounds[row]), int(bounds[row + 1])
        if start == stop:
            continue
        sentences, armed, ends, dots, blank = 1, False, False, 0, True
        index = start
        while index < stop:
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
        counts[row, _SENTENCES] = sentences


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
        counts[row, _SENTENCES] = sentences


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
