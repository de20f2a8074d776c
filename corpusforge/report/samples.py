"""Samples: a few documents of each rule, drawn by id, so that the same run shows the same ones."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.shard import exists, read_batches

EACH = 3  # documents a rule
READ = 2000  # characters of a text; what is shown of them is cut again
RULES = 100  # rules that are sampled
KEPT = "kept"
SHOWN = (
    "id", "source", "source_id", "url", "outcome", "reasons", "detail", "duplicate_of", "language",
    "language_score", "shard", "row",
)  # fmt: skip


class Draw:
    """The EACH documents of lowest id under every rule that decided first, and of the kept ones.

    Ids are hashes of addresses: the lowest are a uniform draw that no order of reading changes.
    """

    def __init__(self) -> None:
        self.drawn: dict[str, list[dict[str, Any]]] = {}
        self.counts: Counter[str] = Counter()  # documents that were drawn from

    def add(self, batch: pa.RecordBatch, rule: pa.Array) -> None:
        """Take the documents of a ledger batch into account; ``rule`` (rows,) decided first."""
        outcome, stage = batch.column("outcome"), batch.column("stage")
        other = pc.binary_join_element_wise(outcome, stage, " at ", null_handling="skip")
        why = pc.if_else(pc.equal(outcome, KEPT), KEPT, pc.coalesce(rule, other))
        for pair in pc.value_counts(why).to_pylist():
            self.counts[pair["values"]] += pair["counts"]
        table = pa.table({"why": why, "id": batch.column("id").cast(pa.binary())})
        order = pc.sort_indices(table, [("why", "ascending"), ("id", "ascending")])
        names = table.column("why").combine_chunks().dictionary_encode()
        codes = names.indices.to_numpy()[order.to_numpy()]
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        rank = np.arange(len(codes)) - np.repeat(starts, np.diff(starts, append=len(codes)))
        best = order.filter(pa.array(rank < EACH))
        rows = batch.select(SHOWN).take(best).to_pylist()
        for name, row in zip(why.take(best).to_pylist(), rows, strict=True):
            if name not in self.drawn and len(self.drawn) >= RULES:
                continue
            both = [*self.drawn.get(name, []), row]
            self.drawn[name] = sorted(both, key=lambda one: bytes(one["id"]))[:EACH]

    def texts(self, root: str) -> None:
        """Give every drawn row its ``title`` and the beginning of its ``text``, where stored."""
        wanted: dict[str, list[dict[str, Any]]] = {}
        for rows in self.drawn.values():
            for row in rows:
                row["title"] = row["text"] = None
                if row["shard"]:
                    wanted.setdefault(row["shard"], []).append(row)
        for shard, rows in sorted(wanted.items()):
            if exists(root, shard):
                _fill(root, shard, sorted(rows, key=lambda row: int(row["row"])))


def _fill(root: str, shard: str, rows: list[dict[str, Any]]) -> None:
    """Read ``shard`` as far as its last wanted row; never more of a text than is shown."""
    start = 0
    for batch in read_batches(root, shard, ["title", "text"]):
        here = [row for row in rows if start <= row["row"] < start + batch.num_rows]
        taken = batch.take(pa.array([row["row"] - start for row in here], pa.int64()))
        for name in ("title", "text"):
            short = pc.utf8_slice_codeunits(taken.column(name), 0, READ).to_pylist()
            for row, value in zip(here, short, strict=True):
                row[name] = value
        start += batch.num_rows
        if start > rows[-1]["row"]:
            return
