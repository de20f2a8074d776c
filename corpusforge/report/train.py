"""Sections of a train run: figures, curves, held-out evaluation, continuations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import fsspec
import numpy as np

from corpusforge.manifest import Manifest
from corpusforge.report import plots
from corpusforge.report.page import (
    LONGEST,
    Cell,
    Html,
    Section,
    details,
    element,
    facts,
    join,
    quote,
    section,
    table,
)
from corpusforge.shard import exists
from corpusforge.shard import join as path_of

METRICS = "metrics.jsonl"
CURVES = {  # of metrics.jsonl: what each is called
    "loss": "Loss, nats a token",
    "gradient_norm": "Gradient norm, before clipping",
    "learning_rate": "Learning rate",
    "tokens_per_second": "Tokens a second",
}
HELDOUT = {
    "heldout_loss": "Loss",
    "perplexity": "Perplexity",
    "bits_per_byte": "Bits per byte",
    "pseudo_perplexity": "Pseudo-perplexity",
    "masked_accuracy": "Masked tokens right",
    "order_accuracy": "Order of spans right",
    "permutation_accuracy": "Permuted tokens right",
    "span_accuracy": "Tokens of spans right",
}
ROWS = 40  # steps of a table


def sections(root: str, run: Manifest) -> list[Section]:
    """Return the sections of a train run, from its manifest and metrics.jsonl."""
    series = _series(root)
    return [_figures(run), _curves(series), _heldout(series), _continuations(run)]


def _series(root: str) -> dict[str, np.ndarray]:
    """Return (step, value) rows of every number in the metrics, by its name: float64 [n, 2]."""
    series: dict[str, list[tuple[float, float]]] = {name: [] for name in (*CURVES, *HELDOUT)}
    for record in _records(root):
        for name, values in series.items():
            value = record.get(name)
            if isinstance(value, int | float):
                values.append((record["step"], value))
    return {name: np.array(values).reshape(-1, 2) for name, values in series.items()}


def _records(root: str) -> Iterator[dict[str, Any]]:
    if not exists(root, METRICS):
        return
    with fsspec.open(path_of(root, METRICS), "rt", encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):  # a torn last line is none
                yield json.loads(line)


def _figures(run: Manifest) -> Section:
    names = {
        "steps": "steps",
        "tokens": "tokens learned from",
        "parameters": "parameters",
        "first_loss": "first loss",
        "last_loss": "last loss",
        "perplexity": "held-out perplexity",
        "bits_per_byte": "held-out bits per byte",
    }
    known = [(names[key], run.facts[key]) for key in names if run.facts.get(key) is not None]
    return section("Training", facts(known))


def _curves(series: dict[str, np.ndarray]) -> Section:
    figures, rows = [], []
    for name, title in CURVES.items():
        steps, values = series[name].T
        if not len(steps):
            continue
        marks = series["heldout_loss"] if name == "loss" else np.empty((0, 2))
        label = f"{title} over {len(steps)} steps, from {values[0]:.4g} to {values[-1]:.4g}"
        plot = plots.curve(series[name], label, marks)
        figures.append(plots.figure(plot, title) if plot else None)
        low, high = values.argmin(), values.argmax()
        rows.append(
            [
                title,
                values[0],
                values[-1],
                f"{values[low]:.4g} at {steps[low]:.0f}",
                f"{values[high]:.4g} at {steps[high]:.0f}",
            ]
        )
    return section(
        "Curves",
        element("p", "The documents that a step read: forge explain RUN --step N."),
        plots.key(("kept", "training"), ("dropped", "held out")) if any(figures) else None,
        element("div", join(figures), class_="plots"),
        table(
            "Over all steps",
            ["Figure", "First", "Last", "Least, at step", "Most, at step"],
            rows,
        ),
        _table(series),
    )


def _table(series: dict[str, np.ndarray]) -> Html | None:
    """The curves as numbers, at evenly spread steps."""
    steps = series["loss"][:, 0]
    if not len(steps):
        return None
    at = np.unique(np.linspace(0, len(steps) - 1, ROWS).round().astype(int))
    names = [name for name in CURVES if len(series[name]) == len(steps)]
    rows: list[list[Cell]] = [
        [f"{steps[index]:.0f}", *(float(series[name][index, 1]) for name in names)] for index in at
    ]
    caption = f"{len(at)} of {len(steps)} logged steps"
    return details(caption, table(caption, ["Step", *(CURVES[name] for name in names)], rows))


def _heldout(series: dict[str, np.ndarray]) -> Section:
    steps = series["heldout_loss"][:, 0]
    at = np.unique(np.linspace(0, max(len(steps) - 1, 0), ROWS).round().astype(int))
    names = [name for name in HELDOUT if len(series[name]) == len(steps)]
    rows: list[list[Cell]] = [
        [f"{steps[index]:.0f}", *(float(series[name][index, 1]) for name in names)]
        for index in at[: len(steps)]
    ]
    return section(
        "Held-out text",
        table("Evaluations", ["Step", *(HELDOUT[name] for name in names)], rows),
    )


def _continuations(run: Manifest) -> Section:
    texts = run.facts.get("continuations") or []
    return section(
        "Continuations",
        element(
            "p",
            "Beginnings of held-out text in brackets, then what the model wrote; or the text with "
            "its guesses as [token > guess]; or the text without its spans > the spans it wrote.",
        )
        if texts
        else element("p", "None were sampled.", class_="none"),
        join(quote(str(text), LONGEST) for text in texts[:20]),
    )
