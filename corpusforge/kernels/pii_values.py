"""What a candidate of personal data is, and the value from reserved space that replaces it.

A value found here stands for its span: its replacement (equal for equal values, whatever the
document), or None where the span is of reserved space already and stays as it is. Replacements are
of reserved space themselves, so masking twice changes nothing.

Sources: addresses RFC 5321, RFC 2606 (example.com, example.org); IPv4 and IPv6 the IANA registries
of special-purpose addresses as of 2025-10 (RFC 6890, 5737, 3849, 9637); phone ITU-T E.164 and the
numbers 555-0100 to 555-0199 that the North American plan keeps for fiction; IBAN ISO 13616 with
the lengths of the SWIFT registry as of 2025-10 and country XX, which ISO 3166 never assigns; cards
ISO/IEC 7812 (Luhn) with issuer ranges, and the leading digit 0, which no bank issues.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Network, IPv6Address

import xxhash

from corpusforge.kernels.pii_scan import CARD, EMAIL, IBAN, IPV4, IPV6, PHONE

_RESERVED_V4 = tuple(
    IPv4Network(name)
    for name in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
_RANGES_V4 = tuple((int(n.network_address), int(n.broadcast_address)) for n in _RESERVED_V4)
_FAKE_V4 = ("192.0.2", "198.51.100", "203.0.113")
_DOCUMENTATION_V6 = ((0x20010DB8, 32), (0x3FFF0, 20))  # first bits, how many

_TLD = re.compile(r"[A-Za-z]{2,}|(?i:xn--)[A-Za-z0-9-]*[A-Za-z0-9]")
_TLD_CUT = re.compile(r"(?!xn-)[A-Za-z]{2,}(?=-)")  # of a label that goes on behind a hyphen
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
_RESERVED_HOST = re.compile(r"(?:.+\.)?example(?:\.com|\.org|\.net|)", re.IGNORECASE)

_IBAN_LENGTHS = {
    country: length
    for length, countries in (
        (15, "NO"),
        (16, "BE"),
        (18, "DK FI FK FO GL NL SD"),
        (19, "MK SI"),
        (20, "AT BA EE KZ LT LU MN XK"),
        (21, "CH HR LI LV"),
        (22, "BG BH CR DE GB GE IE ME RS VA XX"),
        (23, "AE GI IL IQ OM SO TL"),
        (24, "AD CZ ES MD PK RO SA SE SK TN VG"),
        (25, "LY PT ST"),
        (26, "IS TR"),
        (27, "BI DJ FR GR IT MC MR SM"),
        (28, "AL AZ BY CY DO GT HN HU LB NI PL SV"),
        (29, "BR EG PS QA UA"),
        (30, "JO KW MU YE"),
        (31, "MT SC"),
        (32, "LC"),
        (33, "RU"),
    )
    for country in countries.split()
}
_FICTION = re.compile(r"\+1\D*\d{3}\D*555\D*01\d\d(?!\d)")

Value = tuple[int, int, str | None]  # first byte and end of the value in the span; its replacement


def email(span: bytes) -> Value | None:
    """``local@domain`` with a top-level domain that begins with a letter, e.g. not ``pkg@1.2.3``.

    Trailing labels that are none, and punctuation around the local part, are left out.
    """
    local, _, domain = span.decode("ascii").partition("@")
    inner = local.rstrip("%")
    if inner != local or local.endswith("."):
        return None
    start = max(local.rfind("..") + 2 if ".." in local else 0, 0)
    start += len(local[start:]) - len(local[start:].lstrip("._%+-"))
    labels = []
    for label in domain.split("."):
        found = _LABEL.match(label)
        if not found or len(found[0]) > 63:
            break
        labels.append(found[0])
        if found[0] != label:
            break
    while labels and not _TLD.fullmatch(labels[-1]):
        cut = _TLD_CUT.match(labels.pop())
        if cut:
            labels.append(cut[0])
    if len(labels) < 2 or start >= len(local):
        return None
    host = ".".join(labels)
    stop = len(local) + 1 + len(host)
    if _RESERVED_HOST.fullmatch(host):
        return start, stop, None
    number = _hash(EMAIL, f"{local[start:]}@{host}".lower())
    return start, stop, f"user{number >> 8 & 0xFFFFFFFF:08x}@example.{('com', 'org')[number & 1]}"


def ipv4(span: bytes) -> Value | None:
    """A dotted quad; those of reserved ranges stay."""
    text = span.decode("ascii")
    if reserved_v4(text):
        return 0, len(text), None
    number = _hash(IPV4, text)
    return 0, len(text), f"{_FAKE_V4[number % 3]}.{1 + (number >> 8) % 254}"


def reserved_v4(text: str) -> bool:
    """Whether a dotted quad lies in a range that belongs to nobody (RFC 6890, multicast too)."""
    a, b, c, d = map(int, text.split("."))
    value = ((a * 256 + b) * 256 + c) * 256 + d
    return any(first <= value <= last for first, last in _RANGES_V4)


def ipv6(span: bytes) -> Value | None:
    """A global unicast address (2000::/3); those for documentation stay."""
    text = span.decode("ascii").rstrip(":")  # a network, which ends in ::, is nobody's address
    address = 0
    while ":" in text and not address:  # the longest beginning that is an address
        try:
            address = int(IPv6Address(text))
        except AddressValueError:
            text = text.rpartition(":")[0].rstrip(":")
    if not address:
        return None
    if any(address >> (128 - bits) == first for first, bits in _DOCUMENTATION_V6):
        return 0, len(text), None
    number = _hash(IPV6, f"{address:032x}")
    return 0, len(text), f"2001:db8:{number & 0xFFFF:x}:{number >> 16 & 0xFFFF:x}::1"


def phone(span: bytes) -> Value | None:
    """``+`` and a number of E.164; those kept for fiction stay."""
    text = span.decode("ascii")
    if fiction := _FICTION.match(text):  # what follows is no part of it
        return 0, fiction.end(), None
    digits = re.sub(r"\D", "", text)
    number = _hash(PHONE, digits)
    area = 200 + (number >> 8) % 700
    return 0, len(span), f"+1 {area}-555-01{number % 100:02d}"


def iban(span: bytes) -> Value | None:
    """Country, two check digits modulo 97, and the country's length; groups of four or none."""
    length = _IBAN_LENGTHS.get(span[:2].decode("ascii"))
    if length is None:
        return None
    taken, at = bytearray(), 0
    while at < len(span) and len(taken) < length:
        byte = span[at : at + 1]
        if byte == b" " and at and len(taken) % 4 == 0 and span[at - 1 : at] != b" ":
            at += 1
            continue
        if not (byte.isdigit() or byte.isupper()):
            return None
        taken += byte
        at += 1
    if len(taken) < length or span[at : at + 1].isalnum():
        return None
    text = taken.decode("ascii")
    if text.startswith("XX"):
        return 0, at, None
    if int("".join(str(int(char, 36)) for char in text[4:] + text[:4])) % 97 != 1:
        return None
    return 0, at, f"XX00{_hash(IBAN, text) % 10**18:018d}"


