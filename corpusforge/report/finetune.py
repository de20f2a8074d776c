"""Sections of a fine-tuning run: figures, curves, evaluations, predictions of held-out rows."""

from __future__ import annotations

from typing import Any

from corpusforge.manifest import Manifest

from . import train
from .page import Cell, Section, cut, element, facts, section, table

ROWS = 40  # predictions shown


def sections(root: str, run: Manifest) -> list[Section]:
    """Return the sections of a fine-tuning run, from its manifest, metrics and predictions."""
    series = train.series_of(root)
    return [_figures(run), train.curves(series), train.heldout(series), _predictions(root)]


def _figures(run: Manifest) -> Section:
    names = {
        "task": "task",
        "rows": "rows learned from",
        "heldout_rows": "held-out rows",
        "rows_cut": "rows that were too long",
        "steps": "steps",
        "best_step": "step of the best evaluation, whose weights these are",
        "parameters": "parameters",
        "trained_parameters": "of these trained",
    }
    known = [(names[key], run.facts[key]) for key in names if run.facts.get(key) is not None]
    known += [(train.HELDOUT.get(key, key), value) for key, value in run.facts["figures"].items()]
    return section("Fine-tuning", facts(known))


def _predictions(root: str) -> Section:
    """The first rows, with what was wanted; those that are wrong first."""
    lines = list(train.records(root, "predictions.jsonl"))
    lines.sort(key=lambda line: (_said(line) == line.get("expected"), line["row"]))
    rows: list[list[Cell]] = [
        [line["row"], cut(_text(line.get("expected")), 200), cut(_text(_said(line)), 200)]
        for line in lines[:ROWS]
    ]
    return section(
        "Predictions",
        element("p", f"{len(rows)} of {len(lines)} held-out rows, those that differ first.")
        if rows
        else element("p", "No rows were held out.", class_="none"),
        table("Held-out rows", ["Row", "Wanted", "Said"], rows),
    )


def _said(line: dict[str, Any]) -> Any:
    """What a prediction says: its label, labels or answer."""
    return next((line[key] for key in ("label", "labels", "answer") if key in line), None)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join("-" if one is None else str(one) for one in value)
    return str(value)
