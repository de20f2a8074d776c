"""Labelled rows from JSONL, CSV and Parquet; an error names file, row, column and the nearest one.

The held-out ones are those with the lowest hash, so equal rows are on one side.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from corpusforge.errors import InputError, nearest


@dataclass(frozen=True)
class Row:
    """One row: its values by column, and where it stands; ``columns`` renames the task's names."""

    file: str
    number: int  # from 1; of JSONL the line
    values: Mapping[str, Any]
    columns: Mapping[str, str]

    def has(self, role: str) -> bool:
        """Tell whether there is a value."""
        return self.values.get(self.columns.get(role, role)) is not None

    def get(self, role: str, expected: str) -> Any:
        """Value of the task's ``role``; InputError where there is none."""
        name = self.columns.get(role, role)
        if name not in self.values:
            known = [key for key in self.values if isinstance(key, str)]
            raise InputError(
                f"no column '{name}'", file=self.file, record=self.number, expected=expected,
                remedy=f"{nearest(name, known) if known else 'the row is empty'}, "
                f"to be named by --set data.columns.{role}=NAME",
            )  # fmt: skip
        value = self.values[name]
        if value is None:
            raise self.wrong(role, expected)
        return value

    def text(self, role: str) -> str:
        """Value of ``role`` as text that is not empty."""
        value = self.get(role, "text")
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(role, "text")
        return value

    def label(self, role: str = "label") -> str:
        """Value of ``role`` as the name of a class; whole numbers and booleans are names too."""
        value = self.get(role, "a label")
        if isinstance(value, bool | int):
            return json.dumps(value)
        if not isinstance(value, str) or not value:
            raise self.wrong(role, "a label: text or a whole number")
        return value

    def words(self, role: str) -> list[str]:
        """Value of ``role`` as words: a list of text, or text with spaces between them."""
        value = self.get(role, "a list of text")
        found = value.split() if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise self.wrong(role, "a list of text, or words with spaces between them")
        return found

    def wrong(self, role: str, expected: str, what: str = "") -> InputError:
        """The error of a value that is none of what was ``expected``."""
        name = self.columns.get(role, role)
        shown = json.dumps(self.values.get(name), ensure_ascii=False, default=str)
        shown = shown if len(shown) <= 60 else shown[:60] + "…"
        what = what or f"column '{name}' is {shown}"
        return InputError(what, file=self.file, record=self.number, expected=expected)


def read(path: str, columns: Mapping[str, str]) -> list[Row]:
    """Return the rows of a file, by its ending .jsonl, .csv, .tsv (plain or .gz) or .parquet.

    Columns of CSV are text. Raises InputError with file and row.
    """
    file = Path(path)
    name = file.name.lower().removesuffix(".gz")
    kind = next((kind for ending, kind in READERS.items() if name.endswith(ending)), None)
    if kind is None:
        raise InputError(
            "not a known ending", file=path, expected=", ".join(READERS) + ", plain or .gz"
        )
    try:
        data = file.read_bytes()
        if file.name.lower().endswith(".gz"):
            data = gzip.decompress(data)
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(reason, file=path, expected="a file of labelled rows") from None
    rows = [Row(path, number, values, columns) for number, values in kind(data, path)]
    if not rows:
        raise InputError("no rows", file=path, expected="one row or more")
    return rows


def _jsonl(data: bytes, path: str) -> list[tuple[int, dict[str, Any]]]:
    found = []
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
            if b"\\u" in line:
                json.dumps(values, ensure_ascii=False).encode()  # half a pair is no character
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"not JSON: {error}", file=path, record=number, expected="a JSON object a line"
            ) from None
        if not isinstance(values, dict):
            raise InputError(
                f"a {type(values).__name__}", file=path, record=number,
                expected="a JSON object a line",
            )  # fmt: skip
        found.append((number, values))
    return found


def _csv(data: bytes, path: str, mark: str = ",") -> list[tuple[int, dict[str, Any]]]:
    shape = pyarrow.csv.ParseOptions(delimiter=mark, newlines_in_values=True)
    calm = pyarrow.csv.ReadOptions(use_threads=False)
    try:
        header = data.decode("utf-8-sig").encode()
        with pyarrow.csv.open_csv(io.BytesIO(header), calm, shape) as first:
            names = first.schema.names
        plain = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
        table = pyarrow.csv.read_csv(io.BytesIO(header), calm, shape, plain)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError("not UTF-8", file=path, record=line, expected="UTF-8") from None
    except pa.ArrowInvalid as error:
        raise InputError(f"{error}"[:200], file=path, expected="a table with a header") from None
    return list(enumerate(table.to_pylist(), 1))


def _tsv(data: bytes, path: str) -> list[tuple[int, dict[str, Any]]]:
    return _csv(data, path, "\t")


def _parquet(data: bytes, path: str) -> list[tuple[int, dict[str, Any]]]:
    try:
        table = pyarrow.parquet.read_table(pa.BufferReader(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{error}"[:200], file=path, expected="a Parquet file") from None
    return list(enumerate(table.to_pylist(), 1))


READERS = {
    ".jsonl": _jsonl, ".ndjson": _jsonl, ".csv": _csv, ".tsv": _tsv, ".parquet": _parquet,
}  # fmt: skip


def split(rows: Sequence[Row], share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Return training and held-out rows: those whose hash is among the lowest ``share``.

    Equal rows are on one side. Raises InputError where one side would be empty.
    """
    if not share:
        return list(rows), []
    keys = [
        hashlib.blake2b(
            f"{seed}:{json.dumps(row.values, sort_keys=True, default=str)}".encode(), digest_size=8
        ).digest()
        for row in rows
    ]
    limit = sorted(keys)[max(round(share * len(rows)), 1) - 1]
    sides = [row for row, key in zip(rows, keys, strict=True) if key > limit]
    if not sides:
        raise InputError(
            "too few different rows to hold some out", file=rows[0].file,
            remedy="use --set data.heldout=0, or name a file of held-out rows",
        )  # fmt: skip
    return sides, [row for row, key in zip(rows, keys, strict=True) if key <= limit]
