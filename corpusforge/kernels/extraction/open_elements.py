"""The stack of open elements of the HTML parser, its rows, and the searches in it.

Source: https://html.spec.whatwg.org/multipage/parsing.html#the-stack-of-open-elements.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corpusforge.kernels.extraction import kinds
from corpusforge.kernels.jit import kernel

Rows = NDArray[np.int64]  # (rows, FIELDS)
State = NDArray[np.int64]  # (STATE,)
# Fields of an open element and of a formatting element to open again. Inside: the FOREIGN and
# MATH of `kinds` that its content stands in. Live, base: the state's before it. Table, p, edge:
# the innermost table, p, and end of the scope of p, at or below. Part: kind and name of the open
# cell, row or section of a table, and its live.
NAME, KIND, INSIDE, LIVE, BASE, TABLE_AT, P_AT, EDGE_AT, SERIAL, WHOLE = range(10)
PART_KIND, PART_NAME, PART_LIVE, FIELDS = range(10, 14)
EDGES = kinds.SCOPE | kinds.BUTTON | kinds.INTEGRATION
# State: how many elements are open, how many formatting elements live on, those of them that lie
# behind a marker, elements made, steps taken, formatting elements seen, options of the open select
# (-1 without), all of which Lexbor goes through at each new one.
TOP, LIVES, BARRED, MADE, TAKEN, SEEN, OPTIONS, STATE = range(8)


@kernel
def _copy(rows: Rows, source: int, target: int) -> None:
    for field in range(FIELDS):
        rows[target, field] = rows[source, field]


@kernel
def remove(rows: Rows, at: int, count: int) -> None:
    """Take row ``at`` of ``count`` rows out."""
    for row in range(at, count - 1):
        _copy(rows, row + 1, row)


@kernel
def take(stack: Rows, state: State, at: int) -> None:
    """Take one element out from under those that it holds."""
    remove(stack, at, state[TOP])
    state[TOP] -= 1
    for row in range(at, state[TOP]):
        for field in (TABLE_AT, P_AT, EDGE_AT):
            if stack[row, field] > at:
                stack[row, field] -= 1


@kernel
def push(stack: Rows, state: State, name: int, kind: int) -> int:
    """Open an element; returns its place."""
    top = int(state[TOP])
    _copy(stack, top - 1, top)  # what content stands in and what is innermost is inherited
    stack[top, NAME], stack[top, KIND], stack[top, SERIAL] = name, kind, 0
    stack[top, LIVE], stack[top, BASE] = state[LIVES], state[BARRED]
    if kind & kinds.P:
        stack[top, P_AT] = top
    elif kind & EDGES:
        stack[top, EDGE_AT] = top
    state[TOP] = top + 1
    return top


@kernel
def open_p(stack: Rows, state: State) -> int:
    """Open p that a block closes, or -1; the parser's search is counted, not done."""
    top = state[TOP] - 1
    found, edge = stack[top, P_AT], stack[top, EDGE_AT]
    state[TAKEN] += top + 1 - max(found, edge)
    return int(found) if found > edge else -1


@kernel
def innermost(stack: Rows, state: State, wanted: int, stops: int) -> int:
    """Topmost open element of a ``wanted`` kind with none of kind ``stops`` above it, or -1."""
    for k in range(state[TOP] - 1, -1, -1):
        state[TAKEN] += 1
        if stack[k, KIND] & wanted:
            return k
        if stack[k, KIND] & stops:
            break
    return -1


@kernel
def open_item(stack: Rows, state: State, wanted: int) -> int:
    """Open list item that a new one closes, or -1."""
    for k in range(state[TOP] - 1, -1, -1):
        state[TAKEN] += 1
        if stack[k, KIND] & wanted:
            return k
        if (
            stack[k, KIND] & (kinds.SPECIAL | kinds.INTEGRATION)
            and not stack[k, KIND] & kinds.LOOSE
        ):
            break
    return -1


@kernel
def ended_by(stack: Rows, state: State, name: int, kind: int) -> int:
    """Open element that the end tag ``name`` closes with all above it, or -1."""
    stops = kinds.SCOPE | kinds.INTEGRATION
    if kind & kinds.ITEM:
        stops |= kinds.LIST
    if not kind & (kinds.CLOSES_P | kinds.BUTTON | kinds.SCOPE):
        stops |= kinds.SPECIAL
    for k in range(state[TOP] - 1, -1, -1):
        state[TAKEN] += 1
        if stack[k, NAME] == name or stack[k, KIND] & kind & kinds.HEADING:
            return k
        if stack[k, KIND] & stops:
            break
    return -1
