"""Where in a text the answer to a question begins and ends (Devlin et al. 2019, 4.2 and 4.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from corpusforge.eval import scores

from .base import Tuned
from .rows import Row
from .task import Batch, Item, Scored, Task


class Answer(NamedTuple):
    """A piece of the context: its text, and its first character."""

    text: str
    start: int


class QuestionAnswering(Task):
    """``[CLS] question [SEP] window [SEP]`` for each window of the context.

    A window without the answer points at a place of its own: the first token of an encoder, the
    last of a causal model. Where training has questions without answer, "" is said when no span
    outweighs that place (Devlin et al. 2019, 4.3).
    """

    roles: ClassVar[Mapping[str, str]] = {
        "question": "text",
        "context": "text",
        "answers": "{text: [...], answer_start: [...]}, or a list of {text, answer_start}",
        "answer": "text; instead of answers",
        "answer_start": "the character it begins at; without it, where the text stands first",
    }
    metric = "token_f1"
    null = False  # whether training has questions without answer

    def __init__(self, spec: Any, base: Any, known: Mapping[str, Any] | None) -> None:
        super().__init__(spec, base, known)
        self.null = bool(known and known["null"])

    @property
    def outputs(self) -> int:
        """Scores of beginning and end."""
        return 2

    def memory(self) -> dict[str, Any]:
        """Also whether there may be no answer."""
        return {**super().memory(), "null": self.null}

    def learn(self, rows: Sequence[Row]) -> None:
        """Look for questions without answer."""
        self.null = any(not self.answers(row) for row in rows)

    def labelled(self, row: Row) -> bool:
        """Whether answers are given, if only that there is none."""
        return row.has("answers") or row.has("answer")

    def answers(self, row: Row) -> list[Answer]:
        """The answers of a row; InputError where they do not stand in its context."""
        context, said = row.text("context"), self.roles["answers"]
        if not row.has("answers"):
            text = row.get("answer", f"text, or a column 'answers': {said}")
            if not isinstance(text, str):
                raise row.wrong("answer", "text")
            if not text.strip():
                return []
            start = row.get("answer_start", "a number") if row.has("answer_start") else None
            start = context.find(text) if start is None else start
            pairs, role = [(text, start)], "answer"
        else:
            value, role = row.get("answers", said), "answers"
            try:
                if isinstance(value, Mapping):
                    pairs = list(zip(value["text"], value["answer_start"], strict=True))
                else:
                    pairs = [(one["text"], one["answer_start"]) for one in value]
            except (KeyError, TypeError, ValueError, IndexError):
                raise row.wrong("answers", said) from None
        found = []
        for text, start in pairs:
            try:
                at = int(start)
            except (TypeError, ValueError):
                raise row.wrong(role, "a whole number as answer_start") from None
            if not isinstance(text, str) or not text or at < 0 or context[at:][: len(text)] != text:
                place = context.find(text) if isinstance(text, str) and text else -1
                hint = f"; it stands at {place}" if place >= 0 else "; it stands nowhere in it"
                raise row.wrong(
                    role, f"an answer that stands in the context at its answer_start{hint}"
                )
            found.append(Answer(text, at))
        return found

    def wanted(self, row: Row) -> list[str]:
        """Texts of the answers, or one that is empty."""
        return [one.text for one in self.answers(row)] or [""]

    def encode(self, rows: Sequence[Row], gold: bool) -> list[Item]:
        """One item a window; neighbours share ``data.stride`` tokens."""
        library = self.tokenizer.library
        contexts = library.encode_batch([r.text("context") for r in rows], add_special_tokens=False)
        asked = library.encode_batch([r.text("question") for r in rows], add_special_tokens=False)
        items: list[Item] = []
        for place, (row, context) in enumerate(zip(rows, contexts, strict=True)):
            question = [*self.begin, *asked[place].ids[: self.length // 2], *self.end]
            room = self.length - len(question) - len(self.end)
            step = max(room - self.spec.data.stride, room // 2, 1)
            span = self._tokens(row, context.offsets) if gold else None
            total = len(context.ids)
            self.cut += total > room
            for start in range(0, max(total - room, 0) + step, step):
                if start and start - step + room >= total:
                    break
                tokens = [*question, *context.ids[start : start + room], *self.end]
                offsets = context.offsets[start : start + room]
                first, null = len(question), len(tokens) - 1 if self.objective == "causal" else 0
                allowed = np.zeros(len(tokens), dtype=np.int64)
                allowed[[null, *range(first, first + len(offsets))]] = 1
                types = np.zeros(len(tokens), dtype=np.int64)
                types[first:] = 1
                item: Item = {
                    "row": place, "offsets": offsets, "first": first, "null": null,
                    "tokens": np.array(tokens, dtype=np.int64), "types": types,
                    "allowed": allowed,
                }  # fmt: skip
                if gold:
                    inside = span and start <= span[0] and span[1] < start + len(offsets)
                    ends = [at - start + first for at in span] if inside and span else [null] * 2
                    item["ends"] = np.array(ends, dtype=np.int64)
                items.append(item)
        return items

    def _tokens(self, row: Row, offsets: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
        """First and last token of the first answer."""
        answers = self.answers(row)
        if not answers:
            return None
        begin, end = answers[0].start, answers[0].start + len(answers[0].text)
        inside = [n for n, (left, right) in enumerate(offsets) if right > begin and left < end]
        return (inside[0], inside[-1]) if inside else None

    def score(self, model: Tuned, batch: Batch) -> Scored:
        """Cross entropy of beginning and end, the mean of the two."""
        outputs = model.scores(model.states(batch))
        outputs = outputs.masked_fill(batch["allowed"][..., None] == 0, -1e9)
        if "ends" not in batch:
            return Scored(outputs.sum() * 0, 0.0, outputs)
        parts = [
            F.cross_entropy(outputs[..., side], batch["ends"][:, side], reduction="sum")
            for side in (0, 1)
        ]
        return Scored(sum(parts, torch.zeros((), device=outputs.device)) / 2,
                      float(len(outputs)), outputs)  # fmt: skip

    def choose(self, outputs: Tensor, items: Sequence[Item]) -> list[Any]:
        """How far the best span of each window outweighs none, and its characters."""
        found: list[Any] = []
        for scored, item in zip(outputs.cpu(), items, strict=True):
            null, first, offsets = item["null"], item["first"], item["offsets"]
            if not offsets:
                found.append((-float("inf"), 0, 0))
                continue
            begin, end = scored[first : first + len(offsets)].unbind(1)
            pairs = begin[:, None] + end[None]
            band = torch.ones_like(pairs, dtype=torch.bool)
            pairs = pairs.masked_fill(~band.triu().tril(self.spec.data.answer - 1), -float("inf"))
            best = int(pairs.argmax())
            left, right = divmod(best, len(offsets))
            weight = float(pairs[left, right] - scored[null].sum())
            found.append((weight, offsets[left][0], offsets[right][1]))
        return found

    def join(self, rows: Sequence[Row], items: Sequence[Item], said: Sequence[Any]) -> list[Any]:
        """The best span over the windows of each row, with the character it begins at."""
        best: list[Any] = [(-float("inf"), 0, 0)] * len(rows)
        for item, one in zip(items, said, strict=True):
            best[item["row"]] = max(best[item["row"]], one, key=lambda pair: pair[0])
        found = []
        for row, (weight, left, right) in zip(rows, best, strict=True):
            text = row.text("context")[left:right]
            if (self.null and weight < 0) or not text.strip():
                found.append({"answer": "", "answer_start": None})
                continue
            left += len(text) - len(text.lstrip())
            found.append({"answer": text.strip(), "answer_start": left})
        return found

    def figures(self, rows: Sequence[Row], found: Sequence[Any]) -> dict[str, float]:
        """Exact match and token F1, as SQuAD has them."""
        return scores.answers([one["answer"] for one in found], [self.wanted(row) for row in rows])
