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
from corpusforge.kernels.extraction.open_elements import (
    BARRED,
    BASE,
    FIELDS,
    INSIDE,
    KIND,
    LIVE,
    LIVES,
    MADE,
    NAME,
    OPTIONS,
    P_AT,
    PART_KIND,
    PART_LIVE,
    PART_NAME,
    SEEN,
    SERIAL,
    STATE,
    TABLE_AT,
    TAKEN,
    TOP,
    WHOLE,
    Rows,
    State,
    ended_by,
    innermost,
    open_item,
    open_p,
    push,
    remove,
    take,
)
from corpusforge.kernels.jit import kernel

FINE, DEPTH, NODES = 0, 1, 2  # what `weigh` answers
STEPS = 256  # steps of the parser's searches that count as one node

_OPTION_STEPS = 4


@kernel
def _reopen(stack: Rows, live: Rows, state: State, depth: int) -> None:
    """Open again the formatting elements that live on but are not open."""
    lives = first = state[LIVES]
    while first > state[BARRED]:
        k = state[TOP] - 1
        while k >= 0 and stack[k, SERIAL] != live[first - 1, SERIAL]:
            k -= 1
        state[TAKEN] += state[TOP] - k
        if k >= 0:
            break
        first -= 1
    for place in range(first, min(lives, first + depth + 1 - state[TOP])):
        top = push(stack, state, live[place, NAME], kinds.FORMAT)
        stack[top, SERIAL] = live[place, SERIAL]
        state[MADE] += 1


@kernel
def _unformat(stack: Rows, live: Rows, state: State, name: int) -> bool:
    """End the latest formatting element ``name``; False where none lives on."""
    known = state[LIVES] - 1
    while known >= state[BARRED] and live[known, NAME] != name:
        known -= 1
        state[TAKEN] += 1
    if known < state[BARRED]:
        return False
    k, holds = state[TOP] - 1, 0
    while k >= 0 and stack[k, SERIAL] != live[known, SERIAL]:
        holds |= stack[k, KIND] & (kinds.SPECIAL | kinds.INTEGRATION)
        k -= 1
        state[TAKEN] += 1
    remove(live, known, state[LIVES])
    state[LIVES] -= 1
    if k >= 0 and holds:  # it leaves from under the blocks that it holds
        take(stack, state, k)
    elif k >= 0:
        state[TOP] = k
    return True


@kernel
def _close_part(stack: Rows, state: State, table: int) -> None:
    """Close what is open in a table, up to the table itself."""
    if stack[table, PART_KIND] & (kinds.CELL | kinds.CAPTION):
        state[LIVES] = stack[table, PART_LIVE]
    state[TOP], state[BARRED] = table + 1, stack[table, BASE]


@kernel
def _part(stack: Rows, state: State, name: int, kind: int, ending: bool) -> None:
    """Start or end of a cell, row or section of a table."""
    table = stack[state[TOP] - 1, TABLE_AT]
    if table < 0:
        return
    part = stack[table, PART_KIND]
    if ending and not (
        (kind & (kinds.CELL | kinds.CAPTION) and stack[table, PART_NAME] == name)
        or (kind & kinds.ROW and part & (kinds.CELL | kinds.ROW))
        or (kind & kinds.SECTION and part & (kinds.CELL | kinds.ROW | kinds.SECTION))
    ):
        return
    _close_part(stack, state, table)
    if ending:
        stack[table, PART_KIND] = (
            kinds.ROW if kind & kinds.CELL else kinds.SECTION if kind & kinds.ROW else 0
        )
        stack[table, PART_NAME] = 0
        return
    stack[table, PART_KIND], stack[table, PART_NAME] = kind, name
    stack[table, PART_LIVE] = state[LIVES]
    if kind & (kinds.CELL | kinds.CAPTION):
        state[BARRED] = state[LIVES]


@kernel
def _foreign(stack: Rows, state: State, name: int, kind: int, ending: bool, closed: bool) -> bool:
    """Treat a tag inside svg or math; False where the rules of HTML apply to it."""
    top = state[TOP]
    inside = stack[top - 1, INSIDE]
    if ending:
        k = top - 1
        while stack[k, INSIDE] & kinds.FOREIGN and stack[k, NAME] != name:
            k -= 1
            state[TAKEN] += 1
        if stack[k, INSIDE] & kinds.FOREIGN:
            state[TOP] = k
            return True
    elif kind & kinds.BREAKOUT:
        while stack[top - 1, INSIDE] & kinds.FOREIGN:
            top -= 1
        state[TOP] = top
    elif closed:
        return True
    else:
        hole = kind & (kinds.MATH_HOLE if inside & kinds.MATH else kinds.SVG_HOLE)
        push(stack, state, name, kinds.INTEGRATION if hole else 0)
        stack[top, INSIDE] = 0 if hole else inside | kind & kinds.MATH
        stack[top, TABLE_AT] = -1
        return True
    return False


