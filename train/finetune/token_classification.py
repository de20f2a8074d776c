"""A class of each word of a text that is split into words already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch.nn.functional as F
from torch import Tensor

from corpusforge.eval import scores

from ..losses import IGNORE
from .base import Tuned
from .rows import Row
from .task import Batch, Item, Scored, Task, class_weights, index_of, labels_of


class TokenClassification(Task):
    """The first piece of each word is judged; words past the longest row get no label (null)."""

    roles: ClassVar[Mapping[str, str]] = {"tokens": "words", "labels": "a label for each"}
    metric = "macro_f1"
    weight: Tensor | None = None

    def learn(self, rows: Sequence[Row]) -> None:
        """Take the labels."""
        self.labels = labels_of([name for row in rows for name in self.wanted(row)])

    def weights(self, rows: Sequence[Row]) -> None:
        """Weight of each class, by words."""
        counts = Counter(name for row in rows for name in self.wanted(row))
        numbers = np.array([counts[name] for name in self.labels])
        self.weight = class_weights(self.spec, self.labels, numbers)

    def wanted(self, row: Row) -> list[str]:
        """The labels, as many as there are words; InputError otherwise."""
        words, value = row.words("tokens"), row.get("labels", "a label for each word")
        value = value.split() if isinstance(value, str) else value
        whole = isinstance(value, list) and all(isinstance(one, str | int) for one in value)
        if not whole or len(value) != len(words):
            number = f"{len(value)} labels" if whole else "no list of labels"
            raise row.wrong("labels", f"{len(words)} labels, one for each word", number)
        return [str(one) for one in value]

    def labelled(self, row: Row) -> bool:
        """Whether there are labels."""
        return row.has("labels")

    def encode(self, rows: Sequence[Row], gold: bool) -> list[Item]:
        """One item a row; every word but the first is encoded with a space before it."""
        words = [row.words("tokens") for row in rows]
        flat = [" " * bool(at) + word for line in words for at, word in enumerate(line)]
        pieces = iter(self.tokenizer.encode_batch(pa.array(flat, pa.string())).to_pylist())
        room = self.length - len(self.end)
        items: list[Item] = []
        for place, row in enumerate(rows):
            tokens, firsts = list(self.begin), list[int]()
            for _ in words[place]:
                piece = next(pieces)
                fits = bool(piece) and len(tokens) < room
                firsts.append(len(tokens) if fits else -1)
                tokens = [*tokens, *piece][:room]
            self.cut += len(tokens) == room and -1 in firsts
            tokens = [*tokens, *self.end] or [self.pad]
            targets = np.full(len(tokens), IGNORE, dtype=np.int64)
            if gold:
                for first, name in zip(firsts, self.wanted(row), strict=True):
                    if first >= 0:
                        targets[first] = index_of(name, self.labels, row, "labels")
            item: Item = {
                "row": place,
                "firsts": firsts,
                "tokens": np.array(tokens, dtype=np.int64),
                "types": np.zeros(len(tokens), dtype=np.int64),
            }
            items.append({**item, "targets": targets} if gold else item)
        return items

    def score(self, model: Tuned, batch: Batch) -> Scored:
        """Cross entropy of the first pieces, weighted by class."""
        outputs = model.scores(model.states(batch))
        if "targets" not in batch:
            return Scored(outputs.sum() * 0, 0.0, outputs)
        wanted = batch["targets"]
        weight = None if self.weight is None else self.weight.to(outputs.device)
        flat = outputs.flatten(0, 1), wanted.flatten()
        total = F.cross_entropy(*flat, weight, ignore_index=IGNORE, reduction="sum")
        kept = wanted[wanted != IGNORE]
        count = float(len(kept)) if weight is None else float(weight[kept].sum())
        return Scored(total, count, outputs)

    def choose(self, outputs: Tensor, items: Sequence[Item]) -> list[Any]:
        """The likeliest label of each word."""
        best = outputs.argmax(2).tolist()
        return [
            [self.labels[row[first]] if first >= 0 else None for first in item["firsts"]]
            for row, item in zip(best, items, strict=True)
        ]

    def join(self, rows: Sequence[Row], items: Sequence[Item], said: Sequence[Any]) -> list[Any]:
        """The labels of each row."""
        return [{"labels": one} for one in said]

    def figures(self, rows: Sequence[Row], found: Sequence[Any]) -> dict[str, float]:
        """Accuracy and macro F1 over all words."""
        mine = [name for one in found for name in one["labels"]]
        wanted = [name for row in rows for name in self.wanted(row)]
        return {
            "accuracy": scores.accuracy(mine, wanted),
            "macro_f1": scores.macro_f1(mine, wanted),
        }
