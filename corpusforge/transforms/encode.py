"""Encode: text -> token ids, with the end-of-text token after each document."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.schema import tokens_schema
from corpusforge.tokenizer import Tokenizer


@dataclass(frozen=True)
class Encode:
    """Adds ``ids`` (large_list<uint16|uint32>) and ``bytes`` (int32, UTF-8 bytes of the text)."""

    tokenizer: Tokenizer

    reads = ("text",)
    adds = ("ids", "bytes")

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the batch with its ids; a null text is an empty document."""
        text = pc.fill_null(batch.column("text"), "")
        ids = self.tokenizer.encode_batch(text, end=True)
        field = tokens_schema(self.tokenizer.width).field("ids")
        batch = batch.append_column(field, ids.cast(field.type))
        return batch.append_column("bytes", pc.cast(pc.binary_length(text), pa.int32()))
