"""Extract: the text of every document that came as HTML."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.errors import ExtraMissing
from corpusforge.kernels.extraction import (
    PLAIN,
    Extracted,
    Extractor,
    Output,
    extract,
    extract_batch,
    visible_text,
)
from corpusforge.kernels.extraction.alternatives import resiliparse, trafilatura
from corpusforge.schema import EXTRACTED
from corpusforge.transform import alive, decide, put, reasons_array

METHODS: dict[str, Extractor] = {
    "forge": extract,
    "trafilatura": trafilatura,
    "resiliparse": resiliparse,
    "none": visible_text,
}


@dataclass(frozen=True)
class Extract:
    """Fill ``text`` (and ``title`` where null) of documents that have ``html`` and no text.

    The columns of EXTRACTED are added, null where there was nothing to extract. ``method`` is a
    key of METHODS; ``depth`` and ``nodes`` are the limits of one page. A document that breaks the
    extractor or exceeds a limit fails; one whose text is empty is dropped.
    Raises ExtraMissing where the method's package is not installed.
    """

    method: str
    depth: int
    nodes: int
    output: Output = PLAIN

    reads = ("html", "url", "text", "title", "outcome", "stage", "reasons", "detail")
    adds = ("text", "title", "outcome", "stage", "reasons", "detail", *EXTRACTED.names)

    def __post_init__(self) -> None:
        if self.method == "trafilatura" and find_spec("trafilatura") is None:
            raise ExtraMissing("trafilatura", "extractors")

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the same rows with text, title and verdicts."""
        pages = extract_batch(
            batch.column("html"),
            wanted=alive(batch) & ~_mask(batch.column("text")),
            depth=self.depth,
            nodes=self.nodes,
            url=batch.column("url"),
            output=self.output,
            extractor=METHODS[self.method],
        )
        batch = put(batch, "text", pc.coalesce(batch.column("text"), pages.text))
        batch = put(batch, "title", pc.coalesce(batch.column("title"), pages.title))
        for name in EXTRACTED.names:
            batch = put(batch, name, getattr(pages, name))
        batch = decide(
            batch, _mask(pages.error), outcome="failed", stage="extract", detail=pages.error
        )
        batch = self._limited(batch, pages)
        return _emptied(batch)

    def _limited(self, batch: pa.RecordBatch, pages: Extracted) -> pa.RecordBatch:
        rows = _mask(pages.limit)
        names = pages.limit.drop_null()
        limits = pc.if_else(pc.equal(names, "depth"), float(self.depth), float(self.nodes))
        reasons = reasons_array(
            rows.astype(np.int64),
            pc.binary_join_element_wise("limit", names, ":"),
            names,
            pages.limit_value.drop_null().cast(pa.float64()),
            ["<="] * len(names),
            limits,
        )
        return decide(batch, rows, outcome="failed", stage="extract", reasons=reasons)


def _mask(values: pa.Array) -> np.ndarray:
    return np.asarray(values.is_valid().to_numpy(zero_copy_only=False), dtype=bool)


def _emptied(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Drop the documents without a character that is not white space."""
    text = pc.utf8_trim_whitespace(pc.fill_null(batch.column("text"), ""))
    blank = pc.equal(text, "").to_numpy(zero_copy_only=False)
    rows = np.asarray(blank, dtype=bool) & alive(batch)
    count = int(rows.sum())
    reasons = reasons_array(
        rows.astype(np.int64),
        ["empty"] * count,
        ["chars"] * count,
        np.zeros(count),
        [">="] * count,
        np.ones(count),
    )
    return decide(batch, rows, outcome="dropped", stage="extract", reasons=reasons)
