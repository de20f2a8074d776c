"""Identify: the language of every document still kept."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.kernels import language
from corpusforge.schema import LANGUAGE, SECOND_LANGUAGE
from corpusforge.transform import alive, put


@dataclass(frozen=True)
class Identify:
    """Append LANGUAGE and SECOND_LANGUAGE: code and score each; null for decided rows.

    Without ``detect`` all are null.
    """

    detect: bool = True

    reads = ("outcome", "text")
    adds = (*LANGUAGE.names, *SECOND_LANGUAGE.names)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the same rows with the columns of both."""
        if not self.detect:
            for field in (*LANGUAGE, *SECOND_LANGUAGE):
                batch = put(batch, field.name, pa.nulls(batch.num_rows, field.type))
            return batch
        text = pc.if_else(pa.array(alive(batch)), batch.column("text"), None)
        for name, values in zip(self.adds, language.identify(text), strict=True):
            batch = put(batch, name, values)
        return batch
