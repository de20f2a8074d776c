"""A text written from another one by an encoder and a decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from ..generate import written
from ..losses import IGNORE, cross_entropy
from .base import Tuned
from .instruction import Writing
from .rows import Row
from .task import Batch, Item, Scored, special


class SequenceToSequence(Writing):
    """The encoder reads ``source </s>``, the decoder writes ``target </s>``."""

    objectives = ("spans",)
    roles: ClassVar[Mapping[str, str]] = {"source": "text", "target": "text"}

    def _special(self) -> None:
        self.pad = special(self.tokenizer, "pad_token")
        self.end = [special(self.tokenizer, "eos_token")]

    def labelled(self, row: Row) -> bool:
        """Whether there is a target."""
        return row.has("target")

    def wanted(self, row: Row) -> str:
        """The target."""
        return row.text("target").strip()

    def encode(self, rows: Sequence[Row], gold: bool) -> list[Item]:
        """One item a row; what is too long loses its end."""
        read = self._ids([row.text("source") for row in rows])
        write = self._ids([row.text("target") for row in rows]) if gold else []
        items: list[Item] = []
        for place in range(len(rows)):
            tokens = [*read[place][: self.length - 1], *self.end]
            self.cut += len(read[place]) >= self.length
            item: Item = {"row": place, "tokens": np.array(tokens, dtype=np.int64)}
            if gold:
                targets = [*write[place][: self.length - 1], *self.end]
                item["targets"] = np.array(targets, dtype=np.int64)
                item["given"] = np.array([self.pad, *targets[:-1]], dtype=np.int64)
            items.append(item)
        return items

    def _ids(self, texts: list[str]) -> list[list[int]]:
        found: list[list[int]] = self.tokenizer.encode_batch(pa.array(texts)).to_pylist()
        return found

    def score(self, model: Tuned, batch: Batch) -> Scored:
        """Cross entropy of the targets' tokens, in chunks."""
        backbone: Any = model.backbone
        hidden = backbone(batch["tokens"], batch["mask"], batch["given"])
        total, nll = cross_entropy(hidden, backbone.unembedding, batch["targets"])
        return Scored(total, float((batch["targets"] != IGNORE).sum()), nll)

    def write(self, model: Tuned, rows: Sequence[Row], items: Sequence[Item]) -> list[Any]:
        """The likeliest targets, token by token, a batch at a time."""
        backbone: Any = model.backbone
        size, found = self.spec.run.batch, list[Any]()
        where = next(backbone.parameters()).device
        for start in range(0, len(items), size):
            part = [{"tokens": one["tokens"]} for one in items[start : start + size]]
            batch = self.batch(part, where)
            for ids in written(
                backbone,
                batch["tokens"],
                batch["mask"],
                start=self.pad,
                end=self.end[0],
                limit=min(self.spec.data.answer, backbone.sequence - 1),
            ):
                found.append({"answer": self.tokenizer.decode(ids).strip()})
        return found
