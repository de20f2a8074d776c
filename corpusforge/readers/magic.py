"""What a body is, by its first bytes, whatever its label says."""

from __future__ import annotations

import codecs
import re

_HEAD = 2048  # bytes looked at
_CONTROL_SHARE = 0.02  # text has next to none; uniformly random bytes have 0.10
_CONTROLS = bytes({*range(32)} - {*b"\t\n\f\r\x1b"}) + b"\x7f"  # ESC belongs to iso-2022-jp

_SIGNATURES = (
    (b"%PDF-", "pdf"),
    (b"\x89PNG\r\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"RIFF", "riff"),
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x7fELF", "elf"),
    (b"wOFF", "woff"),
    (b"wOF2", "woff"),
    (b"OggS", "ogg"),
    (b"ID3", "mp3"),
    (b"\x00asm", "wasm"),
    (b"\xd0\xcf\x11\xe0", "ole"),
    (b"{\\rtf", "rtf"),
    (b"%!PS", "postscript"),
)
_TAGS = rb"!doctype html head body meta title script style link div span table p a h1 h2 br ul"
_MARKUP = re.compile(rb"<(?:" + _TAGS.replace(b" ", b"|") + rb")[\s>/]")
WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # every second byte of such text is often 0


def binary_kind(body: bytes) -> str | None:
    """Name the format of a body that is no text: a known signature, else ``bytes``; or None."""
    for signature, name in _SIGNATURES:
        if body.startswith(signature):
            return name
    head = body[:_HEAD]
    if head.startswith(WIDE):
        return None
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return "bytes" if controls > _CONTROL_SHARE * len(head) else None


def is_markup(body: bytes) -> bool:
    """Whether the head of ``body`` holds a tag of HTML; decides where no label does."""
    if binary_kind(body):
        return False
    head = body[:_HEAD]
    if head.startswith(WIDE):
        head = head.replace(b"\0", b"")
    head = head.lower()
    start = head.lstrip(codecs.BOM_UTF8 + b" \t\r\n")
    return start.startswith(b"<") and _MARKUP.search(head) is not None
