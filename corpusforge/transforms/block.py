"""Block: pages whose URL is on a list are dropped before their extraction costs anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pyarrow as pa

from corpusforge import given
from corpusforge.kernels import url_lists
from corpusforge.kernels.url_lists import LISTS, SOFT_WORDS, UrlLists
from corpusforge.transform import alive, decide, reasons_array


def load(files: Mapping[str, Sequence[str]]) -> UrlLists:
    """Compile the list ``files`` by their names in LISTS, once a process while they stay equal."""
    return _load(tuple((name, path, given.digest(path)) for name in files for path in files[name]))


@lru_cache(maxsize=2)
def _load(files: tuple[tuple[str, str, str], ...]) -> UrlLists:
    lines: dict[str, bytes] = {}
    for name, path, _digest in files:
        lines[name] = lines.get(name, b"") + given.read(path) + b"\n"
    return UrlLists.of(lines)


@dataclass(frozen=True)
class Block:
    """Drop the documents whose URL has an entry of a list, or ``soft`` of the soft words.

    A document without a URL passes. ``detail`` says which entries were found.
    """

    lists: UrlLists = field(default_factory=UrlLists)
    soft: int = 2

    reads = ("url", "outcome", "stage", "reasons", "detail")
    adds = ("outcome", "stage", "reasons", "detail")

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the same rows with verdicts ``url.domains``, ... of the stage ``url``."""
        counts, entries = url_lists.match(batch.column("url"), self.lists)
        most = np.ones(len(LISTS), np.int64)
        most[SOFT_WORDS] = self.soft
        failed = counts >= most
        row, place = np.nonzero(failed)
        rules = pa.array([f"url.{name}" for name in LISTS]).take(pa.array(place))
        signals = pa.array([f"url_{name}" for name in LISTS]).take(pa.array(place))
        reasons = reasons_array(
            failed.sum(axis=1),
            rules,
            signals,
            counts[row, place].astype(np.float64),
            ["<"] * len(row),
            most[place].astype(np.float64),
        )
        hit = failed.any(axis=1) & alive(batch)
        detail: list[str | None] = [None] * batch.num_rows
        for number in np.flatnonzero(hit).tolist():
            found = zip(LISTS, entries[number].as_py(), failed[number], strict=True)
            detail[number] = ", ".join(f"{name}: {entry}" for name, entry, bad in found if bad)
        return decide(
            batch,
            hit,
            outcome="dropped",
            stage="url",
            reasons=reasons,
            detail=pa.array(detail, pa.string()),
        )
