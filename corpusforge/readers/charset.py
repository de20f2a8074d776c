"""Bytes of a page to UTF-8. Never fails: what cannot be decoded becomes U+FFFD and is counted.

Order: byte order mark, HTTP header, meta element, detection; but a body that is UTF-8 is read as
UTF-8 whatever the labels say, since text of another charset that happens to be well-formed UTF-8
is next to unknown, and wrong labels are common (figures in docs/reading.md). Labels mean what
browsers take them for (https://encoding.spec.whatwg.org/#names-and-labels).
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from typing import NamedTuple

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

_META_BYTES = 8192  # browsers look at 1024, pages with long heads need more
_META = re.compile(
    rb"<(?:meta\b[^>]{0,512}?\bcharset|\?xml\b[^>]{0,128}?\bencoding)\s*=\s*[\"']?\s*([\w.:-]{1,40})",
    re.IGNORECASE,
)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Names that are no labels of browsers, but those of the detector or of what writes pages.
_ALIASES = {
    "cp949": "euc-kr",
    "ms949": "euc-kr",
    "uhc": "euc-kr",
    "cp932": "shift_jis",
    "cp936": "gbk",
    "cp950": "big5",
}
# resiliparse knows the labels; these are the supersets that browsers decode with.
_SUPERSET = {
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "iso8859-11": "cp874",
}
_NAMES = {
    "cp932": "shift_jis",
    "cp949": "euc-kr",
    "euc_jp": "euc-jp",
    "big5hkscs": "big5",
    "cp874": "windows-874",
    "iso2022_jp": "iso-2022-jp",
    "mac-roman": "macintosh",
    "utf-16-le": "utf-16le",
    "utf-16-be": "utf-16be",
}
_NOT_ASCII = ("utf-16", "iso2022", "iso-2022")  # their bytes can all be ASCII and mean other text


_JUDGED = 1 << 16  # bytes
_HIGH = re.compile(rb"[\x80-\xff]")
_HIGH_BYTES = bytes(range(128, 256))
_REPLACEMENT = "\ufffd".encode()


class Decoded(NamedTuple):
    """``text`` is UTF-8; ``charset`` a WHATWG name; ``replaced`` the U+FFFD put in."""

    text: bytes
    charset: str
    replaced: int


def decode(body: bytes, http_label: str | None = None) -> Decoded:
    """Decode ``body`` to UTF-8, ``http_label`` being the charset of the HTTP header."""
    for mark, marked in _MARKS:
        if body.startswith(mark):
            return _decode(body[len(mark) :], marked, "replace")
    labels = [codec for codec in (python_codec(http_label), _meta_codec(body)) if codec]
    for codec in labels:
        if codec.startswith(_NOT_ASCII) and (decoded := _strict(body, codec)):
            return decoded
    if _is_utf8(body):
        return Decoded(body, "utf-8", 0)
    if _is_nearly_utf8(body):
        return _decode(body, "utf-8", "replace")
    labels = [codec for codec in labels if codec != "utf-8"]
    for codec in labels:
        if decoded := _strict(body, codec):
            return decoded
    detected = python_codec(detect_encoding(body, html5_compatible=False))
    if detected in (None, "utf-8"):
        detected = "cp1252"
    if decoded := _strict(body, detected):
        return decoded
    return _decode(body, labels[0] if labels else detected, "replace")


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_nearly_utf8(body: bytes) -> bool:
    """Whether at least every second character beyond ASCII is well-formed UTF-8."""
    first = _HIGH.search(body)
    sample = body[first.start() :][:_JUDGED] if first else b""
    text = sample.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = len(text) - bad - len(sample.translate(None, _HIGH_BYTES))
    return good >= bad


def _strict(body: bytes, codec: str) -> Decoded | None:
    try:
        return _decode(body, codec, "strict")
    except UnicodeError:
        return None


def _decode(body: bytes, codec: str, errors: str) -> Decoded:
    text = body.decode(codec, errors)
    replaced = text.count("\ufffd") if errors == "replace" else 0
    if replaced and codec == "utf-8":  # those that the page holds itself
        replaced -= body.count(_REPLACEMENT)
    name = codec.replace("cp125", "windows-125").replace("iso8859", "iso-8859")
    return Decoded(text.encode(), _NAMES.get(codec, name), replaced)


def _meta_codec(body: bytes) -> str | None:
    found = _META.search(body, 0, _META_BYTES)
    codec = python_codec(found[1].decode("ascii", "replace")) if found else None
    # A meta element that could be read as ASCII does not stand in UTF-16 (WHATWG HTML, prescan).
    return "utf-8" if codec and codec.startswith("utf-16") else codec


@lru_cache(maxsize=512)
def python_codec(label: str | None) -> str | None:
    """Return the Python codec that decodes what browsers take ``label`` for, None if unknown."""
    if not label:
        return None
    label = label.strip().lower()
    name: str | None = map_encoding_to_html5(_ALIASES.get(label, label), False)
    return None if name is None else _SUPERSET.get(name, name)
