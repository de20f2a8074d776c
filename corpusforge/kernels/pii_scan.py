"""Candidates of personal data in UTF-8 bytes: one compiled pass, a bounded look around each.

The pass only finds where a value may stand and how far it reaches; ``pii_values`` says what it is.
A byte triggers a look: ``@`` (address), a digit after none (IPv4, card), ``:`` (IPv6), ``+``
(phone), a capital letter (IBAN). Each look reads at most LOOK bytes, so the pass is linear.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from corpusforge.kernels.jit import kernel

EMAIL, IPV4, IPV6, PHONE, IBAN, CARD = range(6)
LOOK = 256  # bytes looked at to either side of a trigger

_DIGIT, _UPPER, _LOWER, _HEX, _LOCAL, _DOMAIN = (1 << bit for bit in range(6))
_ALNUM = _DIGIT | _UPPER | _LOWER
_LOCAL_BYTES = 128  # of an address before the @; RFC 5321 allows 64, list managers write more


@cache
def byte_classes() -> np.ndarray:
    """Return the class bits of every byte: (256,) uint8."""
    classes = np.zeros(256, np.uint8)
    for bit, members in (
        (_DIGIT, b"0123456789"),
        (_UPPER, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        (_LOWER, b"abcdefghijklmnopqrstuvwxyz"),
        (_HEX, b"0123456789abcdefABCDEF"),
    ):
        classes[list(members)] |= bit
    classes[classes & _ALNUM != 0] |= _LOCAL | _DOMAIN
    classes[list(b"._%+-")] |= _LOCAL
    classes[list(b".-")] |= _DOMAIN
    classes.setflags(write=False)
    return classes


@kernel
def candidates(
    data: np.ndarray, bounds: np.ndarray, wanted: np.ndarray, classes: np.ndarray
) -> np.ndarray:
    """Return (n, 4) int64 of (row, start, stop, kind): bytes of ``data`` that may be a value.

    ``bounds`` is (rows + 1,) int32; ``wanted`` (6,) bool by kind. Spans may overlap; those of one
    row stand together.
    """
    found = np.empty((64, 4), np.int64)
    count = 0
    for row in range(len(bounds) - 1):
        start, stop = int(bounds[row]), int(bounds[row + 1])
        seen6 = start  # to where IPv6 has been looked for
        for index in range(start, stop):
            byte = data[index]
            kind, left, right = -1, 0, 0
            if byte == 0x40:
                if wanted[EMAIL]:
                    kind = EMAIL
                    left, right = _address(data, index, start, stop, classes)
            elif byte == 0x3A:
                if wanted[IPV6] and index >= seen6:
                    kind = IPV6
                    left, right, seen6 = _groups(data, index, start, stop, classes)
            elif byte == 0x2B:
                if wanted[PHONE] and not _within(data, index, start, classes):
                    kind = PHONE
                    left, right = index, _number(data, index, stop, classes)
            elif classes[byte] & _DIGIT:
                if not _within(data, index, start, classes):
                    if wanted[IPV4]:
                        kind = IPV4
                        left, right = index, _octets(data, index, start, stop, classes)
                    if right <= left and wanted[CARD]:
                        kind = CARD
                        left, right = index, _card(data, index, start, stop, classes)
            elif (
                classes[byte] & _UPPER
                and wanted[IBAN]
                and index + 15 <= stop
                and classes[data[index + 3]] & _DIGIT
                and classes[data[index + 2]] & _DIGIT
                and classes[data[index + 1]] & _UPPER
                and not _within(data, index, start, classes)
            ):
                kind, left, right = IBAN, index, min(stop, index + 45)
            if kind < 0 or right <= left:
                continue
            if count == len(found):
                larger = np.empty((2 * count, 4), np.int64)
                larger[:count] = found
                found = larger
            found[count, 0], found[count, 1] = row, left
            found[count, 2], found[count, 3] = right, kind
            count += 1
    return found[:count]


@kernel
def _within(data: np.ndarray, index: int, start: int, classes: np.ndarray) -> bool:
    """Whether the byte before ``index`` is a letter, a digit, ``_``, or the end of a marker.

    A marker (``[EMAIL]``, ``[IP]``, ``[PHONE]``, ``[IBAN]``, ``[CARD]``) stands where a value
    stood, so that what followed it without a gap is no value now either.
    """
    if index == start:
        return False
    if data[index - 1] != 0x5D:
        return bool(classes[data[index - 1]] & _ALNUM or data[index - 1] == 0x5F)
    if index - start < 4:
        return False
    last = int(data[index - 3]) << 8 | int(data[index - 2])
    return last == 0x494C or last == 0x4950 or last == 0x4E45 or last == 0x414E or last == 0x5244


@kernel
def _address(
    data: np.ndarray, index: int, start: int, stop: int, classes: np.ndarray
) -> tuple[int, int]:
    left, right, dots = index, index + 1, 0
    lowest, highest = max(start, index - _LOCAL_BYTES), min(stop, index + LOOK)
    while left > lowest and classes[data[left - 1]] & _LOCAL:
        left -= 1
    while right < highest and classes[data[right]] & _DOMAIN:
        dots += data[right] == 0x2E
        right += 1
    if right < stop and classes[data[right]] & _DOMAIN:
        return index, index  # longer than any name
    return (left, right) if left < index and dots else (index, index)


@kernel
def _groups(
    data: np.ndarray, index: int, start: int, stop: int, classes: np.ndarray
) -> tuple[int, int, int]:
    """IPv6: four hexadecimal digits, the first of them 2 or 3 (global unicast), then more."""
    right, colons, last = index, 0, index
    while right < stop and (classes[data[right]] & _HEX or data[right] == 0x3A):
        if data[right] == 0x3A:
            colons += 1
            last = right
        right += 1
    left = index - 4
    if left < start or colons < 2 or (data[left] != 0x32 and data[left] != 51):
        return index, index, right
    for place in range(left, index):
        if classes[data[place]] & _HEX == 0:
            return index, index, right
    if _within(data, left, start, classes) or (
        left > start and (data[left - 1] == 0x3A or data[left - 1] == 0x2E)
    ):
        return index, index, right
    seen = right
    word = right < stop and (classes[data[right]] & _ALNUM or data[right] == 0x5F)
    if word or right - last > 5:  # the last group is, or belongs to, a word
        right = last
    return left, min(right, left + 46), seen


@kernel
def _octets(data: np.ndarray, index: int, start: int, stop: int, classes: np.ndarray) -> int:
    """IPv4: four numbers up to 255 without leading zeros, not inside a longer dotted number."""
    if index > start and data[index - 1] == 0x2B:
        return index
    if index > start and data[index - 1] == 0x2E and _within(data, index - 1, start, classes):
        return index
    at = index
    for octet in range(4):
        first, value = at, 0
        while at < stop and at - first < 3 and classes[data[at]] & _DIGIT:
            value = value * 10 + int(data[at]) - 48
            at += 1
        if at == first or value > 255 or (data[first] == 0x30 and at - first > 1):
            return index
        if octet < 3:
            if at >= stop or data[at] != 0x2E:
                return index
            at += 1
    if at < stop and (classes[data[at]] & _ALNUM or data[at] == 0x5F):
        return index
    if at + 1 < stop and data[at] == 0x2E and classes[data[at + 1]] & _DIGIT:
        return index
    return at


@kernel
def _digits(data: np.ndarray, at: int, most: int, stop: int, classes: np.ndarray) -> int:
    """Where the digits from ``at`` end, looking at ``most`` of them."""
    end = at
    while end < stop and end - at < most and classes[data[end]] & _DIGIT:
        end += 1
    return end


@kernel
def _card(data: np.ndarray, index: int, start: int, stop: int, classes: np.ndarray) -> int:
    """Card: 13 to 19 digits in one run, or 4-4-4-4, 4-6-5, 4-6-4 with one kind of separator."""
    if index > start and 0x2C <= data[index - 1] <= 0x2F:  # , - . /
        return index
    end = _digits(data, index, 20, stop, classes)
    separator = np.uint8(0)
    if end - index == 4 and end < stop and (data[end] == 0x20 or data[end] == 0x2D):
        separator = data[end]
        groups = 1
        if index - 5 >= start and data[index - 1] == separator:
            four = _digits(data, index - 5, 5, stop, classes) == index - 1
            if four and not _within(data, index - 5, start, classes):
                return index  # a table of numbers
        second = 0
        while groups < 4 and end < stop and data[end] == separator:
            after = _digits(data, end + 1, 7, stop, classes)
            size = after - end - 1
            if groups == 1:
                second = size
            fits = size == 4 if second == 4 else second == 6 and (groups == 1 or 4 <= size <= 5)
            if not fits or (second == 6 and groups > 2):
                break
            end = after
            groups += 1
        if not (groups == 4 and second == 4) and not (groups == 3 and second == 6):
            return index
    elif end - index < 13 or end - index > 19:
        return index
    if end < stop and (classes[data[end]] & _ALNUM or data[end] == 0x5F):
        return index
    if end + 1 < stop and classes[data[end + 1]] & _DIGIT:
        if data[end] == 0x2E or data[end] == 0x2D:
            return index
        after = _digits(data, end + 1, 5, stop, classes)
        if data[end] == separator and after == end + 5 and (after == stop or data[after] <= 0x20):
            return index  # a table of numbers
    return end


@kernel
def _number(data: np.ndarray, index: int, stop: int, classes: np.ndarray) -> int:
    """Phone: + and 8 to 15 digits (E.164), at most two of ``( ) . - /`` and space between two.

    It ends with the last group of digits that fits.
    """
    if index + 1 >= stop or classes[data[index + 1]] & _DIGIT == 0 or data[index + 1] == 0x30:
        return index
    at, last, count, end = index + 1, index, 0, index
    while at < stop and at - last <= 3 and count <= 15:
        byte = data[at]
        if classes[byte] & _DIGIT:
            count += 1
            last = at
            whole = at + 1 == stop or not (classes[data[at + 1]] & _ALNUM or data[at + 1] == 0x5F)
            if whole and 8 <= count <= 15:
                end = at + 1
        elif byte != 0x20 and not (0x28 <= byte <= 0x29 or 0x2D <= byte <= 0x2F):
            break
        at += 1
    return end
