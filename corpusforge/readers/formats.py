"""What a file is: its format and compression, by its bytes; its name says what to expect."""

from __future__ import annotations

from corpusforge.errors import InputError
from corpusforge.readers import arrow
from corpusforge.readers.inflate import StreamError, whole_file
from corpusforge.readers.records import Inflated
from corpusforge.readers.source import Source, open_file

_ENDINGS = {"": "none", ".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}
_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    # A skippable frame (RFC 8878, 3.1.2), e.g. the dictionary that a .warc.zst may start with.
    *((bytes([kind]) + b"\x2a\x4d\x18", "zstd") for kind in range(0x50, 0x60)),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\0", "xz"),
)
_NAMES = {
    ".warc": "warc",
    ".wet": "warc",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".txt": "text",
}
_PACKED = {"warc": ("none", "gzip", "zstd"), "parquet": ("none",)}  # others: in all of _ENDINGS
_REFUSED = (
    (b"filedesc:", "ARC files are not read", "convert it to WARC, e.g. with warcio recompress"),
    (b"PARE", "an encrypted Parquet file is not read", "decrypt it"),
    (b"FEA1", "Feather files of version 1 are not read", "write it anew as Arrow IPC"),
)
_BEGINS = (
    (b"WARC/", "warc"),
    (b"PAR1", "parquet"),
    (arrow.MAGIC, "arrow"),
    (arrow.STREAM, "arrow"),
)
# Folders hold .json files that are no JSON lines; such a file must be named.
READABLE = tuple(
    name + ending
    for name, format_ in _NAMES.items()
    for ending, compression in _ENDINGS.items()
    if name != ".json" and compression in _PACKED.get(format_, _ENDINGS.values())
)


_TITLES = {"warc": "WARC data", "parquet": "Parquet data", "arrow": "Arrow data"}
_RENAME = "rename the file, or fetch it again"


def sniff(path: str) -> tuple[str, str]:
    """Return (format, compression) of ``path``, e.g. ("jsonl", "zstd").

    Formats are warc, jsonl, parquet, arrow, text; compressions none, gzip, zstd, bz2, xz. Text is
    known by its name only. Raises InputError for a file that is missing, empty, an ARC, named as
    what it is not, or of no known format. It does not look further than the first record.
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
                remedy=_RENAME,
            )
        head = _head(source, compression)
    format_ = named if head is None or named == "text" else _checked(path, named, head)
    if format_ is None:
        raise InputError(
            "of no known format",
            file=path,
            expected=f"a name ending in {', '.join(READABLE)}",
            remedy="rename or convert the file",
        )
    if compression not in _PACKED.get(format_, _ENDINGS.values()):
        raise InputError(f"{_TITLES[format_]} in {compression}", file=path, remedy="unpack it")
    return format_, compression


def _checked(path: str, named: str | None, head: bytes) -> str | None:
    """Return the format that ``head`` has; refuse one that the name does not say."""
    for begins, problem, remedy in _REFUSED:
        if head.startswith(begins):
            raise InputError(problem, file=path, remedy=remedy)
    found = next((name for begins, name in _BEGINS if head.startswith(begins)), None)
    if named is None:
        return found or ("jsonl" if head.lstrip().startswith(b"{") else None)
    if found not in (None, named):
        raise InputError(f"the name says {named}, but it holds {found}", file=path, remedy=_RENAME)
    if found is None and named in _TITLES:
        raise InputError(
            f"holds no {_TITLES[named]}: it begins with {head[:16]!r}",
            file=path,
            expected=" or ".join(repr(begins) for begins, name in _BEGINS if name == named),
            remedy="check what the file is",
        )
    return named


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
    _, problem, remedy = _REFUSED[0]
    return InputError(problem, file=path, remedy=remedy)


def _head(source: Source, compression: str) -> bytes | None:
    """Return the first bytes of the content; None if they cannot be inflated."""
    if source.peek(4) == b"\x5d\x2a\x4d\x18":
        return None  # needs its dictionary; the reader will say if it is no WARC
    try:
        return Inflated(whole_file(compression, source.read)).peek(64)
    except StreamError:
        return None
