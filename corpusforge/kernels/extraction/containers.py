"""How much text the elements of a page hold, and which of them hold its main part.

Each rule looks at every element once: subtrees that are dropped or taken are not entered.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from corpusforge.kernels.extraction import roles
from corpusforge.kernels.extraction.blocks import HEADINGS, Blocks

PROSE = 90  # UTF-8 bytes from which unlinked text counts as a paragraph
_SHORT = 0.1  # weight of the unlinked text of other blocks
_ENDS = tuple('.!?:。！？：؟।…"”)')
_NEVER = HEADINGS | {"html", "body", "main", "article"}  # not dropped for their names
_MUCH = 0.3  # share of the page's mass from which STRONG and WEAK names are not believed
_MOST = 0.7  # the same for SITE
_COMMENTS = 0.5  # share of the mass from which comments may be the page
_BESIDE = 3000  # mass beside the comments from which they are not
_DESCENT = 0.92  # share of its parent's mass with which a child is the main part
_LANDMARK = 0.55  # share of the page's mass with which main or article is


@dataclass(slots=True)
class Masses:
    """Text of the blocks in UTF-8 bytes, which makes scripts comparable, and its running sums.

    ``size``: all of it; ``free``: outside links; ``mass``: free, little where it is no paragraph;
    ``sentences``: paragraphs that end like one. ``sizes[last] - sizes[first]`` is an element's.
    """

    size: list[int]
    free: list[float]
    mass: list[float]
    sentence: list[bool]
    sizes: list[float]
    frees: list[float]
    masses: list[float]
    sentences: list[int]


def running(values: list[float], keep: list[bool] | None = None) -> list[float]:
    """Return the sums of the first 0, 1, ... of ``values``, those not kept left out."""
    if keep is not None:
        values = [value if kept else 0.0 for value, kept in zip(values, keep, strict=True)]
    return [0.0, *accumulate(values)]


def measure(page: Blocks) -> Masses:
    """Return the masses of the blocks of ``page``."""
    size = [len(text) if text.isascii() else len(text.encode()) for text in page.text]
    free = [
        bytes_ * (1 - linked / len(text)) if linked else float(bytes_)
        for bytes_, linked, text in zip(size, page.linked, page.text, strict=True)
    ]
    paragraph = [f >= PROSE and 2 * f > s for s, f in zip(size, free, strict=True)]
    mass = [f if p else _SHORT * f for f, p in zip(free, paragraph, strict=True)]
    sentence = [p and t.endswith(_ENDS) for p, t in zip(paragraph, page.text, strict=True)]
    return Masses(
        size,
        free,
        mass,
        sentence,
        [0.0, *accumulate(size)],
        running(free),
        running(mass),
        [0, *accumulate(sentence)],
    )


def drop_named(page: Blocks, masses: Masses, keep: list[bool]) -> None:
    """Unset ``keep`` for subtrees that name themselves boilerplate and do not hold much."""
    names = roles.SITE | roles.STRONG | roles.WEAK | roles.HIDDEN
    frees, sizes, sums, sentences = masses.frees, masses.sizes, masses.masses, masses.sentences
    total = sums[-1]
    element, count = 1, len(page.tag)
    while element < count:
        role = page.role[element] & names
        if not role or page.tag[element] in _NEVER:
            element += 1
            continue
        a, z = page.first[element], page.last[element]
        linked = 2 * (frees[z] - frees[a]) < sizes[z] - sizes[a]
        believed = _MOST if role & roles.SITE else _MUCH
        if sums[z] - sums[a] <= believed * total and (
            linked
            or role & (roles.SITE | roles.STRONG)
            or (role & roles.WEAK and sentences[z] == sentences[a])
        ):
            keep[a:z] = [False] * (z - a)
            element = page.end[element]
        else:
            element += 1


def drop_comments(page: Blocks, masses: Masses, keep: list[bool]) -> None:
    """Unset ``keep`` for comments, judged as one: in a forum they are the page."""
    found, element, count = [], 0, len(page.tag)
    while element < count:
        if page.role[element] & roles.COMMENT:
            found.append((page.first[element], page.last[element]))
            element = page.end[element]
        else:
            element += 1
    if not found:
        return
    sums = running(masses.mass, keep)
    mass = sum(sums[z] - sums[a] for a, z in found)
    if mass < _COMMENTS * sums[-1] or sums[-1] - mass > _BESIDE:
        for a, z in found:
            keep[a:z] = [False] * (z - a)


def core(page: Blocks, masses: Masses, keep: list[bool]) -> int:
    """Return the element that holds the main part of what is kept."""
    sums = running(masses.mass, keep)
    first, last, end = page.first, page.last, page.end
    best, inner = 0, 1
    while inner < end[best]:  # a child that holds nearly all is entered, others are passed over
        within = sums[last[best]] - sums[first[best]]
        if sums[last[inner]] - sums[first[inner]] > _DESCENT * within:
            best, inner = inner, inner + 1
        else:
            inner = end[inner]
    for element in range(len(page.tag) - 1, -1, -1):
        if (
            page.tag[element] in ("main", "article")
            and sums[last[element]] - sums[first[element]] >= _LANDMARK * sums[-1]
        ):
            return best if element <= best < end[element] else element
    return best
