"""Contaminated: documents that share word n-grams with evaluation items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.evaluation import Evaluation
from corpusforge.kernels import contamination
from corpusforge.transform import decide, put, reasons_array

SIGNAL = pa.field("contaminated_ngrams", pa.int64())  # n-grams of the text that an item has
SHOWN = 300  # characters of an n-gram in the ledger


@dataclass(frozen=True)
class Contaminated:
    """Append SIGNAL; name file, item and n-gram in ``detail``; drop, or only report.

    Every document with text is looked at, so that a replay with other rules knows, too.
    """

    evaluation: Evaluation
    action: Literal["drop", "report"] = "drop"

    reads = ("text", "outcome", "stage", "reasons", "detail")
    adds = (SIGNAL.name, "outcome", "stage", "reasons", "detail")

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the same rows with SIGNAL and verdicts of the stage ``decontaminate``."""
        text = batch.column("text")
        found = contamination.match(text, self.evaluation.index)
        missing = text.is_null().to_numpy(zero_copy_only=False)
        batch = put(batch, SIGNAL.name, pa.array(found.count, mask=missing))
        hit = found.count > 0
        detail: list[str | None] = [None] * len(hit)
        for row in np.flatnonzero(hit).tolist():
            shared = " ".join((found.ngram[row] or "").split())[:SHOWN]
            detail[row] = f"{self.evaluation.names[int(found.item[row])]}: {shared}"
        told = pc.coalesce(batch.column("detail"), pa.array(detail, pa.string()))
        batch = put(batch, "detail", told)
        return batch if self.action == "report" else DropContaminated()(batch)


@dataclass(frozen=True)
class DropContaminated:
    """Drop the documents of which SIGNAL says that they share an n-gram with an item."""

    reads = (SIGNAL.name, "outcome", "stage", "reasons")
    adds = ("outcome", "stage", "reasons")

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the same rows with verdicts of the stage ``decontaminate``."""
        count = pc.fill_null(batch.column(SIGNAL.name), 0).to_numpy(zero_copy_only=False)
        hit = count > 0
        total = int(hit.sum())
        reasons = reasons_array(
            hit.astype(np.int64),
            ["contaminated"] * total,
            [SIGNAL.name] * total,
            count[hit].astype(np.float64),
            ["<"] * total,
            np.ones(total),
        )
        return decide(batch, hit, outcome="dropped", stage="decontaminate", reasons=reasons)
