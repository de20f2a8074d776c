"""A class of a text, or of two texts together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor

from corpusforge.errors import InputError
from corpusforge.eval import scores

from .base import Tuned
from .rows import Row
from .task import Batch, Item, Scored, Task, class_weights, index_of, labels_of


class SequenceClassification(Task):
    """``[CLS] text [SEP]`` judged at its first token, or ``text <end>`` at its last."""

    roles: ClassVar[Mapping[str, str]] = {"text": "text", "label": "a label"}
    texts: ClassVar[tuple[str, ...]] = ("text",)
    metric = "macro_f1"
    weight: Tensor | None = None

    def learn(self, rows: Sequence[Row]) -> None:
        """Take the labels."""
        self.labels = labels_of([row.label() for row in rows])
        if len(self.labels) < 2:
            raise InputError(
                f"the only label is '{self.labels[0]}'", file=rows[0].file,
                expected="two labels or more",
            )  # fmt: skip

    def weights(self, rows: Sequence[Row]) -> None:
        """Weight of each class."""
        counts = Counter(row.label() for row in rows)
        numbers = np.array([counts[name] for name in self.labels])
        self.weight = class_weights(self.spec, self.labels, numbers)

    def encode(self, rows: Sequence[Row], gold: bool) -> list[Item]:
        """One item a row."""
        parts = [
            self.tokenizer.encode_batch(pa.array([row.text(name) for row in rows])).to_pylist()
            for name in self.texts
        ]
        items: list[Item] = []
        for place, row in enumerate(rows):
            pieces = self._fit([part[place] for part in parts])
            tokens, types = list(self.begin), [0] * len(self.begin)
            for number, piece in enumerate(pieces):
                tokens += [*piece, *self.end]
                types += [number] * (len(piece) + len(self.end))
            item: Item = {
                "row": place,
                "tokens": np.array(tokens or [self.pad], dtype=np.int64),
                "types": np.array(types or [0], dtype=np.int64),
            }
            if gold:
                item["class"] = np.array(
                    [index_of(row.label(), self.labels, row, "label")], dtype=np.int64
                )
            items.append(item)
        return items

    def _fit(self, pieces: list[list[int]]) -> list[list[int]]:
        """Cut the longest text until all fit."""
        room = self.length - len(self.begin) - len(self.end) * len(pieces)
        sizes = [len(piece) for piece in pieces]
        self.cut += sum(sizes) > room
        while sum(sizes) > room:
            longest = sizes.index(max(sizes))
            others = [size for at, size in enumerate(sizes) if at != longest]
            over = sum(sizes) - room
            sizes[longest] -= min(over, max(sizes[longest] - max(others, default=0), 1))
        return [piece[:size] for piece, size in zip(pieces, sizes, strict=True)]

    def score(self, model: Tuned, batch: Batch) -> Scored:
        """Cross entropy, weighted by class."""
        outputs = model.scores(model.row(model.states(batch), batch, self.spec.pooling == "mean"))
        if "class" not in batch:
            return Scored(outputs.sum() * 0, 0.0, outputs)
        wanted = batch["class"][:, 0]
        weight = None if self.weight is None else self.weight.to(outputs.device)
        total = F.cross_entropy(outputs, wanted, weight, reduction="sum")
        count = float(len(wanted)) if weight is None else float(weight[wanted].sum())
        return Scored(total, count, outputs)

    def choose(self, outputs: Tensor, items: Sequence[Item]) -> list[Any]:
        """The probabilities of each item."""
        found: list[Any] = torch.softmax(outputs, 1).tolist()
        return found

    def join(self, rows: Sequence[Row], items: Sequence[Item], said: Sequence[Any]) -> list[Any]:
        """Label and probabilities of each row."""
        return [
            {
                "label": self.labels[max(range(len(one)), key=one.__getitem__)],
                "probabilities": dict(zip(self.labels, (round(p, 6) for p in one), strict=True)),
            }
            for one in said
        ]

    def wanted(self, row: Row) -> Any:
        """The label."""
        return row.label()

    def figures(self, rows: Sequence[Row], found: Sequence[Any]) -> dict[str, float]:
        """Accuracy and macro F1."""
        mine, wanted = [one["label"] for one in found], [row.label() for row in rows]
        return {
            "accuracy": scores.accuracy(mine, wanted),
            "macro_f1": scores.macro_f1(mine, wanted),
        }


class SentencePair(SequenceClassification):
    """``[CLS] first [SEP] second [SEP]``, or ``first <end> second <end>``."""

    roles: ClassVar[Mapping[str, str]] = {"first": "text", "second": "text", "label": "a label"}
    texts = ("first", "second")
