"""Inputs -> units of work. The plan depends on the inputs and the spec, never on workers.

An input argument is a file, a folder, a glob or a remote path, optionally ``label=path``.
``source`` of a record is ``label/relative path``: no machine path enters ids or digests.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from corpusforge.errors import InputError, RunError, UsageError
from corpusforge.spec import Plan
from corpusforge.storage import errors_of, file_system

SPLITTABLE = {
    *(("warc", packing) for packing in ("none", "gzip", "zstd")),
    ("jsonl", "none"),
    ("parquet", "none"),
}


@dataclass(frozen=True)
class Piece:
    """A byte range [start, end) of one input file; it owns the records that start in it."""

    path: str
    source: str
    format: str
    compression: str
    start: int
    end: int
    size: int  # bytes of the whole file


@dataclass(frozen=True)
class Unit:
    """A deterministic piece of input that one worker turns into one shard of each kind."""

    name: str
    pieces: tuple[Piece, ...]
    fingerprint: str  # of names, sizes and change marks of the files

    @property
    def bytes(self) -> int:
        """Compressed bytes of the unit."""
        return sum(piece.end - piece.start for piece in self.pieces)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON form, which is what crosses process borders."""
        return asdict(self)

    @staticmethod
    def from_json(values: dict[str, Any]) -> Unit:
        """Inverse of ``to_json``."""
        pieces = tuple(Piece(**piece) for piece in values["pieces"])
        return Unit(values["name"], pieces, values["fingerprint"])


@dataclass(frozen=True)
class InputFile:
    """One file of the input: where it lies, what it is called, how large it is."""

    path: str
    source: str
    size: int
    mark: str  # changes when the file changes: modification time or store's tag


def find_inputs(arguments: Sequence[str], readable: tuple[str, ...]) -> list[InputFile]:
    """Expand ``arguments`` to files sorted by source; ``readable`` are the suffixes of folders.

    In a folder that holds anything else readable, .txt files are notes, not documents: name them
    or give a glob to read them. Raises InputError for a missing path, a folder without readable
    files and an empty file, and UsageError when two arguments have one label or one file is given
    twice, be it by a link or under two labels: its records would count twice.
    """
    files: dict[str, InputFile] = {}
    sources: dict[str, str] = {}
    labels: dict[str, str] = {}
    for argument in arguments:
        label, path = _split_label(argument)
        for name, found in _expand(label, path, readable):
            if name in labels:
                raise UsageError(
                    f"two inputs are called '{name}': {labels[name]} and {path}",
                    remedy=f"give them labels: first={labels[name]} second={path}",
                )
            labels[name] = path
            for file in found:
                first = sources.setdefault(_real(file.path), file.source)
                if first != file.source:
                    raise UsageError(
                        f"one file is given twice, as '{first}' and '{file.source}'",
                        file=file.path,
                        remedy="give it once",
                    )
                files[file.source] = file
    return [files[source] for source in sorted(files)]


def _split_label(argument: str) -> tuple[str | None, str]:
    label, separator, path = argument.partition("=")
    if separator and _exists(argument):
        return None, argument  # a path may hold an =
    if separator and label and "/" not in label and ":" not in label:
        return label, path
    return None, argument


def _run_folders(files: set[str]) -> tuple[str, ...]:
    """Return the run folders among ``files``: what forge wrote is not its input."""
    folders = (posixpath.dirname(file) for file in files if posixpath.basename(file) == "log.jsonl")
    return tuple(f"{folder}/" for folder in folders if f"{folder}/spec.toml" in files)


def _real(path: str) -> str:
    """Return what a local path leads to, links followed; a remote path as it is."""
    return path if "://" in path else os.path.realpath(path)


def _is_text(path: str) -> bool:
    return bool(re.search(r"\.txt(\.\w+)?$", path, re.IGNORECASE))


def _exists(path: str) -> bool:
    fs, root = _file_system(path)
    with errors_of(path):
        return bool(fs.exists(root))


def _expand(
    label: str | None, path: str, readable: tuple[str, ...]
) -> Iterable[tuple[str, list[InputFile]]]:
    with errors_of(path):
        yield from _found(label, path, readable)


