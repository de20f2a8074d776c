"""What the blocks of a page look like, as numbers that know no language.

Nothing here takes a logarithm or another function whose last bit depends on the machine: trees only
compare, so that raw counts and ratios serve as well.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corpusforge.kernels.extraction import roles
from corpusforge.kernels.jit import kernel

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int32]
Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]

# Tags as small numbers; all others are 0.
TAGS = {
    tag: number
    for number, names in enumerate(
        (
            *("p", "li", "dt dd", "td th", "div", "pre code listing xmp plaintext", "h1", "h2"),
            *("h3", "h4 h5 h6", "blockquote", "main", "article", "nav", "aside", "footer"),
            *("header", "ul ol", "table", "form", "section", "dl", "figure figcaption", "tr"),
            "noscript",
        ),
        1,
    )
    for tag in names.split()
}
_KINDS = 26
_H1 = TAGS["h1"]
_HOLDERS = tuple(TAGS[tag] for tag in ("main", "article", "aside", "header", "ul", "table", "form"))
_GROUPS = tuple(1 << group for group in (0, 1, 2, 3, 4, 5, 6, 7))  # the bits of roles, SITE first
_NAMED = roles.SITE | roles.STRONG | roles.WEAK | roles.COMMENT | roles.HIDDEN
_PROSE, _SENTENCE, _SHORT = 90, 60, 0.1  # as in containers, in bytes outside links
_MOST = 0.7  # share of the page's mass from which a name is not believed

_OWN = 8  # leading columns, repeated for the neighbours of a block
_NEAR = 3  # neighbours on each side
SIZE, TAG, IN_SITE = 0, 5, _OWN + 7  # columns that the choice of blocks looks at
_WIDTH = _OWN + 29 + 16 + 6 + 3 + 6 + 2 * _NEAR * _OWN
# Columns of `characters`.
_SIZE, _CHARS, _SPACES, _COMMAS, _STOPS, _DIGITS, _UPPER, _LOWER, _LAST, _DIGEST, _COUNTS = range(
    11
)


@kernel
def _mark(data: Bytes, at: int, end: int) -> int:
    """1 where a comma starts at ``at``, 2 where what ends a sentence does, 0 elsewhere."""
    byte = data[at]
    if byte < 128:
        if byte == 46 or byte == 33 or byte == 63:
            return 2 if at + 1 >= end or data[at + 1] <= 34 or data[at + 1] == 39 else 0
        return 1 if byte == 44 or byte == 59 else 0
    if byte == 0xD8 and at + 1 < end:
        after = data[at + 1]
        return 1 if after == 0x8C or after == 0x9B else 2 if after == 0x9F else 0
    if byte < 0xE0 or at + 2 >= end:
        return 0
    point = ((int(byte) & 15) << 12) | ((int(data[at + 1]) & 63) << 6) | (int(data[at + 2]) & 63)
    if point == 0x3001 or point == 0xFF0C or point == 0xFF1B:
        return 1
    if point == 0x3002 or point == 0xFF01 or point == 0xFF1F or point == 0x0964 or point == 0x2026:
        return 2
    return 0


@kernel
def characters(data: Bytes, ends: Ints) -> Matrix:
    """Counts of the blocks whose texts end at ``ends`` in ``data`` (UTF-8): (blocks, 10) float32.

    Bytes, characters, spaces, commas, marks that end sentences, digits, upper and lower case
    (ASCII), the last character (2 such a mark, 1 a colon), 24 bits of a digest.
    """
    counts = np.zeros((len(ends), _COUNTS), np.float32)
    start = 0
    for block in range(len(ends)):
        end = ends[block]
        row = counts[block]
        digest = 2166136261  # FNV-1a of 32 bits
        for at in range(start, end):
            byte = data[at]
            digest = ((digest ^ int(byte)) * 16777619) & 0xFFFFFFFF
            if byte & 0xC0 == 0x80:
                continue
            row[_CHARS] += 1
            row[_LAST] = 0
            if byte == 32:
                row[_SPACES] += 1
            elif byte >= 97 and byte <= 122:
                row[_LOWER] += 1
            elif byte >= 65 and byte <= 90:
                row[_UPPER] += 1
            elif byte >= 48 and byte <= 57:
                row[_DIGITS] += 1
            else:
                mark = _mark(data, at, end)
                if mark == 1:
                    row[_COMMAS] += 1
                elif mark == 2:
                    row[_STOPS] += 1
                    row[_LAST] = 2
                elif byte == 58:
                    row[_LAST] = 1
        row[_SIZE] = end - start
        row[_DIGEST] = np.float32(digest & 0xFFFFFF)
        start = end
    return counts


@kernel
def _sums(values: Floats) -> Floats:
    sums = np.zeros(len(values) + 1)
    for k in range(len(values)):
        sums[k + 1] = sums[k] + values[k]
    return sums


@kernel
def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


@kernel
def _put(row: Matrix, column: int, value: float) -> int:
    row[column] = value
    return column + 1


@kernel
def _bit(bits: int, wanted: int) -> float:
    return 1.0 if bits & wanted else 0.0


@kernel
def _repeats(digests: Matrix) -> Matrix:
    """How many blocks of the page have each block's text."""
    same = np.zeros(len(digests), np.float32)
    order = np.argsort(digests)
    k = 0
    while k < len(order):
        j = k
        while j < len(order) and digests[order[j]] == digests[order[k]]:
            j += 1
        for i in range(k, j):
            same[order[i]] = j - k
        k = j
    return same


