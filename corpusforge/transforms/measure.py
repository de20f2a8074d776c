"""Measure: every signal of every document still kept."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from corpusforge import rules
from corpusforge.kernels import families, signals
from corpusforge.kernels.extraction.unmarked import unmarked
from corpusforge.transform import alive, put


def plain(batch: pa.RecordBatch, text: pa.StringArray) -> pa.StringArray:
    """Return ``text`` without marks where ``batch`` has a page that it was written from."""
    return pc.if_else(batch.column("html").is_valid(), unmarked(text), text)


@dataclass(frozen=True)
class Measure:
    """Append one column a signal, int64 or float64; null for decided rows and rows without text.

    With ``markdown``, texts that came out of pages are measured without their marks.
    """

    families: tuple[str, ...] = (families.GENERAL,)
    splitter: str = "unicode"
    markdown: bool = False
    sizes_only: bool = False  # chars and words, and no other signal

    @property
    def reads(self) -> tuple[str, ...]:
        """Verdict and text, and where texts are Markdown what they were written from."""
        return ("outcome", "text", "html") if self.markdown else ("outcome", "text")

    @property
    def adds(self) -> tuple[str, ...]:
        """The signals of the families."""
        if self.sizes_only:
            return rules.SIZES
        return tuple(one.name for one in families.signals_of(self.families))

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the same rows with the columns of ``kernels.families``."""
        text = pc.if_else(pa.array(alive(batch)), batch.column("text"), None)
        missing = text.is_null().to_numpy(zero_copy_only=False)
        if self.markdown:
            text = plain(batch, text)
        if self.sizes_only:
            measured = signals.sizes(text)
        else:
            measured = families.measure(text, self.families, self.splitter)
        for name, values in measured.items():
            batch = put(batch, name, pa.array(values, mask=missing))
        return batch
