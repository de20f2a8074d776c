"""Mark: duplicates found by dedup become verdicts on their documents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.schema import TWIN
from corpusforge.transform import decide, put, reasons_array


@dataclass(frozen=True)
class Mark:
    """Adds the columns of TWIN, and drops the documents of ``removed``.

    ``removed`` has the schema REMOVED; ``similarity`` is the threshold that was used.
    """

    removed: pa.Table
    similarity: float
    reads: tuple[str, ...] = ("id", "outcome", "reasons")
    adds: tuple[str, ...] = (*(field.name for field in TWIN), "outcome", "stage", "reasons")

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the batch with the verdicts of deduplication."""
        removed = self.removed
        place = pc.index_in(batch.column("id"), value_set=removed.column("id"))
        found = np.asarray(place.is_valid().to_numpy(zero_copy_only=False), dtype=bool)

        def column(name: str) -> pa.Array:
            return removed.column(name).combine_chunks().take(place)

        for field in TWIN:
            batch = put(batch, field.name, column(field.name))
        exact = column("exact").filter(pa.array(found))
        rules = pc.if_else(exact, "duplicate", "near-duplicate")
        values = column("similarity").filter(pa.array(found)).cast(pa.float64())
        ones, bound = np.ones(len(values)), np.full(len(values), self.similarity)
        bounds = pc.if_else(exact, pa.array(ones), pa.array(bound))
        reasons = reasons_array(
            found.astype(np.int32),
            rules,
            pa.array(["similarity"] * len(values), pa.string()),
            values,
            pa.array(["<"] * len(values), pa.string()),
            bounds,
        )
        return decide(batch, found, outcome="dropped", stage="dedup", reasons=reasons)