@kernel
def _elements(element: Ints, masses: Floats) -> Ints:
    """Of each element, (5, elements): roles and tags (as bits) of it and of all that hold it, its
    depth, the outermost of them that names itself boilerplate (or -1), siblings of its tag."""
    tag, parent, role = element[0], element[1], element[2]
    over, first, last = element[3], element[4], element[5]
    found = np.zeros((5, len(tag)), np.int32)
    seen = np.zeros(_KINDS, np.int32)
    for e in range(len(tag)):
        p = parent[e]
        found[0, e], found[1, e], found[3, e] = role[e], 1 << tag[e], -1
        if p >= 0:
            found[0, e] |= found[0, p]
            found[1, e] |= found[1, p]
            found[2, e], found[3, e] = found[2, p] + 1, found[3, p]
        mass = masses[last[e]] - masses[first[e]]
        if found[3, e] < 0 and role[e] & _NAMED and mass < _MOST * masses[-1]:
            found[3, e] = e
        seen[:] = 0
        child = e + 1
        while child < over[e]:
            seen[tag[child]] += 1
            child = over[child]
        child = e + 1
        while child < over[e]:
            found[4, child] = seen[tag[child]]
            child = over[child]
    return found


@kernel
def matrix(data: Bytes, block: Ints, element: Ints) -> Matrix:
    """Features of the blocks, (blocks, features) float32.

    ``data``: their texts in UTF-8, one after the other. ``block``, (3, blocks): end of the text in
    ``data``, linked characters, owner. ``element``, (6, elements): number of the tag, parent, role,
    end, first and last block, as in `blocks.Blocks`.
    """
    n = int(block.shape[1])
    counts = characters(data, block[0])
    tag, parent, role, first, last = element[0], element[1], element[2], element[4], element[5]
    owner = block[2]
    size, links, free = np.zeros(n), np.zeros(n), np.zeros(n)
    mass, sentence = np.zeros(n), np.zeros(n)
    title = n  # first block of an h1
    for k in range(n - 1, -1, -1):
        size[k] = counts[k, _SIZE]
        links[k] = _share(block[1, k], counts[k, _CHARS])
        free[k] = size[k] * (1 - links[k])
        prose = free[k] >= _PROSE and 2 * free[k] > size[k]
        mass[k] = free[k] if prose else _SHORT * free[k]
        sentence[k] = 1.0 if free[k] >= _SENTENCE and counts[k, _LAST] == 2 else 0.0
        if tag[owner[k]] == _H1:
            title = k
    sizes: Floats = _sums(size)
    frees: Floats = _sums(free)
    masses: Floats = _sums(mass)
    sentences: Floats = _sums(sentence)
    found = _elements(element, masses)
    above, inside, depth, top, alike = found[0], found[1], found[2], found[3], found[4]
    same = _repeats(counts[:, _DIGEST])

    out = np.zeros((n, _WIDTH), np.float32)
    for k in range(n):
        e = owner[k]
        row = out[k]
        chars = max(float(counts[k, _CHARS]), 1.0)
        c = _put(row, 0, size[k])
        c = _put(row, c, links[k])
        c = _put(row, c, free[k])
        c = _put(row, c, counts[k, _STOPS])
        c = _put(row, c, counts[k, _LAST])
        c = _put(row, c, tag[e])
        c = _put(row, c, counts[k, _COMMAS] / chars)
        c = _put(row, c, depth[e])

        c = _put(row, c, size[k] / chars)
        c = _put(row, c, counts[k, _SPACES] / chars)
        c = _put(row, c, counts[k, _STOPS] / chars)
        c = _put(row, c, counts[k, _DIGITS] / chars)
        c = _put(row, c, _share(counts[k, _UPPER], counts[k, _UPPER] + counts[k, _LOWER]))
        c = _put(row, c, same[k])
        c = _put(row, c, _bit(role[e], roles.STRONG))
        for group in _GROUPS:
            c = _put(row, c, _bit(above[e], group))
        for holder in _HOLDERS:
            c = _put(row, c, _bit(inside[e], 1 << holder))
        c = _put(row, c, k / n)
        c = _put(row, c, _share(masses[k], masses[n]))
        c = _put(row, c, k - title)
        c = _put(row, c, n)
        c = _put(row, c, masses[n])
        c = _put(row, c, sentences[n])
        c = _put(row, c, _share(frees[n], sizes[n]))

        up = e  # the element that holds the block and the three around it
        for level in range(4):
            if level:
                up = max(parent[up], 0)
            f, g = first[up], last[up]
            c = _put(row, c, _share(frees[g] - frees[f], sizes[g] - sizes[f]))
            c = _put(row, c, g - f)
            c = _put(row, c, masses[g] - masses[f])
            c = _put(row, c, alike[up])
        for least in (6, 25):  # the smallest of those further out with as many blocks
            while up > 0 and last[up] - first[up] < least:
                up = parent[up]
            f, g = first[up], last[up]
            c = _put(row, c, _share(frees[g] - frees[f], sizes[g] - sizes[f]))
            c = _put(row, c, _share(masses[g] - masses[f], masses[n]))
            c = _put(row, c, _share(sentences[g] - sentences[f], g - f))
        if top[e] >= 0:
            f, g = first[top[e]], last[top[e]]
            c = _put(row, c, _share(masses[g] - masses[f], masses[n]))
            c = _put(row, c, sentences[g] - sentences[f])
            c = _put(row, c, _share(frees[g] - frees[f], sizes[g] - sizes[f]))
        else:
            for _ in range(3):
                c = _put(row, c, -1.0)
        for width in (5, 15, 40):
            f, g = max(k - width, 0), min(k + width + 1, n)
            c = _put(row, c, masses[g] - masses[f])
            c = _put(row, c, _share(frees[g] - frees[f], sizes[g] - sizes[f]))
    for k in range(n):
        c = _WIDTH - 2 * _NEAR * _OWN
        for step in range(-_NEAR, _NEAR + 1):
            if step:
                for i in range(_OWN):
                    c = _put(out[k], c, out[k + step, i] if 0 <= k + step < n else -1.0)
    return out
