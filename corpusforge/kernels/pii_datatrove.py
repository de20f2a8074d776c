"""The addresses and IPs that datatrove 0.10's PIIFormatter finds, for comparison with it.

Its patterns (Apache-2.0), unlike ours: a letter of any script before an address hides it; query
strings, paths and version numbers after an @ count as addresses; four numbers with dots are an IP
inside of longer numbers too. Its replacements rotate with the order of documents; ours do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from corpusforge.kernels.pii_scan import EMAIL, IPV4
from corpusforge.kernels.pii_values import READ, reserved_v4

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)"
_EMAIL = re.compile(
    rf"\b{_ATOM}+(?:\.{_ATOM}+)*@(?:(?:{_LABEL}\.)+{_LABEL}"
    rf"|\[(?:{_OCTET}\.){{3}}(?:{_OCTET}|[A-Za-z0-9-]*[A-Za-z0-9]:)])"
)
_BEFORE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]")
_AFTER = re.compile(r"(?:[A-Za-z0-9.-]|\[|\]|:)*")
_IP = re.compile(rf"(?:{_OCTET}\.){{3}}{_OCTET}")
_LOOK = 512  # characters to either side of an @; the pattern alone is quadratic in them

Found = tuple[str, int, int, str]  # kind, first byte, end, replacement


def find(text: bytes, kinds: Sequence[str]) -> list[Found]:
    """Return the values in a UTF-8 text, in order; where they overlap the address counts."""
    if b"@" not in text and b"." not in text:
        return []
    chars = text.decode()
    emails = list(_emails(chars)) if "email" in kinds else []
    found = [("email", start, stop) for start, stop in emails]
    if "ip" in kinds:
        edges = [0, *(edge for span in emails for edge in span), len(chars)]
        for first, last in zip(edges[::2], edges[1::2], strict=True):
            for match in _IP.finditer(chars[first:last]):
                if _is_public(match[0]):
                    found.append(("ip", first + match.start(), first + match.end()))
    found.sort(key=lambda value: value[1])
    return list(_in_bytes(chars, found))


def _emails(chars: str) -> Iterator[tuple[int, int]]:
    end, sign = 0, chars.find("@")
    while sign >= 0:
        first = sign
        while first > max(end, sign - _LOOK) and _BEFORE.match(chars[first - 1]):
            first -= 1
        after = _AFTER.match(chars, sign + 1, sign + _LOOK)
        match = _EMAIL.search(chars, first, after.end() if after else sign + 1)
        if match:
            end = match.end()
            yield match.start(), end
        sign = chars.find("@", max(sign + 1, end))


def _is_public(quad: str) -> bool:
    """``ipaddress.ip_address(quad).is_global``, which counts multicast and knows no 01."""
    parts = quad.split(".")
    if any(len(part) > 1 and part[0] == "0" for part in parts):
        return False
    return not reserved_v4(quad) or 224 <= int(parts[0]) < 240


def _in_bytes(chars: str, found: Sequence[tuple[str, int, int]]) -> Iterator[Found]:
    at = byte = 0
    for kind, start, stop in found:
        byte += len(chars[at:start].encode())
        value = chars[start:stop]  # ASCII
        at = stop
        yield kind, byte, byte + len(value), _fake(kind, value)
        byte += len(value)


def _fake(kind: str, value: str) -> str:
    read = READ[EMAIL if kind == "email" else IPV4](value.encode())
    if read is None or read[2] is None:
        return "email@example.com" if read is None and kind == "email" else value
    return read[2]
