"""Files that a spec names beside the inputs (lists, evaluation sets): their bytes and digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache

from corpusforge.errors import InputError, RunError, SpecError
from corpusforge.readers.formats import compression_of
from corpusforge.readers.inflate import StreamError, whole_file
from corpusforge.readers.source import Source, open_file
from corpusforge.storage import file_system

# A list of domains is read and hashed once a process, as long as it lies unchanged.


def read(path: str) -> bytes:
    """Return the content of ``path``, decompressed (gz, zst, bz2, xz, by its first bytes)."""
    _mark(path)
    with open_file(path) as file:
        source = Source(file)
        try:
            return b"".join(whole_file(compression_of(source), source.read))
        except StreamError as error:
            raise InputError(str(error), file=path, remedy="fetch it again") from None


def digest(path: str) -> str:
    """Return the sha256 of the file as it lies. Raises SpecError where there is none."""
    return _digest(path, _mark(path))


def facts(paths: Iterable[str]) -> list[dict[str, str]]:
    """Return name and sha256 of every file: what a result depends on, without machine paths."""
    return [{"name": name(path), "sha256": digest(path)} for path in paths]


def name(path: str) -> str:
    """Return what a file is called in ledger and manifest."""
    return path.rstrip("/").rsplit("/", 1)[-1]


def _mark(path: str) -> str:
    try:
        fs, plain = file_system(path)
        facts = fs.info(plain)
    except FileNotFoundError:
        raise SpecError("no such file", file=path, remedy="check the spec") from None
    except (OSError, ValueError, RunError) as error:
        raise SpecError(f"cannot be opened: {error}", file=path) from None
    if facts.get("type") == "directory":
        raise SpecError("is a folder, not a file", file=path)
    return f"{facts.get('size')} {facts.get('mtime', facts.get('etag', ''))}"


@lru_cache(maxsize=256)
def _digest(path: str, mark: str) -> str:
    sha256 = hashlib.sha256()
    with open_file(path) as file:
        while block := file.read(1 << 20):
            sha256.update(block)
    return sha256.hexdigest()
