"""Score: the quality model's probability for every document still kept."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from corpusforge import quality
from corpusforge.schema import QUALITY
from corpusforge.transform import alive, put


@dataclass(frozen=True)
class Score:
    """Append QUALITY; null for decided rows, rows without text, and where there is no model."""

    model: str
    label: str

    reads = ("outcome", "text")
    adds = (QUALITY.name,)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the same rows with the score of ``quality.score``."""
        if not self.model:
            return put(batch, QUALITY.name, pa.nulls(batch.num_rows, QUALITY.type))
        text = pc.if_else(pa.array(alive(batch)), batch.column("text"), None)
        return put(batch, QUALITY.name, quality.score(self.model, self.label, text))
