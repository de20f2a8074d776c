"""Kinds of HTML elements that the parser's rules tell apart, as bits, found by a name's hash.

Source: https://html.spec.whatwg.org/multipage/parsing.html, and what Lexbor does with select.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corpusforge.kernels.jit import kernel

(
    VOID, FORMAT, SPECIAL, CLOSES_P, SCOPE, BUTTON, RAW, CELL, ROW, SECTION, CAPTION, ITEM,
    DEFINITION, HEADING, TABLE, ROOT, FOREIGN, INTEGRATION, BREAKOUT, OPTION, P, LINK, LIST,
    LOOSE, SCRIPT, SELECT, PLAINTEXT, TEMPLATE, FORM, QUIET, GROUP, FRAMES, MATH, SVG_HOLE,
    MATH_HOLE,
) = (1 << bit for bit in range(35))  # fmt: skip
PART = CELL | ROW | SECTION | CAPTION
MASK = (1 << 55) - 1  # a hash times 131 stays an int64

_SETS = {
    VOID: "area base basefont bgsound br col embed hr img image input keygen link meta param"
    " source track wbr",
    FORMAT: "a b big code em font i nobr s small strike strong tt u",
    SPECIAL: "address applet area article aside base basefont bgsound blockquote body br button"
    " caption center col colgroup dd details dir div dl dt embed fieldset figcaption figure footer"
    " form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html iframe img input keygen li"
    " link listing main marquee menu meta nav noembed noframes noscript object ol p param plaintext"
    " pre script search section select source style summary table tbody td template textarea tfoot"
    " th thead title tr track ul wbr xmp",
    CLOSES_P: "address article aside blockquote center dd details dialog dir div dl dt fieldset"
    " figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup li listing main menu nav ol p"
    " pre search section summary ul",
    SCOPE: "applet marquee object select table template",
    BUTTON: "button",
    RAW: "iframe noembed noframes script style textarea title xmp",
    CELL: "td th",
    ROW: "tr",
    SECTION: "tbody thead tfoot colgroup",
    CAPTION: "caption",
    ITEM: "li",
    DEFINITION: "dd dt",
    HEADING: "h1 h2 h3 h4 h5 h6",
    TABLE: "table",
    ROOT: "html head body",
    FOREIGN: "svg math",
    SVG_HOLE: "foreignobject desc title",
    MATH_HOLE: "mi mo mn ms mtext annotation-xml",
    MATH: "math",
    # font breaks out only with certain attributes; counted inside, it errs to the larger depth
    BREAKOUT: "b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head"
    " hr i img li listing menu meta nobr ol p pre ruby s small span strong strike sub sup table tt"
    " u ul var",
    OPTION: "option",
    FRAMES: "frameset",
    GROUP: "optgroup",
    P: "p",
    LINK: "a nobr",
    LIST: "ul ol",
    LOOSE: "address div p",
    SCRIPT: "script",
    SELECT: "select",
    PLAINTEXT: "plaintext",
    TEMPLATE: "template",
    FORM: "form",
    QUIET: "iframe noembed noframes param script source style table template textarea title track",
}


def _hash(name: str) -> int:
    value = 0
    for byte in name.encode():
        value = (value * 131 + byte) & MASK
    return value


def _tables() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    kinds: dict[str, int] = {}
    for bit, names in _SETS.items():
        for name in names.split():
            kinds[name] = kinds.get(name, 0) | bit
    slots, bits = np.zeros(512, np.int64), np.zeros(512, np.int64)
    for name, kind in kinds.items():
        slot = _hash(name) & 511
        while bits[slot]:
            slot = (slot + 1) & 511
        slots[slot], bits[slot] = _hash(name), kind
    return slots, bits


_NAMES, _KINDS = _tables()


@kernel
def kind(name: int) -> int:
    """Bits of the element whose name has the hash ``name``; 0 where it is none of these."""
    slot = name & 511
    while _KINDS[slot]:
        if _NAMES[slot] == name:
            return int(_KINDS[slot])
        slot = (slot + 1) & 511
    return 0
