"""Transform: a row-preserving step over document batches, and how steps are chained.

A transform appends columns and verdicts; it never removes, adds or reorders a row.
``decide`` is the only way a verdict is written; ``ledger.settle`` the only place a row leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.schema import EDIT, REASON


class Transform(Protocol):
    """A frozen dataclass: RecordBatch -> RecordBatch of the same rows in the same order."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns that must be there."""

    @property
    def adds(self) -> tuple[str, ...]:
        """Columns that are appended or, for verdict columns and text, replaced."""

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the same rows with the columns of ``adds``."""


def chain(*steps: Transform) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """Compose ``steps`` left to right; each is checked to preserve its rows.

    Raises ValueError where a step reads a column that is missing or changes the rows.
    """

    def run(batch: pa.RecordBatch) -> pa.RecordBatch:
        for step in steps:
            name = type(step).__name__
            missing = set(step.reads) - set(batch.schema.names)
            if missing:
                raise ValueError(f"{name} reads {sorted(missing)}, which no earlier step added")
            after = step(batch)
            if not after.column("id").equals(batch.column("id")):
                raise ValueError(f"{name} changed the rows of a batch")
            batch = after
        return batch

    return run


def put(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    """Return ``batch`` with the column ``name`` replaced or appended."""
    index = batch.schema.get_field_index(name)
    if index < 0:
        return batch.append_column(name, values)
    return batch.set_column(index, batch.schema.field(index).with_type(values.type), values)


def alive(batch: pa.RecordBatch) -> np.ndarray:
    """Boolean mask (rows,) of the documents that no step has decided against."""
    kept = pc.equal(batch.column("outcome"), "kept")
    return np.asarray(kept.to_numpy(zero_copy_only=False), dtype=bool)


def decide(
    batch: pa.RecordBatch,
    rows: np.ndarray,
    *,
    outcome: str,
    stage: str | pa.Array,
    reasons: pa.ListArray | None = None,
    detail: pa.Array | None = None,
) -> pa.RecordBatch:
    """Give the documents of the boolean mask ``rows`` their verdict, if they are still kept.

    ``stage``, ``reasons`` (list<REASON>) and ``detail`` (string) cover all rows of the batch;
    what they hold outside the decided rows is ignored.
    """
    mask = pa.array(rows & alive(batch))
    stages = pa.scalar(stage, pa.string()) if isinstance(stage, str) else stage
    updates = {"outcome": pa.scalar(outcome, pa.string()), "stage": stages}
    if detail is not None:
        updates["detail"] = detail
    for name, values in updates.items():
        batch = put(batch, name, pc.if_else(mask, values, batch.column(name)))
    if reasons is not None:
        both = pa.chunked_array([batch.column("reasons"), reasons]).combine_chunks()
        where = np.arange(batch.num_rows) + np.where(mask, batch.num_rows, 0)
        batch = put(batch, "reasons", both.take(pa.array(where)))
    return batch


def note_edits(batch: pa.RecordBatch, rules: Sequence[str], counts: np.ndarray) -> pa.RecordBatch:
    """Add to the column ``edits`` what each of ``rules`` cut: ``counts`` (rows, rules) int64.

    Rules that cut nothing are not listed; a row that nothing was cut from stays null.
    """
    rows, which = np.nonzero(counts)
    new = pa.StructArray.from_arrays(
        [pa.array(rules, pa.string()).take(pa.array(which)), pa.array(counts[rows, which])],
        fields=list(EDIT),
    )
    if "edits" in batch.schema.names:
        old = batch.column("edits")
        rows = np.concatenate([pc.list_parent_indices(old).to_numpy(), rows])
        order = np.argsort(rows, kind="stable")
        new = pa.chunked_array([old.flatten(), new]).combine_chunks().take(pa.array(order))
    lengths = np.bincount(rows, minlength=batch.num_rows)
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    lists = pa.ListArray.from_arrays(
        pa.array(offsets), new, type=pa.list_(EDIT), mask=pa.array(lengths == 0)
    )
    return put(batch, "edits", lists)


def reasons_array(
    lengths: np.ndarray,
    rules: Sequence[str] | pa.Array,
    signals: Sequence[str] | pa.Array,
    values: np.ndarray | pa.Array,
    comparisons: Sequence[str] | pa.Array,
    thresholds: np.ndarray | pa.Array,
) -> pa.ListArray:
    """Build list<REASON> for a batch: ``lengths`` (rows,) reasons a row, the rest flattened."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    columns = [
        pa.array(rules, pa.string()),
        pa.array(signals, pa.string()),
        pa.array(values, pa.float64()),
        pa.array(comparisons, pa.string()),
        pa.array(thresholds, pa.float64()),
    ]
    structs = pa.StructArray.from_arrays(columns, fields=list(REASON))
    return pa.ListArray.from_arrays(pa.array(offsets), structs)
