"""Measure: every signal of every document still kept."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.kernels import families
from corpusforge.transform import alive, put


@dataclass(frozen=True)
class Measure:
    """Append one column a signal, int64 or float64; null for decided rows and rows without text."""

    families: tuple[str, ...] = (families.GENERAL,)
    splitter: str = "unicode"

    reads = ("outcome", "text")

    @property
    def adds(self) -> tuple[str, ...]:
        """The signals of the families."""
        return tuple(one.name for one in families.signals_of(self.families))

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the same rows with the columns of ``kernels.families``."""
        text = pc.if_else(pa.array(alive(batch)), batch.column("text"), None)
        missing = text.is_null().to_numpy(zero_copy_only=False)
        for name, values in families.measure(text, self.families, self.splitter).items():
            batch = put(batch, name, pa.array(values, mask=missing))
        return batch