@kernel
def _end(stack: Rows, live: Rows, state: State, name: int, kind: int) -> None:
    table = stack[state[TOP] - 1, TABLE_AT]
    if kind & (kinds.VOID | kinds.RAW):
        return
    if kind & kinds.TABLE:
        if table >= 0:
            _close_part(stack, state, table)
            state[TOP] = table
        return
    if kind & kinds.FORMAT and _unformat(stack, live, state, name):
        return
    k = open_p(stack, state) if kind & kinds.P else ended_by(stack, state, name, kind)
    if k < 0:
        return
    if kind & kinds.FORM:
        take(stack, state, k)
        return
    state[TOP] = k
    if kind & kinds.SELECT:
        state[OPTIONS] = -1
    elif kind & kinds.SCOPE:
        state[LIVES], state[BARRED] = stack[k, LIVE], stack[k, BASE]


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
    table, k = stack[state[TOP] - 1, TABLE_AT], -1
    if kind & kinds.CLOSES_P:
        k = open_p(stack, state)
        state[TOP] = k if k >= 0 else state[TOP]
        k = -1
    last = stack[state[TOP] - 1, KIND]
    if (
        kind & kinds.TABLE
        and table >= 0
        and not stack[table, PART_KIND] & (kinds.CELL | kinds.CAPTION)
    ):
        _close_part(stack, state, table)
        k = table
    elif kind & (kinds.ITEM | kinds.DEFINITION):
        k = open_item(stack, state, kind & (kinds.ITEM | kinds.DEFINITION))
    elif kind & kinds.BUTTON:
        k = innermost(stack, state, kinds.BUTTON, kinds.SCOPE | kinds.INTEGRATION)
    elif kind & kinds.SELECT:
        k = innermost(stack, state, kinds.SELECT, kinds.SCOPE | kinds.INTEGRATION)
        if k >= 0:  # a second select only ends the first
            state[TOP], state[OPTIONS] = k, -1
            return
        state[OPTIONS] = 0
    elif last & kind & kinds.HEADING or (
        last & kinds.OPTION and kind & (kinds.OPTION | kinds.GROUP)
    ):
        k = state[TOP] - 1
    state[TOP] = k if k >= 0 else state[TOP]

    if not kind & (kinds.CLOSES_P | kinds.QUIET):
        if kind & kinds.LINK:
            _reopen(stack, live, state, depth)
            _unformat(stack, live, state, name)
        _reopen(stack, live, state, depth)
    if kind & (kinds.VOID | kinds.RAW) or (kind & kinds.FOREIGN and closed) or state[TOP] > depth:
        return
    if kind & kinds.OPTION and state[OPTIONS] >= 0:
        state[OPTIONS] += 1
        state[TAKEN] += _OPTION_STEPS * state[OPTIONS]
    top = push(stack, state, name, kind)
    stack[top, INSIDE] = kind & (kinds.FOREIGN | kinds.MATH)
    if kind & kinds.TABLE:
        stack[top, TABLE_AT], stack[top, PART_KIND], stack[top, PART_NAME] = top, 0, 0
    elif kind & kinds.TEMPLATE:
        stack[top, TABLE_AT] = -1
    if kind & kinds.SCOPE and not kind & (kinds.TABLE | kinds.SELECT):
        state[BARRED] = state[LIVES]
    if kind & kinds.FORMAT:
        same, oldest = 0, 0
        for place in range(state[LIVES] - 1, state[BARRED] - 1, -1):
            state[TAKEN] += 1
            if live[place, WHOLE] == whole:
                same, oldest = same + 1, place
        if same >= 3:  # of equal elements the parser remembers three
            remove(live, oldest, state[LIVES])
            state[LIVES] -= 1
        state[SEEN] += 1
        place = state[LIVES]
        live[place, NAME], live[place, WHOLE], live[place, SERIAL] = name, whole, state[SEEN]
        stack[top, SERIAL] = state[SEEN]
        state[LIVES] += 1


@kernel
def weigh(data: Bytes, depth: int, nodes: int) -> tuple[int, int]:
    """Return (FINE, 0), or the limit that the page ``data`` (UTF-8) exceeds and the value reached.

    DEPTH: more than ``depth`` elements open at once. NODES: more than ``nodes`` elements and texts,
    elements counted that the parser opens again, or ``nodes`` times STEPS steps of its searches.
    """
    n, at, text, frames, root_attributes = len(data), 0, 0, 0, 0
    stack, live = np.empty((depth + 2, FIELDS), np.int64), np.empty((depth + 2, FIELDS), np.int64)
    state, names = np.zeros(STATE, np.int64), no_names()
    for field in range(FIELDS):
        stack[0, field] = 0
    stack[0, P_AT] = -1
    state[OPTIONS] = -1
    state[TOP], stack[0, KIND], stack[0, TABLE_AT] = (
        1,
        kinds.SCOPE | kinds.SPECIAL,
        -1,
    )  # the root
    while True:
        steps = state[TAKEN] + names[1]
        if state[MADE] > nodes or steps > nodes * STEPS:
            return NODES, max(state[MADE], steps // STEPS)
        deepest = max(state[TOP], state[LIVES], frames)
        if deepest > depth:
            return DEPTH, deepest
        at = find(data, at, 60)
        foreign = stack[state[TOP] - 1, INSIDE] & kinds.FOREIGN != 0
        if at > text:
            state[MADE] += 1  # a text
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
        state[MADE] += not ending
        state[TAKEN] += attributes * attributes // 2
        if kind & kinds.ROOT:
            root_attributes += attributes
            state[TAKEN] += root_attributes * attributes
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
