"""Which blocks of a page are its main content."""

from __future__ import annotations

from corpusforge.kernels.extraction import roles
from corpusforge.kernels.extraction.blocks import HEADINGS, Blocks
from corpusforge.kernels.extraction.containers import (
    Masses,
    core,
    drop_comments,
    drop_named,
    measure,
    running,
)

_PARAGRAPHS = 3  # as many make a page a text; with fewer it is a listing, where links are content
_LINKED = 0.3  # share of unlinked text under which a container of a text is navigation
_TEXTUAL = {"p", "li", "dt", "dd", "td", "th", "pre", "blockquote", "code"}
_CELLS = HEADINGS | {"p", "td", "tr"}  # not dropped for their links
_FEW = 150  # bytes under which a result is not believed


def select(page: Blocks) -> list[int]:
    """Return the indexes of the blocks of ``page`` that are main content, in order."""
    masses = measure(page)
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
