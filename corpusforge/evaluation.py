"""Evaluation files as items of text, indexed for decontamination; each item keeps its place."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpusforge import given
from corpusforge.errors import InputError, SpecError, nearest
from corpusforge.kernels import contamination

_PACKED = (".gz", ".zst", ".bz2", ".xz")
JSON = (".jsonl", ".ndjson", ".json")
NAMED = 5  # short items that a warning names

Item = tuple[str, str]  # place in the file ("line 12", "row 3"), text


@dataclass(frozen=True)
class Evaluation:
    """All items of the evaluation files: their n-grams, and what each item is called."""

    index: contamination.Index
    names: tuple[str, ...]  # of each item: file and place
    facts: tuple[dict[str, Any], ...]  # of each file: name, sha256, items, short ones

    @property
    def warnings(self) -> list[str]:
        """One line a file with items too short to be found."""
        short: dict[str, list[str]] = {}
        for item in self.index.short.tolist():
            file, place = self.names[item].rsplit(" ", 2)[0], self.names[item]
            short.setdefault(file, []).append(place.removeprefix(file + " "))
        items = {fact["name"]: fact["items"] for fact in self.facts}
        return [
            f"{file}: {len(places)} of {items[file]} items have fewer than {self.index.ngram} words"
            f" and cannot be found: {', '.join(places[:NAMED])}"
            + (", ..." if len(places) > NAMED else "")
            for file, places in short.items()
        ]


def load(files: Sequence[str], fields: Sequence[str], ngram: int) -> Evaluation:
    """Read and index ``files``: JSONL, Parquet or text, plain or compressed.

    An item is a JSON record, a row, or a paragraph of a text. ``fields`` are the ones that count;
    empty: every string, in lists and inner objects too. Raises SpecError for a field that no item
    has, InputError for what cannot be read.
    """
    digests = tuple(given.digest(path) for path in files)
    return _load(tuple(files), digests, tuple(fields), ngram)


@lru_cache(maxsize=2)
def _load(
    files: tuple[str, ...], digests: tuple[str, ...], fields: tuple[str, ...], ngram: int
) -> Evaluation:
    names: list[str] = []
    texts: list[str] = []
    counts: list[tuple[int, int]] = []
    for path in files:
        first = len(names)
        for place, text in _items(path, fields):
            names.append(f"{given.name(path)} {place}")
            texts.append(text)
        if len(names) == first:
            raise InputError("holds no item", file=path, remedy="check decontaminate.files")
        counts.append((first, len(names)))
    index = contamination.index(pa.array(texts, pa.string()), ngram)
    facts = [
        {
            "name": given.name(path),
            "sha256": digest,
            "items": last - first,
            "short": int(((index.short >= first) & (index.short < last)).sum()),
        }
        for path, digest, (first, last) in zip(files, digests, counts, strict=True)
    ]
    return Evaluation(index, tuple(names), tuple(facts))


def _items(path: str, fields: Sequence[str]) -> Iterator[Item]:
    name = stem(path)
    data = given.read(path)
    if name.endswith(".parquet"):
        return _of_records(path, table_rows(path, data), fields)
    if name.endswith(JSON):
        return _of_records(path, json_lines(path, data), fields)
    return _paragraphs(path, data)


def stem(path: str) -> str:
    """The path in lower case, without the ending of a compression."""
    path = path.lower()
    for ending in _PACKED:
        path = path.removesuffix(ending)
    return path


def _of_records(
    path: str, records: Iterable[tuple[str, dict[str, Any]]], fields: Sequence[str]
) -> Iterator[Item]:
    known: set[str] = set()
    for place, record in records:
        known |= record.keys()
        chosen = [record.get(name) for name in fields] if fields else list(record.values())
        yield place, "\n".join(text for value in chosen for text in _strings(value))
    for name in fields:
        if name not in known:
            raise SpecError(
                f"no item has the field '{name}'", file=path, remedy=nearest(name, known)
            )


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def json_lines(path: str, data: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield place ("line 3") and object of each line; InputError where it is none."""
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            raise InputError("not JSON", file=path, record=f"line {number}") from None
        if not isinstance(record, dict):
            raise InputError("not a JSON object", file=path, record=f"line {number}")
        yield f"line {number}", record


def table_rows(path: str, data: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield place ("row 3") and fields of each row of a Parquet file."""
    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"not Parquet: {error}", file=path) from None
    for number, record in enumerate(table.to_pylist(), 1):
        yield f"row {number}", record


def _paragraphs(path: str, data: bytes) -> Iterator[Item]:
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 at byte {error.start}", file=path) from None
    held, first = list[str](), 0
    for number, line in enumerate([*lines, ""], 1):
        if line.strip():
            first = first if held else number
            held.append(line)
        elif held:
            yield f"line {first}", "\n".join(held)
            held = []
