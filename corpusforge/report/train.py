"""Sections of a train run: figures, curves, held-out evaluation, continuations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from corpusforge.manifest import Manifest
from corpusforge.report import plots
from corpusforge.report.page import (
    LONGEST,
    Cell,
    Html,
    Section,
    cut,
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
from corpusforge.storage import open_read

METRICS, SPIKES = "metrics.jsonl", "spikes.jsonl"
SOURCES = 8  # whose losses are drawn
SPIKE_DOCUMENTS = 5
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
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "exact_match": "Exact match",
    "token_f1": "Token F1",
}
ROWS = 40  # steps of a table
SAMPLES = 8  # steps whose samples are shown
HOW = (
    "Beginnings of held-out text in brackets, then what the model wrote; or the text with "
    "its guesses as [token > guess]; or the text without its spans > the spans it wrote."
)


def sections(root: str, run: Manifest) -> list[Section]:
    """Return the sections of a train run, from its manifest and metrics.jsonl."""
    series = series_of(root)
    return [
        _figures(run),
        curves(series),
        _spikes(root),
        _by_source(root),
        heldout(series),
        _samples(root),
        _continuations(run),
    ]


def series_of(root: str) -> dict[str, np.ndarray]:
    """Return (step, value) rows of every number in the metrics, by its name: float64 [n, 2]."""
    series: dict[str, list[tuple[float, float]]] = {name: [] for name in (*CURVES, *HELDOUT)}
    for record in records(root):
        for name, values in series.items():
            value = record.get(name)
            if isinstance(value, int | float):
                values.append((record["step"], value))
    return {name: np.array(values).reshape(-1, 2) for name, values in series.items()}


def records(root: str, name: str = METRICS) -> Iterator[dict[str, Any]]:
    """Yield the whole lines of a file of the run."""
    if not exists(root, name):
        return
    with open_read(path_of(root, name)) as file:
        for line in file:
            if line.endswith(b"\n"):  # a torn last line is none
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


def curves(series: dict[str, np.ndarray]) -> Section:
    """Loss, gradient norm, rate and speed over the steps, drawn and as numbers."""
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


def _spikes(root: str) -> Section:
    """The steps whose loss or gradient norm stands out, each with its worst documents."""
    lines = list(records(root, SPIKES))
    worst = sorted(lines, key=lambda one: -max(one["loss_z"], one["gradient_norm_z"]))[:ROWS]
    shown = []
    for line in sorted(worst, key=lambda one: int(one["step"])):
        rows: list[list[Cell]] = [
            [
                cut(one["url"] or one["source_id"] or one["id"]),
                element("code", one["id"]),
                one["loss"],
            ]
            for one in line["documents"][:SPIKE_DOCUMENTS]
        ]
        summary = (
            f"step {line['step']}: loss {line['loss']:.3f} (z {line['loss_z']:.1f}),"
            f" gradient norm {line['gradient_norm']:.3f} (z {line['gradient_norm_z']:.1f})"
        )
        caption = f"Documents of step {line['step']} with the highest loss"
        shown.append(details(summary, table(caption, ["Document", "Id", "Loss"], rows)))
    return section(
        "Spikes",
        element(
            "p", f"{len(lines)} steps stand out (z: robust standard deviations above those before)."
        )
        if lines
        else element("p", "No step stands out.", class_="none"),
        element("p", "What became of a document: forge explain RUN ID, in its clean run.")
        if lines
        else None,
        join(shown),
    )


def _by_source(root: str) -> Section:
    """Loss by source over the steps that logged it, as curves and ends."""
    found: dict[str, list[tuple[float, float]]] = {}
    for record in records(root):
        for source, loss in (record.get("loss_by_source") or {}).items():
            found.setdefault(source, []).append((record["step"], loss))
    ranked = sorted(found, key=lambda name: (-len(found[name]), name))[:SOURCES]
    figures, rows = [], list[list[Cell]]()
    for name in ranked:
        values = np.array(found[name]).reshape(-1, 2)
        title = f"Loss of {cut(name, 60)}"
        label = f"{title} over {len(values)} steps"
        plot = plots.curve(values, label, np.empty((0, 2))) if len(values) > 1 else None
        figures.append(plots.figure(plot, title) if plot else None)
        rows.append([cut(name, 200), len(values), *(float(values[at, 1]) for at in (0, -1))])
    return section(
        "Loss by source",
        element("div", join(figures), class_="plots") if any(figures) else None,
        table("Loss by source, nats a token", ["Source", "Steps", "First", "Last"], rows),
    )


def heldout(series: dict[str, np.ndarray]) -> Section:
    """The evaluations, a row each."""
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


def _samples(root: str) -> Section:
    """What the model made of the same held-out text, at steps evenly spread over the run."""
    lines = [line for line in records(root) if line.get("samples")]
    at = np.unique(np.linspace(0, max(len(lines) - 1, 0), SAMPLES).round().astype(int))
    chosen = [lines[index] for index in at[: len(lines)]]
    return section(
        "Samples over time",
        element("p", HOW) if chosen else element("p", "None were written.", class_="none"),
        join(
            join(
                [
                    element("h3", f"Step {line['step']}, held-out loss {line['heldout_loss']:.3f}"),
                    *(quote(str(text), LONGEST) for text in line["samples"]),
                ]
            )
            for line in chosen
        ),
    )


def _continuations(run: Manifest) -> Section:
    texts = run.facts.get("continuations") or []
    return section(
        "Continuations",
        element("p", HOW) if texts else element("p", "None were sampled.", class_="none"),
        join(quote(str(text), LONGEST) for text in texts[:20]),
    )
