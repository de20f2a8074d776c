"""What a file is: its format and compression, by its bytes; its name says what to expect."""

from __future__ import annotations

from corpusforge.errors import InputError
from corpusforge.readers.inflate import StreamError, whole_file
from corpusforge.readers.records import Inflated
from corpusforge.readers.source import Source, open_file

_ENDINGS = {"": "none", ".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}
_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x5d\x2a\x4d\x18", "zstd"),  # the dictionary that a .warc.zst may start with
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\0", "xz"),
)
_NAMES = {".warc": "warc", ".wet": "warc", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"}
_IN_WARC = ("none", "gzip", "zstd")
# Folders hold .json files that are no JSON lines; such a file must be named.
READABLE = tuple(
    name + ending
    for name, format_ in _NAMES.items()
    for ending, compression in _ENDINGS.items()
    if name != ".json" and (format_ != "warc" or compression in _IN_WARC)
)


def sniff(path: str) -> tuple[str, str]:
    """Return (format, compression) of ``path``: "warc" or "jsonl"; "none", "gzip", "zstd", ...

    Raises InputError for a file that is missing, empty, an ARC, named as what it is not, or of
    no known format. It does not look further than the first record.
    """
    named, promised = _by_name(path)
    with open_file(path) as file:
        source = Source(file)
        magic = source.peek(16)
        if not magic:
            raise InputError("the file is empty (0 bytes)", file=path, remedy="leave it out")
        compression = compression_of(source)
        if promised not in ("none", compression):
            raise InputError(
                f"the name says {promised}, but it holds no {promised} data",
                file=path,
                expected="a name that fits the content",
                remedy="rename the file, or fetch it again",
            )
        head = _head(source, compression)
    if head is not None and head.startswith(b"filedesc:"):
        raise _arc(path)
    if named == "warc" or (named is None and head and head.startswith(b"WARC/")):
        if compression not in _IN_WARC:
            raise InputError(
                f"a WARC in {compression}", file=path, remedy="unpack it, or pack it with gzip"
            )
        if head is not None and not head.startswith(b"WARC/"):
            raise InputError(
                f"holds no WARC record: it begins with {head[:16]!r}",
                file=path,
                expected="'WARC/'",
                remedy="check what the file is",
            )
        return "warc", compression
    if named == "jsonl" or (head or b"").lstrip().startswith(b"{"):
        return "jsonl", compression
    raise InputError(
        "of no known format",
        file=path,
        expected=f"a name ending in {', '.join(READABLE)}",
        remedy="rename or convert the file",
    )


def compression_of(source: Source) -> str:
    """Return the compression that the first bytes of ``source`` show: "none", "gzip", ..."""
    magic = source.peek(16)
    return next((name for mark, name in _MAGIC if magic.startswith(mark)), "none")


def _by_name(path: str) -> tuple[str | None, str]:
    """Return the format (None: unknown) and compression that the name promises."""
    name = path.rsplit("/", 1)[-1].lower()
    ending = next((ending for ending in _ENDINGS if ending and name.endswith(ending)), "")
    stem = name.removesuffix(ending)
    if stem.endswith(".arc"):
        raise _arc(path)
    return next((f for end, f in _NAMES.items() if stem.endswith(end)), None), _ENDINGS[ending]


def _arc(path: str) -> InputError:
    return InputError(
        "ARC files are not read",
        file=path,
        expected="WARC",
        remedy="convert it, e.g. with warcio recompress",
    )


def _head(source: Source, compression: str) -> bytes | None:
    """Return the first bytes of the content; None if they cannot be inflated."""
    if source.peek(4) == b"\x5d\x2a\x4d\x18":
        return None  # needs its dictionary; the reader will say if it is no WARC
    try:
        return Inflated(whole_file(compression, source.read)).peek(64)
    except StreamError:
        return None
