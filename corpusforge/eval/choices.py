"""Multiple choice: the continuation that a model finds likeliest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from .items import Item
from .significance import Metric, share

AT_ONCE = 32  # items that the model is given together

Record = dict[str, Any]


class Judge(Protocol):
    """A model that gives continuations a likelihood."""

    def continuations(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, int]]:
        """Log-likelihood and tokens of the second text of each pair after the first."""


def records(
    model: Judge, items: Sequence[Item], delimiter: str, report: Callable[[int, int], None]
) -> list[Record]:
    """One record an item: the log-likelihood of each choice, its tokens and bytes."""
    found = list[Record]()
    for low in range(0, len(items), AT_ONCE):
        part = items[low : low + AT_ONCE]
        pairs = [
            (one.values["context"], joined(one.values["context"], choice, delimiter))
            for one in part
            for choice in one.values["choices"]
        ]
        scored = iter(model.continuations(pairs))
        for one in part:
            values = [next(scored) for _ in one.values["choices"]]
            scores = [round(value, 6) for value, _ in values]
            found.append(
                {
                    "file": one.file,
                    "place": one.place,
                    **one.values,
                    "scores": scores,
                    "tokens": [tokens for _, tokens in values],
                    "bytes": [len(choice.encode()) for choice in one.values["choices"]],
                    "chosen": int(np.argmax(scores)),
                }
            )
        report(len(found), 0)
    return found


def joined(context: str, choice: str, delimiter: str) -> str:
    """The choice with what stands between it and its context, unless there is white space."""
    apart = not context or context[-1].isspace() or choice[0].isspace()
    return choice if apart else delimiter + choice


def metrics(found: Sequence[Record]) -> dict[str, Metric]:
    """Share of right choices by log-likelihood, by that of a token and by that of a byte.

    The last two are what lm-evaluation-harness and Brown et al. 2020 ("Language models are few-shot
    learners", 2.4) do against the advantage of short choices.
    """
    return {
        "accuracy": share(_right(found, None)),
        "accuracy_per_token": share(_right(found, "tokens")),
        "accuracy_per_byte": share(_right(found, "bytes")),
    }


def _right(found: Sequence[Record], by: str | None) -> np.ndarray:
    def best(one: Record) -> int:
        scores = np.array(one["scores"])
        return int(np.argmax(scores if by is None else scores / np.maximum(one[by], 1)))

    return np.array([best(one) == one["answer"] for one in found])


def totals(found: Sequence[Record]) -> dict[str, float]:
    """What guessing would get."""
    return {"chance": float(np.mean([1 / len(one["choices"]) for one in found]))}
