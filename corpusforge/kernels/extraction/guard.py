"""How deep a page nests and how much work it makes, measured on its bytes before it is parsed.

An HTML parser searches its stack of open elements at many tags and opens every unclosed formatting
element again in each new block, so 60 kB of hostile markup can cost seconds and gigabytes. `weigh`
follows the token and tree rules of https://html.spec.whatwg.org/multipage/parsing.html closely
enough to bound both, leaning to the larger figure; it does the searches the parser would do, so
giving up at the limit bounds its own time too. Elements of tables other than ``table`` are not
counted as depth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corpusforge.kernels.extraction import kinds
from corpusforge.kernels.extraction.markup import (
    Bytes,
    digest,
    find,
    letter,
    markup_end,
    no_names,
    raw_end,
    tag,
)
from corpusforge.kernels.jit import kernel

FINE, DEPTH, NODES = 0, 1, 2  # what `weigh` answers
STEPS = 256  # steps of the parser's searches that count as one node

Rows = NDArray[np.int64]  # (rows, _FIELDS)
State = NDArray[np.int64]  # (_STATE,)
# Fields of an open element and of a formatting element to open again. Inside: the _FOREIGN and
# _MATH that its content stands in. Live, base: the state's before it. Table: the innermost one at
# or below. Part: kind and name of the open cell, row or section of a table, and its live.
_NAME, _KIND, _INSIDE, _LIVE, _BASE, _TABLE_AT, _SERIAL, _WHOLE = range(8)
_PART_KIND, _PART_NAME, _PART_LIVE, _FIELDS = range(8, 12)
# State: how many elements are open, how many formatting elements live on, those of them that lie
# behind a marker, elements made, steps taken, formatting elements seen, options of the open select
# (-1 without), all of which Lexbor goes through at each new one.
_TOP, _LIVES, _BARRED, _MADE, _STEPS, _SEEN, _OPTIONS, _STATE = range(8)
_OPTION_STEPS = 4


@kernel
def _copy(rows: Rows, source: int, target: int) -> None:
    for field in range(_FIELDS):
        rows[target, field] = rows[source, field]


@kernel
def _remove(rows: Rows, at: int, count: int) -> None:
    for row in range(at, count - 1):
        _copy(rows, row + 1, row)


@kernel
def _take(stack: Rows, state: State, at: int) -> None:
    """Take one element out from under those that it holds."""
    _remove(stack, at, state[_TOP])
    state[_TOP] -= 1
    for row in range(at, state[_TOP]):
        if stack[row, _TABLE_AT] > at:
            stack[row, _TABLE_AT] -= 1


@kernel
def _push(stack: Rows, state: State, name: int, kind: int) -> int:
    top = int(state[_TOP])
    _copy(stack, top - 1, top)  # what content stands in and the innermost table are inherited
    stack[top, _NAME], stack[top, _KIND], stack[top, _SERIAL] = name, kind, 0
    stack[top, _LIVE], stack[top, _BASE] = state[_LIVES], state[_BARRED]
    state[_TOP] = top + 1
    return top


@kernel
def _entry(stack: Rows, state: State, wanted: int, stops: int) -> int:
    """Topmost open element of a ``wanted`` kind with none of kind ``stops`` above it, or -1."""
    for k in range(state[_TOP] - 1, -1, -1):
        state[_STEPS] += 1
        if stack[k, _KIND] & wanted:
            return k
        if stack[k, _KIND] & stops:
            break
    return -1


@kernel
def _item(stack: Rows, state: State, wanted: int) -> int:
    """Open list item that a new one closes, or -1."""
    for k in range(state[_TOP] - 1, -1, -1):
        state[_STEPS] += 1
        if stack[k, _KIND] & wanted:
            return k
        if (
            stack[k, _KIND] & (kinds.SPECIAL | kinds.INTEGRATION)
            and not stack[k, _KIND] & kinds.LOOSE
        ):
            break
    return -1


@kernel
def _closed(stack: Rows, state: State, name: int, kind: int) -> int:
    """Open element that the end tag ``name`` closes with all above it, or -1."""
    stops = kinds.SCOPE | kinds.INTEGRATION
    if kind & kinds.ITEM:
        stops |= kinds.LIST
    if not kind & (kinds.CLOSES_P | kinds.BUTTON | kinds.SCOPE):
        stops |= kinds.SPECIAL
    for k in range(state[_TOP] - 1, -1, -1):
        state[_STEPS] += 1
        if stack[k, _NAME] == name or stack[k, _KIND] & kind & kinds.HEADING:
            return k
        if stack[k, _KIND] & stops:
            break
    return -1


@kernel
def _reopen(stack: Rows, live: Rows, state: State, depth: int) -> None:
    """Open again the formatting elements that live on but are not open."""
    lives = first = state[_LIVES]
    while first > state[_BARRED]:
        k = state[_TOP] - 1
        while k >= 0 and stack[k, _SERIAL] != live[first - 1, _SERIAL]:
            k -= 1
        state[_STEPS] += state[_TOP] - k
        if k >= 0:
            break
        first -= 1
    for place in range(first, min(lives, first + depth + 1 - state[_TOP])):
        top = _push(stack, state, live[place, _NAME], kinds.FORMAT)
        stack[top, _SERIAL] = live[place, _SERIAL]
        state[_MADE] += 1


@kernel
def _unformat(stack: Rows, live: Rows, state: State, name: int) -> bool:
    """End the latest formatting element ``name``; False where none lives on."""
    known = state[_LIVES] - 1
    while known >= state[_BARRED] and live[known, _NAME] != name:
        known -= 1
        state[_STEPS] += 1
    if known < state[_BARRED]:
        return False
    k, holds = state[_TOP] - 1, 0
    while k >= 0 and stack[k, _SERIAL] != live[known, _SERIAL]:
        holds |= stack[k, _KIND] & (kinds.SPECIAL | kinds.INTEGRATION)
        k -= 1
        state[_STEPS] += 1
    _remove(live, known, state[_LIVES])
    state[_LIVES] -= 1
    if k >= 0 and holds:  # it leaves from under the blocks that it holds
        _take(stack, state, k)
    elif k >= 0:
        state[_TOP] = k
    return True


@kernel
def _close_part(stack: Rows, state: State, table: int) -> None:
    """Close what is open in a table, up to the table itself."""
    if stack[table, _PART_KIND] & (kinds.CELL | kinds.CAPTION):
        state[_LIVES] = stack[table, _PART_LIVE]
    state[_TOP], state[_BARRED] = table + 1, stack[table, _BASE]


@kernel
def _part(stack: Rows, state: State, name: int, kind: int, ending: bool) -> None:
    """Start or end of a cell, row or section of a table."""
    table = stack[state[_TOP] - 1, _TABLE_AT]
    if table < 0:
        return
    part = stack[table, _PART_KIND]
    if ending and not (
        (kind & (kinds.CELL | kinds.CAPTION) and stack[table, _PART_NAME] == name)
        or (kind & kinds.ROW and part & (kinds.CELL | kinds.ROW))
        or (kind & kinds.SECTION and part & (kinds.CELL | kinds.ROW | kinds.SECTION))
    ):
        return
    _close_part(stack, state, table)
    if ending:
        stack[table, _PART_KIND] = (
            kinds.ROW if kind & kinds.CELL else kinds.SECTION if kind & kinds.ROW else 0
        )
        stack[table, _PART_NAME] = 0
        return
    stack[table, _PART_KIND], stack[table, _PART_NAME] = kind, name
    stack[table, _PART_LIVE] = state[_LIVES]
    if kind & (kinds.CELL | kinds.CAPTION):
        state[_BARRED] = state[_LIVES]


@kernel
def _foreign(stack: Rows, state: State, name: int, kind: int, ending: bool, closed: bool) -> bool:
    """Treat a tag inside svg or math; False where the rules of HTML apply to it."""
    top = state[_TOP]
    inside = stack[top - 1, _INSIDE]
    if ending:
        k = top - 1
        while stack[k, _INSIDE] & kinds.FOREIGN and stack[k, _NAME] != name:
            k -= 1
            state[_STEPS] += 1
        if stack[k, _INSIDE] & kinds.FOREIGN:
            state[_TOP] = k
            return True
    elif kind & kinds.BREAKOUT:
        while stack[top - 1, _INSIDE] & kinds.FOREIGN:
            top -= 1
        state[_TOP] = top
    elif closed:
        return True
    else:
        hole = kind & (kinds.MATH_HOLE if inside & kinds.MATH else kinds.SVG_HOLE)
        _push(stack, state, name, kinds.INTEGRATION if hole else 0)
        stack[top, _INSIDE] = 0 if hole else inside | kind & kinds.MATH
        stack[top, _TABLE_AT] = -1
        return True
    return False


@kernel
def _end(stack: Rows, live: Rows, state: State, name: int, kind: int) -> None:
    table = stack[state[_TOP] - 1, _TABLE_AT]
    if kind & (kinds.VOID | kinds.RAW):
        return
    if kind & kinds.TABLE:
        if table >= 0:
            _close_part(stack, state, table)
            state[_TOP] = table
        return
    if kind & kinds.FORMAT and _unformat(stack, live, state, name):
        return
    if kind & kinds.P:
        k = _entry(stack, state, kinds.P, kinds.SCOPE | kinds.BUTTON | kinds.INTEGRATION)
    else:
        k = _closed(stack, state, name, kind)
    if k < 0:
        return
    if kind & kinds.FORM:
        _take(stack, state, k)
        return
    state[_TOP] = k
    if kind & kinds.SELECT:
        state[_OPTIONS] = -1
    elif kind & kinds.SCOPE:
        state[_LIVES], state[_BARRED] = stack[k, _LIVE], stack[k, _BASE]


@kernel
def _start(
    stack: Rows,
    live: Rows,
    state: State,
    name: int,
    kind: int,
    whole: int,
    closed: bool,
    depth: int,
) -> None:
    table, k = stack[state[_TOP] - 1, _TABLE_AT], -1
    if kind & kinds.CLOSES_P:
        k = _entry(stack, state, kinds.P, kinds.SCOPE | kinds.BUTTON | kinds.INTEGRATION)
        state[_TOP] = k if k >= 0 else state[_TOP]
        k = -1
    last = stack[state[_TOP] - 1, _KIND]
    if (
        kind & kinds.TABLE
        and table >= 0
        and not stack[table, _PART_KIND] & (kinds.CELL | kinds.CAPTION)
    ):
        _close_part(stack, state, table)
        k = table
    elif kind & (kinds.ITEM | kinds.DEFINITION):
        k = _item(stack, state, kind & (kinds.ITEM | kinds.DEFINITION))
    elif kind & kinds.BUTTON:
        k = _entry(stack, state, kinds.BUTTON, kinds.SCOPE | kinds.INTEGRATION)
    elif kind & kinds.SELECT:
        k = _entry(stack, state, kinds.SELECT, kinds.SCOPE | kinds.INTEGRATION)
        if k >= 0:  # a second select only ends the first
            state[_TOP], state[_OPTIONS] = k, -1
            return
        state[_OPTIONS] = 0
    elif last & kind & kinds.HEADING or (
        last & kinds.OPTION and kind & (kinds.OPTION | kinds.GROUP)
    ):
        k = state[_TOP] - 1
    state[_TOP] = k if k >= 0 else state[_TOP]

    if not kind & (kinds.CLOSES_P | kinds.QUIET):
        if kind & kinds.LINK:
            _reopen(stack, live, state, depth)
            _unformat(stack, live, state, name)
        _reopen(stack, live, state, depth)
    if kind & (kinds.VOID | kinds.RAW) or (kind & kinds.FOREIGN and closed) or state[_TOP] > depth:
        return
    if kind & kinds.OPTION and state[_OPTIONS] >= 0:
        state[_OPTIONS] += 1
        state[_STEPS] += _OPTION_STEPS * state[_OPTIONS]
    top = _push(stack, state, name, kind)
    stack[top, _INSIDE] = kind & (kinds.FOREIGN | kinds.MATH)
    if kind & kinds.TABLE:
        stack[top, _TABLE_AT], stack[top, _PART_KIND], stack[top, _PART_NAME] = top, 0, 0
    elif kind & kinds.TEMPLATE:
        stack[top, _TABLE_AT] = -1
    if kind & kinds.SCOPE and not kind & (kinds.TABLE | kinds.SELECT):
        state[_BARRED] = state[_LIVES]
    if kind & kinds.FORMAT:
        same, oldest = 0, 0
        for place in range(state[_LIVES] - 1, state[_BARRED] - 1, -1):
            state[_STEPS] += 1
            if live[place, _WHOLE] == whole:
                same, oldest = same + 1, place
        if same >= 3:  # of equal elements the parser remembers three
            _remove(live, oldest, state[_LIVES])
            state[_LIVES] -= 1
        state[_SEEN] += 1
        place = state[_LIVES]
        live[place, _NAME], live[place, _WHOLE], live[place, _SERIAL] = name, whole, state[_SEEN]
        stack[top, _SERIAL] = state[_SEEN]
        state[_LIVES] += 1


@kernel
def weigh(data: Bytes, depth: int, nodes: int) -> tuple[int, int]:
    """Return (FINE, 0), or the limit that the page ``data`` (UTF-8) exceeds and the value reached.

    DEPTH: more than ``depth`` elements open at once. NODES: more than ``nodes`` elements and texts,
    elements counted that the parser opens again, or ``nodes`` times STEPS steps of its searches.
    """
    n, at, text, frames, root_attributes = len(data), 0, 0, 0, 0
    stack, live = np.empty((depth + 2, _FIELDS), np.int64), np.empty((depth + 2, _FIELDS), np.int64)
    state, names = np.zeros(_STATE, np.int64), no_names()
    for field in range(_FIELDS):
        stack[0, field] = 0
    state[_OPTIONS] = -1
    state[_TOP], stack[0, _KIND], stack[0, _TABLE_AT] = (
        1,
        kinds.SCOPE | kinds.SPECIAL,
        -1,
    )  # the root
    while True:
        steps = state[_STEPS] + names[1]
        if state[_MADE] > nodes or steps > nodes * STEPS:
            return NODES, max(state[_MADE], steps // STEPS)
        deepest = max(state[_TOP], state[_LIVES], frames)
        if deepest > depth:
            return DEPTH, deepest
        at = find(data, at, 60)
        foreign = stack[state[_TOP] - 1, _INSIDE] & kinds.FOREIGN != 0
        if at > text:
            state[_MADE] += 1  # a text
            if not foreign:
                _reopen(stack, live, state, depth)
        if at + 2 >= n:
            return FINE, 0
        text = markup_end(data, at, foreign)
        if text > at:
            if data[at + 1] == 33 and letter(data[at + 2]):
                tag(data[:text], at + 2, names)  # the name of a document type is kept too
            at = text
            continue
        ending = data[at + 1] == 47
        start = at + 1 + ending
        at, name, attributes, closed = tag(data, start, names)
        if at >= n:  # a tag that the end of the page cuts is no tag
            text = at
            continue
        at += 1
        text = at
        kind = kinds.kind(name)
        state[_MADE] += not ending
        state[_STEPS] += attributes * attributes // 2
        if kind & kinds.ROOT:
            root_attributes += attributes
            state[_STEPS] += root_attributes * attributes
        elif kind & kinds.FRAMES:
            frames += -1 if ending else 1
        elif foreign and _foreign(stack, state, name, kind, ending, closed):
            continue
        elif kind & kinds.PLAINTEXT:
            return FINE, 0
        elif kind & kinds.PART:
            _part(stack, state, name, kind, ending)
        elif ending:
            _end(stack, live, state, name, kind)
        else:
            whole = digest(data, start, at) if kind & kinds.FORMAT and not kind & kinds.LINK else 0
            _start(stack, live, state, name, kind, whole, closed, depth)
            if kind & kinds.RAW and frames <= 0:
                length = 0
                while letter(data[start + length]):
                    length += 1
                at = text = raw_end(data, at, start, length, kind & kinds.SCRIPT != 0)
