"""Which blocks of a page are its main content: the word of the rules and that of learned trees.

The trees see no rule, so that the two may be wrong about different pages; the weights of the sum
were chosen by cross-validation over registered domains (docs/extraction.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corpusforge.kernels.extraction import features, forest, roles
from corpusforge.kernels.extraction.blocks import HEADINGS, Blocks
from corpusforge.kernels.extraction.containers import (
    Masses,
    core,
    drop_comments,
    drop_named,
    measure,
    running,
)
from corpusforge.kernels.extraction.features import Matrix

_PARAGRAPHS = 3  # as many make a page a text; with fewer it is a listing, where links are content
_LINKED = 0.3  # share of unlinked text under which a container of a text is navigation
_TEXTUAL = {"p", "li", "dt", "dd", "td", "th", "pre", "blockquote", "code"}
_CELLS = HEADINGS | {"p", "td", "tr"}  # not dropped for their links
_FEW = 150  # bytes under which a result is not believed
RULES = 1.0  # log-odds that the rules add or take
_LONG = 20.0  # root of the bytes from which a longer block counts no more
_COST = 2.5  # of a change between main content and the rest, in log-odds times root of bytes
_SURE = 50.0  # log-odds that no other evidence outweighs
_MANY = 20_000  # blocks from which a page is left to the rules, which need less memory


def select(page: Blocks) -> list[int]:
    """Return the indexes of the blocks of ``page`` that are main content, in order."""
    masses = measure(page)
    ruled = by_rules(page, masses)
    if not 0 < len(page.text) <= _MANY:
        return ruled
    x = forest.describe(page, masses.size)
    return combine(x, forest.evaluate(x, *forest.trees()), ruled, RULES)


def combine(x: Matrix, odds: NDArray[np.float64], ruled: list[int], rules: float) -> list[int]:
    """Return the blocks that log-odds ``odds`` and the choice ``ruled`` of the rules select.

    ``x``: `features.matrix`. ``rules``: log-odds that the rules add or take. Menus and footers that
    the rules leave stay out and titles that they keep stay in, however much text is around them.
    """
    weighed = odds - rules
    weighed[ruled] += 2 * rules
    by_rule = np.zeros(len(x), np.bool_)
    by_rule[ruled] = True
    weighed[~by_rule & (x[:, features.IN_SITE] > 0)] = -_SURE
    weighed[by_rule & (x[:, features.TAG] == features.TAGS["h1"])] = _SURE
    size = x[:, features.SIZE].astype(np.float64)
    chosen = forest.smooth(weighed * np.minimum(np.sqrt(size), _LONG), _COST)
    if size[chosen].sum() < _FEW:
        return ruled
    return [int(block) for block in np.flatnonzero(chosen)]


def by_rules(page: Blocks, masses: Masses) -> list[int]:
    """Return the indexes that the rules alone choose."""
    chosen = _strict(page, masses)
    if sum(masses.size[block] for block in chosen) < _FEW:
        wider = _loose(page, masses)
        if len(wider) > len(chosen):
            return wider
    return chosen


def _strict(page: Blocks, masses: Masses) -> list[int]:
    keep = [True] * len(page.text)
    if not keep:
        return []
    drop_named(page, masses, keep)
    drop_comments(page, masses, keep)
    best = core(page, masses, keep)
    a, z = page.first[best], page.last[best]
    for block in range(len(keep)):
        if not a <= block < z:
            title = block < a and page.tag[page.owner[block]] == "h1"
            keep[block] = keep[block] and title
    if sum(keep[block] and masses.sentence[block] for block in range(a, z)) >= _PARAGRAPHS:
        _drop_linked(page, masses, keep, best)
        _drop_tail(page, masses, keep, a, z)
    return [block for block, kept in enumerate(keep) if kept]


def _drop_linked(page: Blocks, masses: Masses, keep: list[bool], best: int) -> None:
    """Unset ``keep`` for containers inside ``best`` that are nearly all links."""
    sizes = running([float(size) for size in masses.size], keep)
    frees = running(masses.free, keep)
    element = best + 1
    while element < page.end[best]:
        a, z = page.first[element], page.last[element]
        size = sizes[z] - sizes[a]
        if size and frees[z] - frees[a] < _LINKED * size and page.tag[element] not in _CELLS:
            keep[a:z] = [False] * (z - a)
            element = page.end[element]
        else:
            element += 1


def _drop_tail(page: Blocks, masses: Masses, keep: list[bool], a: int, z: int) -> None:
    """Unset ``keep`` for what follows the last paragraph of the blocks a..z and is no text."""
    block = z - 1
    while block > a and not (keep[block] and masses.sentence[block]):
        if page.tag[page.owner[block]] not in _TEXTUAL or 2 * page.linked[block] > len(
            page.text[block]
        ):
            keep[block] = False
        block -= 1


def _loose(page: Blocks, masses: Masses) -> list[int]:
    """All but what names itself a part of the site or stands in links."""
    keep = [2 * free > size for free, size in zip(masses.free, masses.size, strict=True)]
    element = 0
    while element < len(page.tag):
        if page.role[element] & (roles.SITE | roles.HIDDEN):
            a, z = page.first[element], page.last[element]
            keep[a:z] = [False] * (z - a)
            element = page.end[element]
        else:
            element += 1
    return [block for block, kept in enumerate(keep) if kept]
