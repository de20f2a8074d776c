"""Tally: counts by key in bounded memory; exact until there are too many keys, then said so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

LIMIT = 1 << 17  # keys held


class Tally:
    """Counts by key, each a list of ``columns`` numbers.

    Over ``limit`` keys the smaller half is given up: ``exact`` turns False, and the counts of keys
    that come back later are too low. Heavy keys stay.
    """

    def __init__(self, columns: Sequence[str], limit: int = LIMIT) -> None:
        self.columns, self.limit, self.exact = tuple(columns), limit, True
        self.counts: dict[Any, list[int]] = {}

    def add(self, keys: pa.Array, column: pa.Array, amounts: pa.Array | None = None) -> None:
        """Add a row, or its amount, to its key under the name that ``column`` gives."""
        values = pa.table(
            {
                "key": keys,
                "column": column,
                "amount": pa.repeat(1, len(keys)) if amounts is None else amounts,
            }
        )
        grouped = values.group_by(["key", "column"]).aggregate([("amount", "sum")])
        for key, name, amount in zip(
            *(grouped.column(index).to_pylist() for index in range(3)), strict=True
        ):
            row = self.counts.setdefault(key, [0] * len(self.columns))
            row[self.columns.index(name)] += amount or 0
        if len(self.counts) > self.limit:
            self.exact = False
            self.counts = dict(self.top(self.limit // 2))

    def top(self, count: int) -> list[tuple[Any, list[int]]]:
        """Return the largest keys with their counts, by sum, ties by key."""
        ranked = sorted(self.counts.items(), key=lambda item: (-sum(item[1]), str(item[0])))
        return ranked[:count]

    def total(self) -> list[int]:
        """Return the sum of each column."""
        return [sum(values) for values in zip(*self.counts.values(), strict=True)] or [0] * len(
            self.columns
        )
