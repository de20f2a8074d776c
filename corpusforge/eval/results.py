"""Figures of an evaluation: what each kind of items is measured by, in total and by group."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corpusforge.errors import InputError, UsageError
from corpusforge.spec import EvalSpec

from . import answers, choices, labels, texts
from .data import Data
from .significance import Metric, intervals, paired

WITH_MODEL = ("texts", "choices", "prompts")  # kinds that a model is needed for
GROUPS = ("source", "language")  # that figures are also given by, where there are two or more
LARGEST = 50  # groups that are told, those of the most items

Record = dict[str, Any]


@dataclass(frozen=True)
class Scored:
    """What was found of the items by one model, or in one file of predictions."""

    name: str
    kind: str
    records: list[Record]
    scorer: Any = None  # train.eval.Scorer

    @property
    def metrics(self) -> dict[str, Metric]:
        """The figures of all items."""
        return self.of(self.records)

    def of(self, records: Sequence[Record]) -> dict[str, Metric]:
        """The figures of some of the items."""
        if self.kind == "texts":
            return texts.metrics(records, self.scorer.measure)
        if self.kind == "choices":
            return choices.metrics(records)
        return labels.metrics(records) if self.kind == "labels" else answers.metrics(records)

    def facts(self, spec: EvalSpec) -> dict[str, Any]:
        """What else is told of the items."""
        if self.kind in ("prompts", "answers"):
            return {"signature": answers.signature(self.records, spec.bleu)}
        totals: dict[str, Callable[[Sequence[Record]], Mapping[str, Any]]] = {
            "texts": texts.totals,
            "choices": choices.totals,
            "labels": labels.totals,
        }
        return dict(totals[self.kind](self.records))


def records(
    scorer: Any, data: Data, spec: EvalSpec, report: Callable[[int, int], None]
) -> list[Record]:
    """One record an item, from a model or from predictions."""
    if data.kind == "labels":
        return labels.records(data.chosen)
    if data.kind == "choices":
        return choices.records(scorer, data.chosen, spec.delimiter, report)
    if data.kind != "texts":
        return answers.records(scorer, data.chosen, spec.tokens, spec.bleu, report)
    found = texts.records(scorer, data.documents(scorer.digest), spec.stride, report)
    if not sum(one["tokens"] for one in found):
        raise InputError(
            "no token to score", file=data.parents[0]["path"], expected="texts of two tokens"
        )
    return found


def results(
    found: Sequence[Scored], spec: EvalSpec, compare: bool, notes: Sequence[str]
) -> dict[str, Any]:
    """Kind, items and figures by model, and where asked the comparison of the two."""
    values: dict[str, Any] = {
        "task": found[0].kind,
        "items": len(found[0].records),
        **({"notes": list(notes)} if notes else {}),
        "models": {one.name: _figures(one, spec) for one in found},
    }
    if compare:
        values["comparison"] = _compared(found[0], found[1], spec)
    return values


def _figures(one: Scored, spec: EvalSpec) -> dict[str, Any]:
    values: dict[str, Any] = {"figures": plain(intervals(one.metrics, spec.resample))}
    values |= one.facts(spec)
    for by in GROUPS if one.kind in ("texts", "choices") else ():
        groups: dict[str, list[Record]] = {}
        for record in one.records:
            groups.setdefault(record.get(by) or "unknown", []).append(record)
        if len(groups) < 2:
            continue
        ranked = sorted(groups, key=lambda name: (-len(groups[name]), name))
        values[f"{by}s"] = len(ranked)
        values[f"by_{by}"] = {
            name: {
                "items": len(groups[name]),
                **plain(intervals(one.of(groups[name]), spec.resample)),
            }
            for name in ranked[:LARGEST]
        }
    return values


def _compared(one: Scored, other: Scored, spec: EvalSpec) -> dict[str, Any]:
    """The second beside the first, on the same items."""
    if one.kind != other.kind or [_same(r) for r in one.records] != [
        _same(r) for r in other.records
    ]:
        raise UsageError(
            f"{one.name} and {other.name} are not of the same items",
            expected="the same records in the same order, with the same right answers",
        )
    mine, theirs = one.metrics, other.metrics
    if one.kind == "texts" and one.scorer.digest != other.scorer.digest:
        mine.pop(one.scorer.measure)  # a token of one is no token of the other
    if not mine.keys() & theirs.keys():
        raise UsageError(
            f"{one.name} has {', '.join(mine)}, {other.name} {', '.join(theirs)}",
            expected="a figure that both have",
        )
    tests = paired(mine, theirs, spec.resample)
    return {"first": one.name, "second": other.name, "tests": plain(tests)}


def _same(record: Record) -> Any:
    """What of a record does not depend on who answered."""
    names = ("document", "bytes", "choices", "answer", "reference", "label")
    return {name: record[name] for name in names if name in record}


def plain(value: Any) -> Any:
    """The same values as JSON can have them: a number that is none is null."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
