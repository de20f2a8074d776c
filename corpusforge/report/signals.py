"""Signals of a clean run: their distributions, and where the rules cut them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpusforge.manifest import Manifest
from corpusforge.report import plots
from corpusforge.report.distribution import Distribution
from corpusforge.report.page import (
    Cell,
    Html,
    Section,
    element,
    join,
    number,
    percent,
    section,
    table,
)
from corpusforge.report.survey import Effect
from corpusforge.shard import join as path_of
from corpusforge.shard import read_batches
from corpusforge.storage import open_read

ALWAYS = ("words", "language_score")  # drawn even where no rule looks at them
ADDRESS = ("offset", "ordinal")
QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)


def measured(root: str, run: Manifest) -> dict[str, Distribution]:
    """Return the distribution of every signal over the documents that have text, in one pass."""
    found: dict[str, Distribution] = {}
    for shard in run.in_folder("signals"):
        with open_read(path_of(root, shard.name)) as file:
            schema = pq.read_schema(file)
        names = [field.name for field in schema if _is_signal(field)]
        for batch in read_batches(root, shard.name, [*names, "candidate"]):
            passed = batch.column("candidate").fill_null(False).to_numpy(zero_copy_only=False)
            for name in names:
                values = batch.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False)
                found.setdefault(name, Distribution()).add(values, np.asarray(passed, bool))
    return {name: one for name, one in found.items() if one.total}


def _is_signal(field: pa.Field) -> bool:
    numeric = pa.types.is_signed_integer(field.type) or pa.types.is_floating(field.type)
    return numeric and field.name not in ADDRESS


def signals(root: str, run: Manifest, effects: Sequence[Effect]) -> Section:
    """Show each signal that a rule looks at with its cuts, and the quantiles of all."""
    found = measured(root, run)
    cuts: dict[str, list[Effect]] = {}
    for effect in effects:
        if effect.signal in found and effect.threshold is not None:
            cuts.setdefault(effect.signal, []).append(effect)
    drawn = [name for name in found if name in cuts or name in ALWAYS]
    legend = plots.key(("kept", "passed the rules"), ("dropped", "failed a rule or the language"))
    figures = [_figure(name, found[name], cuts.get(name, [])) for name in drawn]
    return section(
        "Signals",
        element("p", "Documents that have text, before deduplication. Dashed lines are the cuts."),
        legend if plots.installed() else None,
        element("div", join(figures), class_="plots"),
        table(
            "All signals: smallest, quantiles and largest value",
            ["Signal", "Min", *(f"{share:.0%}" for share in QUANTILES), "Max"],
            [_quantiles(name, one) for name, one in found.items()],
        ),
    )


def _figure(name: str, values: Distribution, cuts: Sequence[Effect]) -> Html:
    lines = [
        f"{effect.rule}: kept when {effect.comparison} {number(effect.threshold or 0.0)};"
        f" cuts {percent(effect.any, values.total)}"
        for effect in cuts
    ]
    bars = values.bars([effect.threshold or 0.0 for effect in cuts])
    label = f"Histogram of {name} over {values.total} documents. {'. '.join(lines)}"
    at = [_line(effect, values.integers and not bars.log) for effect in cuts]
    plot = plots.histogram(bars, at, label)
    if plot and values.low < bars.edges[0]:
        lines.append(f"The first bar holds all below it, down to {number(values.low)}.")
    if plot and values.high > bars.edges[-1]:
        lines.append(f"The last bar holds all above it, up to {number(values.high)}.")
    return plots.figure(plot, name, *lines)


def _line(effect: Effect, whole: bool) -> float:
    """Where the cut is drawn: beside the bar of the threshold, where each integer has its bar."""
    upper = effect.comparison in ("<=", ">")  # the threshold itself lies below the line
    return (effect.threshold or 0.0) + (1.0 if whole and upper else 0.0)


def _quantiles(name: str, values: Distribution) -> list[Cell]:
    marks = [values.low, *(values.quantile(share) for share in QUANTILES), values.high]
    return [name, *(int(mark) if values.integers else float(mark) for mark in marks)]