def _found(
    label: str | None, path: str, readable: tuple[str, ...]
) -> Iterable[tuple[str, list[InputFile]]]:
    fs, root = _file_system(path)
    if any(mark in root for mark in "*?[") and not fs.exists(root):
        matches = sorted(match for match in fs.glob(root) if fs.isfile(match))
        if not matches:
            raise InputError("no file matches this pattern", file=path, remedy="check the pattern")
        fixed = root[: root.rindex("/", 0, re.search(r"[*?\[]", root).start()) + 1]  # type: ignore[union-attr]
        for match in matches:
            below = match.removeprefix(fixed)
            name = f"{label}/{below}" if label else below
            yield name, [_file(fs, match, name)]
        return
    if not fs.exists(root):
        raise InputError("no such file or folder", file=path, remedy="check the path")
    name = label or posixpath.basename(root.rstrip("/"))
    if not fs.isdir(root):
        yield name, [_file(fs, root, name)]
        return
    base = root.rstrip("/") + "/"
    matches = sorted(fs.find(root))
    runs = _run_folders(set(matches))
    matches = [
        match
        for match in matches
        if match.lower().endswith(readable)
        and not posixpath.basename(match).startswith(".")
        and not match.startswith(runs)
    ]
    matches = [match for match in matches if not _is_text(match)] or matches
    found = [_file(fs, match, f"{name}/{match.removeprefix(base)}") for match in matches]
    if not found:
        raise InputError(
            "this folder holds no readable file",
            file=path,
            expected=f"files ending in {', '.join(readable)}",
            remedy="name the files, or another folder",
        )
    yield name, found


def _file_system(path: str) -> tuple[Any, str]:
    try:
        return file_system(path)
    except RunError as error:
        raise InputError(f"cannot open: {error.what}", file=path) from None


def _file(fs: Any, path: str, source: str) -> InputFile:
    info = fs.info(path)
    size = int(info["size"] or 0)
    if size == 0:
        raise InputError(
            "the file is empty (0 bytes)", file=path, remedy="remove it from the input"
        )
    mark = info.get("ETag") or info.get("etag") or info.get("md5Hash") or info.get("mtime") or ""
    return InputFile(fs.unstrip_protocol(path) if _remote(fs) else path, source, size, str(mark))


def _remote(fs: Any) -> bool:
    protocol = fs.protocol if isinstance(fs.protocol, str) else fs.protocol[0]
    return protocol not in ("file", "local")


def make_units(
    files: Sequence[InputFile],
    kinds: Sequence[tuple[str, str]],
    plan: Plan,
    whole: Collection[str] = (),
) -> list[Unit]:
    """Cut ``files`` into units of about ``plan.unit_bytes`` compressed bytes, in source order.

    ``kinds`` holds (format, compression) a file. Large files that can be read by byte ranges are
    cut into several units, but for those whose source is in ``whole``; small ones share a unit.
    """
    groups: list[list[tuple[Piece, str]]] = [[]]
    room = plan.unit_bytes
    for file, (format_, compression) in zip(files, kinds, strict=True):
        cuts = [0, file.size]
        can_cut = (format_, compression) in SPLITTABLE and file.source not in whole
        if can_cut and file.size > plan.unit_bytes:
            parts = -(-file.size // plan.unit_bytes)
            cuts = [file.size * part // parts for part in range(parts + 1)]
        for start, end in pairwise(cuts):
            piece = Piece(file.path, file.source, format_, compression, start, end, file.size)
            if groups[-1] and end - start > room:
                groups.append([])
                room = plan.unit_bytes
            groups[-1].append((piece, file.mark))
            room -= end - start
    return [
        Unit(f"part-{number:05d}", tuple(piece for piece, _ in group), _fingerprint(group))
        for number, group in enumerate(groups)
        if group
    ]


def _fingerprint(group: list[tuple[Piece, str]]) -> str:
    facts = [(p.source, p.start, p.end, p.size, mark) for p, mark in group]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


# Of the sample on one core; disk and memory are upper figures.
SECONDS_PER_MB, DISK_PER_BYTE, WORKER_BYTES = 1.2, 3.0, 450 << 20


def estimate(units: Sequence[Unit], workers: int, plan: Plan) -> str:
    """Say what a clean run over ``units`` will take: files, units, disk, memory, time."""
    size = sum(unit.bytes for unit in units)
    files = len({piece.source for unit in units for piece in unit.pieces})
    busy = min(workers, len(units))
    pieces = [piece for unit in units for piece in unit.pieces]
    whole = [p for p in pieces if p.size > plan.unit_bytes and p.end - p.start == p.size]
    note = "".join(f"\nplan: {p.source} {_why_whole(p)}, so it is one unit" for p in whole)
    return (
        f"plan: {files} files, {size / 1e6:,.1f} MB in {len(units)} units; about "
        f"{size * DISK_PER_BYTE / 1e6:,.0f} MB of disk, "
        f"{(WORKER_BYTES + 4 * plan.batch_bytes) / 1e6:,.0f} MB of memory a worker, "
        f"{5 + size / 1e6 * SECONDS_PER_MB / busy:,.0f} s with {busy} workers{note}"
    )


def _why_whole(piece: Piece) -> str:
    if piece.format == "warc":
        part = "gzip member" if piece.compression == "gzip" else "zstd frame"
        return f"is one {part} or a few large ones"
    if piece.compression != "none":
        return f"is packed with {piece.compression} as a whole"
    return "cannot be cut"


def largest_first(units: Sequence[Unit]) -> list[Unit]:
    """Order for engines that split work statically: no large unit comes last."""
    return sorted(units, key=lambda unit: (-unit.bytes, unit.name))
