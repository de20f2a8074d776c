"""Judge: verdicts from the language and every rule, on signals that were measured before.

``judge_signals`` sees columns only, so replaying it on stored signals gives the same verdicts.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.rules import Rule
from corpusforge.schema import LANGUAGE
from corpusforge.transform import decide, reasons_array

KEEP, MIN_SCORE = "language.keep", "language.min_score"
NOTED = "before_reasons"  # list<REASON> of an earlier judgement

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}


@dataclass(frozen=True)
class Judge:
    """Drop the documents that fail a language rule or any of ``rules``, with all reasons."""

    rules: tuple[Rule, ...]
    keep_languages: Literal["all"] | tuple[str, ...] = "all"
    min_score: float = 0.0
    known: frozenset[str] = frozenset()  # rules that failed where the column NOTED says so

    adds = ("outcome", "stage", "reasons")

    @property
    def reads(self) -> tuple[str, ...]:
        """Language columns, the signals of the rules, and NOTED for those that are known."""
        signals = dict.fromkeys(rule.signal for rule in self.rules if rule.id not in self.known)
        return ("outcome", *LANGUAGE.names, *signals, *([NOTED] if self.known else []))

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the same rows; the stage is ``language`` where a language rule fails."""
        reasons, stages = judge_signals(
            batch, self.rules, self.keep_languages, self.min_score, self.known
        )
        failed = stages.is_valid().to_numpy(zero_copy_only=False)
        return decide(batch, failed, outcome="dropped", stage=stages, reasons=reasons)


def judge_signals(
    columns: pa.RecordBatch | pa.Table,
    rules: Sequence[Rule],
    keep_languages: Literal["all"] | Sequence[str] = "all",
    min_score: float = 0.0,
    known: Collection[str] = (),
) -> tuple[pa.ListArray, pa.StringArray]:
    """Judge the documents of ``columns``: language, language_score and the signals of ``rules``.

    Of the rules in ``known`` the column NOTED tells where they failed, and by which value.

    Returns
    -------
    reasons : (rows,) list<REASON>
        All failing rules, in order: language first, then ``rules``.
    stages : (rows,) string
        ``language``, ``rules``, or null where nothing fails.

    A null signal fails no rule; a null language is in no list.
    """
    language = _combined(columns.column("language"))
    checks: list[tuple[str, str, str, float | None]] = []  # rule, signal, comparison, threshold
    values, failed = [], []
    if keep_languages != "all":
        outside = ~_among(language, keep_languages)
        # A float32 next to 0.65 is not 0.65; the three decimals that were stored are.
        score = np.round(_numbers(columns.column("language_score")), 3)
        checks.append((KEEP, "language", "in", None))
        checks.append((MIN_SCORE, "language_score", ">=", min_score))
        values += [np.full(len(language), np.nan), score]
        failed += [outside, score < min_score]
    by_language = len(failed)
    noted = _noted(columns.column(NOTED), sorted(known)) if known else {}
    for rule in rules:
        checks.append((rule.id, rule.signal, rule.comparison, rule.threshold))
        if rule.id in noted:
            value, fails = noted[rule.id]
            values.append(value)
            failed.append(fails)
            continue
        value = _numbers(columns.column(rule.signal))
        applies = ~np.isnan(value)
        if rule.languages:
            applies &= _among(language, rule.languages)
        if rule.except_languages:
            applies &= ~_among(language, rule.except_languages)
        values.append(value)
        failed.append(applies & ~_COMPARE[rule.comparison](value, rule.threshold))
    return _reasons(len(language), checks, values, failed), _stages(
        len(language), failed, by_language
    )


def _noted(
    reasons: pa.Array | pa.ChunkedArray, rules: Sequence[str]
) -> dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]]:
    """Return value (rows,) and failure (rows,) of each of ``rules``, from list<REASON>."""
    reasons = _combined(reasons)
    entries = pc.list_flatten(reasons)
    which = pc.index_in(entries.field("rule"), value_set=pa.array(rules, pa.string()))
    mine = which.is_valid().to_numpy(zero_copy_only=False)
    row, rule = pc.list_parent_indices(reasons).to_numpy()[mine], which.drop_null().to_numpy()
    values = np.full((len(rules), len(reasons)), np.nan)
    failed = np.zeros(values.shape, bool)
    values[rule, row] = _numbers(entries.field("value"))[mine]
    failed[rule, row] = True
    return {name: (values[place], failed[place]) for place, name in enumerate(rules)}


def _reasons(
    rows: int,
    checks: Sequence[tuple[str, str, str, float | None]],
    values: Sequence[npt.NDArray[np.float64]],
    failed: Sequence[npt.NDArray[np.bool_]],
) -> pa.ListArray:
    matrix = np.array(failed, dtype=bool).reshape(len(checks), rows)
    row, check = np.nonzero(matrix.T)
    value = np.array(values, dtype=np.float64).reshape(len(checks), rows)[check, row]
    which = pa.array(check)
    names, signals, comparisons, thresholds = zip(*checks, strict=True) if checks else ((),) * 4
    return reasons_array(
        matrix.sum(axis=0),
        pa.array(names, pa.string()).take(which),
        pa.array(signals, pa.string()).take(which),
        pa.array(value, from_pandas=True),  # NaN, the value of a language, becomes null
        pa.array(comparisons, pa.string()).take(which),
        pa.array(thresholds, pa.float64()).take(which),
    )


def _stages(rows: int, failed: Sequence[npt.NDArray[np.bool_]], by_language: int) -> pa.StringArray:
    language, rules = np.zeros(rows, bool), np.zeros(rows, bool)
    for place, mask in enumerate(failed):
        (language if place < by_language else rules)[mask] = True
    return pc.if_else(
        pa.array(language),
        "language",
        pc.if_else(pa.array(rules), "rules", pa.scalar(None, pa.string())),
    )


def _among(language: pa.StringArray, names: Sequence[str]) -> npt.NDArray[np.bool_]:
    found = pc.is_in(language, value_set=pa.array(names, pa.string()))
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)


def _numbers(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.float64]:
    numbers = _combined(column).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.asarray(numbers, dtype=np.float64)


def _combined(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
