"""Mask: personal data leaves the text, counted by kind in ``edits``, never by value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from corpusforge.kernels import pii
from corpusforge.transform import note_edits, put


@dataclass(frozen=True)
class Mask:
    """Replace the values of ``kinds`` in every text, of dropped documents too.

    It runs last, as in FineWeb: what was measured and signed is the text as it was read.
    """

    kinds: tuple[str, ...]
    replace: Literal["fake", "marker"] = "fake"
    dialect: Literal["forge", "datatrove"] = "forge"

    reads = ("text",)
    adds = ("text", "edits")

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the same rows with masked texts and their edits, e.g. ``pii.email``: 2."""
        text, counts = pii.mask(
            batch.column("text"), self.kinds, replace=self.replace, dialect=self.dialect
        )
        batch = put(batch, "text", text)
        return note_edits(batch, [f"pii.{kind}" for kind in self.kinds], counts)
