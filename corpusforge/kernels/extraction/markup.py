"""Tags, comments and raw text in the bytes of a page, by the rules of the HTML tokenizer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corpusforge.kernels.extraction.kinds import MASK, kind
from corpusforge.kernels.jit import kernel

Bytes = NDArray[np.uint8]
Names = NDArray[np.int64]  # how many names there are, how many steps they took, hash slots
_SLOTS = 1 << 15
_NAMES_MOST = 24_000


@kernel
def letter(byte: int) -> bool:
    """Whether ``byte`` is an ASCII letter."""
    return 97 <= (byte | 32) <= 122


@kernel
def _blank(byte: int) -> bool:
    return byte == 32 or byte == 10 or byte == 9 or byte == 13 or byte == 12


@kernel
def find(data: Bytes, at: int, byte: int) -> int:
    """Place of the next ``byte`` from ``at`` on, the end where there is none."""
    for place in range(at, len(data)):
        if data[place] == byte:
            return place
    return max(at, len(data))


@kernel
def no_names() -> Names:
    """Make an empty set of names."""
    return np.zeros(_SLOTS + 2, np.int64)


@kernel
def _add(names: Names, name: int) -> None:
    """Add a hash to the set. Each new one is compared with those before, as in Lexbor.

    Lexbor keeps the names of a page in a table of fixed size, so many of them make it quadratic.
    """
    slot = (name * 40503 >> 12) & (_SLOTS - 1)
    while names[slot + 2]:
        if names[slot + 2] == name:
            return
        slot = (slot + 1) & (_SLOTS - 1)
    names[1] += names[0]
    if names[0] < _NAMES_MOST:
        names[0] += 1
        names[slot + 2] = name


@kernel
def tag(data: Bytes, at: int, names: Names) -> tuple[int, int, int, bool]:
    """Read a tag from its name on: end, hash of the name, number of attributes, ``/>``.

    The tag's name, where it is none that `kinds` knows, and those of its attributes join ``names``.
    """
    n, name = len(data), 0
    while at < n and not _blank(data[at]) and data[at] != 47 and data[at] != 62:
        byte = np.int64(data[at])
        name = int((name * 131 + (byte | 32 if 65 <= byte <= 90 else byte)) & MASK)
        at += 1
    if not kind(name):
        _add(names, name)
    attributes, closed = 0, False
    while at < n and data[at] != 62:
        if _blank(data[at]) or data[at] == 47:
            closed = data[at] == 47
            at += 1
            continue
        attributes, closed, own = attributes + 1, False, 0
        while True:
            byte = np.int64(data[at])
            own = int((own * 131 + (byte | 32 if 65 <= byte <= 90 else byte)) & MASK)
            at += 1
            if at >= n or _blank(data[at]) or data[at] == 47 or data[at] == 61 or data[at] == 62:
                break
        _add(names, own)
        while at < n and _blank(data[at]):
            at += 1
        if at < n and data[at] == 61:
            at += 1
            while at < n and _blank(data[at]):
                at += 1
            if at < n and (data[at] == 34 or data[at] == 39):
                at = find(data, at + 1, data[at]) + 1
            else:
                while at < n and not _blank(data[at]) and data[at] != 62:
                    at += 1
    return min(at, n), name, attributes, closed


@kernel
def digest(data: Bytes, start: int, end: int) -> int:
    """Hash of a tag with its attributes."""
    value = 0
    for place in range(start, end):
        value = int((value * 131 + np.int64(data[place])) & MASK)
    return value


@kernel
def _named(data: Bytes, at: int, start: int, length: int) -> bool:
    """Whether the name at ``start`` stands again at ``at``, and ends there."""
    if at + length >= len(data):
        return False
    for step in range(length):
        if data[at + step] | 32 != data[start + step] | 32:
            return False
    after = data[at + length]
    return _blank(after) or after == 47 or after == 62


@kernel
def raw_end(data: Bytes, at: int, start: int, length: int, script: bool) -> int:
    """Where the end tag of the raw text element named at ``start`` begins; the end if nowhere."""
    n, escaped = len(data), 0
    while at < n:
        if not escaped:
            at = find(data, at, 60)
            if at == n:
                break
        byte = data[at]
        if byte > 60:
            at += 1
            continue
        if byte == 60 and at + 1 < n and data[at + 1] == 47:
            if _named(data, at + 2, start, length):
                if escaped < 2:
                    return at
                escaped = 1
        elif script and byte == 60:
            if escaped == 1 and _named(data, at + 1, start, length):
                escaped = 2
            elif at + 3 < n and data[at + 1] == 33 and data[at + 2] == 45 and data[at + 3] == 45:
                escaped = max(escaped, 1)
                at += 2  # the dashes may end the comment too
                continue
        elif script and byte == 45 and at + 2 < n and data[at + 1] == 45 and data[at + 2] == 62:
            escaped = 0
        at += 1
    return n


@kernel
def _comment_end(data: Bytes, at: int) -> int:
    """First byte after the comment whose text starts at ``at``."""
    n = len(data)
    if at < n and data[at] == 62:
        return at + 1
    if at + 1 < n and data[at] == 45 and data[at + 1] == 62:
        return at + 2
    while at < n:
        at = find(data, at, 45)
        if at + 2 < n and data[at + 1] == 45:
            if data[at + 2] == 62:
                return at + 3
            if at + 3 < n and data[at + 2] == 33 and data[at + 3] == 62:
                return at + 4
        at += 1
    return n


@kernel
def markup_end(data: Bytes, at: int, foreign: bool) -> int:
    """First byte after the comment, declaration or bogus tag at ``at``; ``at`` where it is none."""
    n, second, third = len(data), data[at + 1], data[at + 2]
    if second == 33 and third == 45 and at + 3 < n and data[at + 3] == 45:  # <!--
        return _comment_end(data, at + 4)
    if second == 33 and third == 91 and foreign:  # <![CDATA[ ... ]]>
        at += 3
        while at < n and not (data[at] == 62 and data[at - 1] == 93 and data[at - 2] == 93):
            at += 1
        return at + 1
    if second == 33 or second == 63 or (second == 47 and not letter(third)):
        return find(data, at, 62) + 1
    return at if second == 47 or letter(second) else at + 1