def card(span: bytes) -> Value | None:
    """13 to 19 digits of an issuer's range and length that pass Luhn's test."""
    text = span.decode("ascii")
    digits = re.sub(r"\D", "", text)
    if digits.startswith("0000"):
        return 0, len(text), None
    if not _issued(digits) or _luhn(digits) % 10:
        return None
    fake = iter(f"0000{_hash(CARD, digits) % 10 ** (len(digits) - 4):0{len(digits) - 4}d}")
    return 0, len(text), "".join(next(fake) if char.isdigit() else char for char in text)


def _issued(digits: str) -> bool:
    size, four = len(digits), int(digits[:4])
    if digits[0] == "4":
        return size in (13, 16, 19)
    if 5100 <= four <= 5599 or 2221 <= four <= 2720:
        return size == 16
    if digits[:2] in ("34", "37"):
        return size == 15
    if 3000 <= four <= 3059 or digits[:2] in ("36", "38", "39"):
        return size == 14
    return size in (16, 17, 18, 19) and (
        3528 <= four <= 3589 or four == 6011 or 6440 <= four <= 6599 or digits[:2] == "62"
    )


def _luhn(digits: str) -> int:
    odd, even = digits[-1::-2], digits[-2::-2]
    return sum(map(int, odd)) + sum(sum(divmod(2 * int(digit), 10)) for digit in even)


def _hash(kind: int, value: str) -> int:
    return int(xxhash.xxh3_64_intdigest(value.encode(), seed=kind))


READ: dict[int, Callable[[bytes], Value | None]] = {
    EMAIL: email,
    IPV4: ipv4,
    IPV6: ipv6,
    PHONE: phone,
    IBAN: iban,
    CARD: card,
}
