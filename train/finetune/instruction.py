"""Answers to instructions: a causal model learns the assistant's turns of conversations alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from corpusforge.eval import scores

from ..generate import sample, until
from ..losses import IGNORE, cross_entropy
from .base import Tuned
from .chat import Chat, Message
from .rows import Row
from .task import Batch, Item, Scored, Task

ROLES = ("system", "user", "assistant")


class Writing(Task):
    """What tasks that write have alike: perplexity of the answers, and answers at the end."""

    metric = "heldout_loss"
    higher = False
    writes = True
    outputs = 0

    def choose(self, outputs: Tensor, items: Sequence[Item]) -> list[Any]:
        """Nothing: answers are written later."""
        return [None] * len(items)

    def join(self, rows: Sequence[Row], items: Sequence[Item], said: Sequence[Any]) -> list[Any]:
        """Nothing yet."""
        return [{} for _ in rows]

    def figures(self, rows: Sequence[Row], found: Sequence[Any]) -> dict[str, float]:
        """None: the loss says it."""
        return {}

    def written(self, rows: Sequence[Row], found: Sequence[Any]) -> dict[str, float]:
        """Exact match and token F1 of the answers."""
        said = [one["answer"] for one in found]
        return scores.answers(said, [[self.wanted(row)] for row in rows])


class Instruction(Writing):
    """Rows of ``messages`` ({role, content}), or of a prompt and its answer."""

    objectives = ("causal",)
    roles: ClassVar[Mapping[str, str]] = {
        "messages": "a list of {role, content}, the last one of the assistant",
        "prompt": "text; instead of messages",
        "answer": "text",
        "system": "text before the prompt, if there is one",
    }

    def __init__(self, spec: Any, base: Any, known: Mapping[str, Any] | None) -> None:
        super().__init__(spec, base, known)
        self.chat = Chat(base.tokenizer, base.template)

    def keep(self, folder: Path) -> None:
        """Keep the template with the tokenizer."""
        self.chat.keep(folder)

    def labelled(self, row: Row) -> bool:
        """Whether there is an answer."""
        if row.has("messages"):
            return self.messages(row)[-1]["role"] == "assistant"
        return row.has("answer")

    def messages(self, row: Row) -> list[Message]:
        """The conversation of a row."""
        if not row.has("messages"):
            said = [("user", row.text("prompt"))]
            if row.has("system"):
                said = [("system", row.text("system")), *said]
            if row.has("answer"):
                said.append(("assistant", row.text("answer")))
            return [{"role": role, "content": text} for role, text in said]
        value = row.get("messages", self.roles["messages"])
        if not isinstance(value, list) or not value:
            raise row.wrong("messages", self.roles["messages"])
        for one in value:
            if (
                not isinstance(one, Mapping)
                or one.get("role") not in ROLES
                or not isinstance(one.get("content"), str)
            ):
                raise row.wrong(
                    "messages", f"role ({', '.join(ROLES)}) and content as text in each"
                )
        return [{"role": one["role"], "content": one["content"]} for one in value]

    def wanted(self, row: Row) -> str:
        """The last answer."""
        return self.messages(row)[-1]["content"].strip()

    def encode(self, rows: Sequence[Row], gold: bool) -> list[Item]:
        """Conversations with the targets of the assistant's turns; ``asked`` is what comes before.

        One that is too long loses its beginning, but no beginning of an answer.
        """
        items: list[Item] = []
        for place, row in enumerate(rows):
            messages = self.messages(row)
            if gold and messages[-1]["role"] != "assistant":
                raise row.wrong("messages", "an answer of the assistant at the end")
            before = messages[:-1] if messages[-1]["role"] == "assistant" else messages
            if not before:
                raise row.wrong("messages", "something before the answer")
            earlier, _ = self.chat.pieces(before)
            done = self._rendered(before)
            asked = [*earlier, *self.chat.tokens(self.chat.render(before, ask=True)[len(done) :])]
            item: Item = {"row": place, "asked": asked, "tokens": np.array(asked, dtype=np.int64)}
            if gold:
                ids, mine = self.chat.pieces(messages)
                over = len(ids) - (self.length + 1)
                if over > 0:
                    self.cut += 1
                    start = min(over, max(mine.index(True) - 1, 0))
                    stop = start + self.length + 1
                    ids, mine = ids[start:stop], mine[start:stop]
                targets = np.where(mine[1:], ids[1:], IGNORE)
                item |= {"tokens": np.array(ids[:-1]), "targets": targets.astype(np.int64)}
            items.append(item)
        return items

    def _rendered(self, messages: Sequence[Message]) -> str:
        """Text of a conversation up to its last answer, where turns are cut for encoding."""
        last = max((n for n, one in enumerate(messages) if one["role"] == "assistant"), default=-1)
        return self.chat.render(messages[: last + 1]) if last >= 0 else ""

    def score(self, model: Tuned, batch: Batch) -> Scored:
        """Cross entropy of the answers' tokens, in chunks."""
        backbone: Any = model.backbone
        wanted = batch["targets"]
        total, nll = cross_entropy(model.states(batch), backbone.unembedding, wanted)
        return Scored(total, float((wanted != IGNORE).sum()), nll)

    def write(self, model: Tuned, rows: Sequence[Row], items: Sequence[Item]) -> list[Any]:
        """The likeliest answers, token by token."""
        backbone: Any = model.backbone
        most = min(self.spec.data.answer, backbone.sequence // 2)
        found = []
        for item in items:
            prompt = item["asked"][-(backbone.sequence - most) :]
            drawn = sample(backbone, prompt, tokens=most, temperature=0)
            ids = until(self.end[0] if self.end else None, drawn)
            found.append({"answer": self.tokenizer.decode(ids).strip()})
        return found
