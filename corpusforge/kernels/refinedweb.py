"""RefinedWeb's line rules as DCLM publishes them: lines and pieces of lines are cut.

One rule after the other over the whole text, in this order; lines are what a newline separates:

    urls              addresses are cut out (``addresses``)
    max_newlines      more newlines in a row are cut to so many
    max_upper_share   a line with a larger share of upper-case characters goes
    max_digit_share   a line with a larger share of digits goes
    counters          a line such as "3 likes" goes
    min_line_words    a line of fewer words goes, an empty one stays
    items_in_cart     "items in cart" and one white space before it are cut out
    read_more         "read more" and any three characters at the line's end, and one white space
    sign_in           "sign-in" at the line's start and one white space behind it are cut out

The last three look at lines of at most 10 words, and drop those of white space only. All but urls,
max_newlines and min_line_words strip the whole text after they ran, so the next rule sees another
first and last line. Source: Penedo et al. 2023, arXiv 2306.01116, G.2; mlfoundations/dclm at
15af3ce, ``baselines/mappers/modifiers.py``, ``dclm_baseline_refinedweb.yaml``. Letters of phrases
are compared in ASCII lower case.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from corpusforge.kernels.addresses import DECIMAL, WORD, cut_addresses, tables
from corpusforge.kernels.dclm import count_tokens
from corpusforge.kernels.family import Signal
from corpusforge.kernels.jit import kernel
from corpusforge.kernels.text_column import text_buffers, text_column
from corpusforge.kernels.text_tables import DIGIT, UPPERCASE, properties
from corpusforge.kernels.words import SPACE, code_point

RULES = (
    *("urls", "max_newlines", "max_upper_share", "max_digit_share", "counters", "min_line_words"),
    *("items_in_cart", "read_more", "sign_in"),
)
LIMITED = ("max_newlines", "max_upper_share", "max_digit_share", "min_line_words")
OFF = -1.0
SIGNALS = (
    Signal(
        "refinedweb_removed_word_ratio",
        "words that went / words; words are fastText's that begin with a letter or a number, and a"
        " text of which nothing is left has 1",
        "share",
    ),
)

_URLS, _NEWLINES, _UPPER, _DIGITS, _COUNTER, _FEW, _CART, _MORE, _SIGN = range(9)
_SHORT = 10  # words of a line in which pieces are sought
_COUNTED = (
    *("likes", "shares", "comments", "retweets", "reposts", "quotes", "bookmarks", "upvotes"),
    *("downvotes", "downloads", "views", "followers"),
)
_COUNTED_BYTES = np.frombuffer("".join(_COUNTED).encode(), np.uint8)
_COUNTED_ENDS = np.cumsum([0, *map(len, _COUNTED)]).astype(np.int64)
_CART_BYTES = np.frombuffer(b"items in cart", np.uint8)
_MORE_BYTES = np.frombuffer(b"read more", np.uint8)
_SIGN_BYTES = np.frombuffer(b"sign-in", np.uint8)


def edit(
    text: pa.StringArray, limits: dict[str, float], splitter: str
) -> tuple[pa.StringArray, np.ndarray, dict[str, np.ndarray]]:
    """Cut lines and pieces out of every text; words do not depend on ``splitter``.

    ``limits`` holds the rules of RULES that apply: the limit of one that has a limit.

    Returns
    -------
    text : the texts that are left; null stays null
    counts : (rows, 9) int64, per rule of RULES the lines that went or were cut, or the addresses,
        or the newlines
    signals : the SIGNALS by name, (rows,) float64
    """
    del splitter
    data, bounds, valid = text_buffers(text)
    chosen = np.array([limits.get(name, OFF) for name in RULES], np.float64)
    out = np.empty(int(bounds[-1] - bounds[0]), np.uint8)
    cuts = np.zeros(len(valid) + 1, np.int32)
    counts = np.zeros((len(valid), len(RULES)), np.int64)
    gone = np.zeros(len(valid), np.float64)
    _edit(data, bounds, valid, *tables(), properties(), chosen, out, cuts, counts, gone)
    gone[~valid] = np.nan
    return text_column(out[: cuts[-1]], cuts, valid), counts, {SIGNALS[0].name: gone}


@kernel
def _edit(
    data: np.ndarray,
    bounds: np.ndarray,
    valid: np.ndarray,
    classes: np.ndarray,
    kinds: np.ndarray,
    bytes_: np.ndarray,
    domains: np.ndarray,
    properties: np.ndarray,
    limits: np.ndarray,
    out: np.ndarray,
    cuts: np.ndarray,
    counts: np.ndarray,
    gone: np.ndarray,
) -> None:
    written = 0
    for row in range(len(valid)):
        if valid[row]:
            start, stop = int(bounds[row]), int(bounds[row + 1])
            here = out[written : written + stop - start]  # rules run in place: it only shrinks
            here[:] = data[start:stop]
            words = count_tokens(here, 0, len(here), classes)
            begin, end = 0, len(here)
            for rule in range(len(limits)):
                if limits[rule] < 0:
                    continue
                if rule == _URLS:
                    end, cut = cut_addresses(here, begin, end, classes, kinds, bytes_, domains)
                    counts[row, rule] = cut
                    continue
                if rule == _NEWLINES:
                    end = _cut_newlines(here, begin, end, int(limits[rule]), counts[row])
                    continue
                end = _cut_lines(
                    here, begin, end, rule, limits[rule], classes, properties, kinds, counts[row]
                )
                if rule != _FEW:
                    begin, end = _stripped(here, begin, end, classes)
            left = count_tokens(here, begin, end, classes)
            gone[row] = (words - left) / max(words, 1)
            if begin == end:
                gone[row] = 1.0
            for index in range(begin, end):
                here[index - begin] = here[index]
            written += end - begin
        cuts[row + 1] = written


@kernel
def _cut_newlines(text: np.ndarray, begin: int, end: int, most: int, counts: np.ndarray) -> int:
    written, run = begin, 0
    for index in range(begin, end):
        run = run + 1 if text[index] == 0x0A else 0
        if run <= most:
            text[written] = text[index]
            written += 1
    counts[_NEWLINES] += end - written
    return written


@kernel
def _cut_lines(
    text: np.ndarray,
    begin: int,
    end: int,
    rule: int,
    limit: float,
    classes: np.ndarray,
    properties: np.ndarray,
    kinds: np.ndarray,
    counts: np.ndarray,
) -> int:
    """Apply ``rule`` to each line of text[begin:end] in place; returns the new end."""
    written, any_line = begin, False
    first = begin
    while first <= end:
        last, words, inside, chars, uppers, digits = first, 0, False, 0, 0, 0
        while last < end and text[last] != 0x0A:
            point, size = code_point(text, last, end)
            space = classes[point] & SPACE != 0
            words += not space and not inside
            inside = not space
            chars += 1
            uppers += properties[point] & UPPERCASE != 0
            digits += properties[point] & DIGIT != 0
            last += size
        drop = False
        if last > first:
            if rule == _UPPER:
                drop = uppers / chars > limit
            elif rule == _DIGITS:
                drop = digits / chars > limit
            elif rule == _COUNTER:
                drop = _is_counter(text, first, last, classes, kinds)
            elif rule == _FEW:
                drop = words < limit
        from_, to, cut = first, last, False
        if rule >= _CART and words <= _SHORT and last > first:
            if rule == _CART:
                to = _cut_cart(text, first, last, classes)
            elif rule == _MORE:
                to = _before_more(text, first, last, classes)
            elif _holds(text, first, last, _SIGN_BYTES, 0, len(_SIGN_BYTES)):
                from_ = first + len(_SIGN_BYTES)
                if from_ < last:
                    point, size = code_point(text, from_, last)
                    from_ += size if classes[point] & SPACE else 0
            cut = from_ > first or to < last
            drop = True
            index = from_
            while index < to and drop:
                point, size = code_point(text, index, to)
                drop = classes[point] & SPACE != 0
                index += size
        counts[rule] += drop or cut
        if not drop:
            if any_line:
                text[written] = 0x0A
                written += 1
            any_line = True
            for index in range(from_, to):
                text[written] = text[index]
                written += 1
        first = last + 1
    return written


@kernel
def _holds(text: np.ndarray, at: int, stop: int, sought: np.ndarray, begin: int, end: int) -> bool:
    """Whether text[at:stop] begins with sought[begin:end], in any case of ASCII letters."""
    if at + end - begin > stop:
        return False
    for step in range(end - begin):
        byte = text[at + step]
        if (byte | 0x20 if 0x41 <= byte <= 0x5A else byte) != sought[begin + step]:
            return False
    return True


@kernel
def _is_counter(
    text: np.ndarray, first: int, last: int, classes: np.ndarray, kinds: np.ndarray
) -> bool:
    """Marks, a number with dots, commas and k, m or b, white space, a word of _COUNTED, marks."""
    index, size, point = first, 0, 0
    while index < last:
        point, size = code_point(text, index, last)
        if kinds[point] & WORD:
            break
        index += size
    if index == last or kinds[point] & DECIMAL == 0:
        return False
    while index < last:
        point, size = code_point(text, index, last)
        if point != 0x2C and point != 0x2E and kinds[point] & DECIMAL == 0:
            break
        index += size
    if index < last and (text[index] | 0x20) in (0x6B, 0x6D, 0x62):
        index += 1
    spaces = 0
    while index < last:
        point, size = code_point(text, index, last)
        if classes[point] & SPACE == 0:
            break
        spaces += 1
        index += size
    if spaces == 0:
        return False
    for which in range(len(_COUNTED_ENDS) - 1):
        begin, end = _COUNTED_ENDS[which], _COUNTED_ENDS[which + 1]
        if _holds(text, index, last, _COUNTED_BYTES, begin, end):
            at, marks = index + end - begin, True
            while at < last and marks:
                point, size = code_point(text, at, last)
                marks = kinds[point] & WORD == 0
                at += size
            if marks:
                return True
    return False


@kernel
def _cut_cart(text: np.ndarray, first: int, last: int, classes: np.ndarray) -> int:
    """Cut every "items in cart" out of text[first:last] in place; returns the new end."""
    written, index = first, first
    while index < last:
        size = 1
        if text[index] >= 0x80:
            _, size = code_point(text, index, last)
        at = index
        if classes[code_point(text, index, last)[0]] & SPACE:
            at += size
        if _holds(text, at, last, _CART_BYTES, 0, len(_CART_BYTES)):
            index = at + len(_CART_BYTES)
            continue
        for step in range(size):
            text[written + step] = text[index + step]
        written += size
        index += size
    return written


@kernel
def _back(text: np.ndarray, first: int, at: int) -> int:
    """Return where the character before ``at`` begins; ``first`` if there is none."""
    if at > first:
        at -= 1
        while at > first and text[at] & 0xC0 == 0x80:
            at -= 1
    return at


@kernel
def _before_more(text: np.ndarray, first: int, last: int, classes: np.ndarray) -> int:
    at = last
    for _ in range(3):
        if at == first:
            return last
        at = _back(text, first, at)
    at -= len(_MORE_BYTES)
    if at < first or not _holds(text, at, last, _MORE_BYTES, 0, len(_MORE_BYTES)):
        return last
    before = _back(text, first, at)
    if before < at and classes[code_point(text, before, at)[0]] & SPACE:
        at = before
    return at


@kernel
def _stripped(text: np.ndarray, begin: int, end: int, classes: np.ndarray) -> tuple[int, int]:
    while begin < end:
        point, size = code_point(text, begin, end)
        if classes[point] & SPACE == 0:
            break
        begin += size
    while end > begin:
        last = _back(text, begin, end)
        if classes[code_point(text, last, end)[0]] & SPACE == 0:
            break
        end = last
    return begin, end
