"""Sections of a sweep: what was tried, what came of it, which settings mattered, the best spec."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from corpusforge import trials
from corpusforge.manifest import Manifest
from corpusforge.report import dots, plots
from corpusforge.report.page import (
    Cell,
    Section,
    bar,
    cut,
    details,
    element,
    facts,
    join,
    section,
    table,
)
from corpusforge.report.train import HELDOUT
from corpusforge.shard import join as path_of
from corpusforge.storage import read_bytes
from corpusforge.trials import Trial

ROWS = 500  # trials of the table
CURVES = 12  # best trials whose evaluations are told


def sections(root: str, run: Manifest) -> list[Section]:
    """Return the sections of a sweep, from its manifest, trials.jsonl and best.toml."""
    found = trials.read(root)
    return [
        _figures(run),
        _best(root, run),
        _history(found, run),
        _importance(run),
        _slices(found, run),
        _trials(found, run),
        _evaluations(found, run),
    ]


def _figures(run: Manifest) -> Section:
    settings, n = run.spec["sweep"], run.counts
    return section(
        "Sweep",
        facts(
            [
                ("trials", n["in"]),
                ("complete", n["kept"]),
                ("pruned", n["dropped"]),
                ("failed", n["failed"]),
                (f"{_objective(run)} of the best", run.facts["value"]),
                ("its trial", run.facts["best"]),
                ("sampler", settings["sampler"]),
                ("pruner", settings["pruner"]),
            ]
        ),
    )


def _objective(run: Manifest) -> str:
    """Name of what decides, as a train run's report has it."""
    name = run.facts["objective"]
    return f"held-out {HELDOUT.get(name, name).lower()}"


def _best(root: str, run: Manifest) -> Section:
    text = read_bytes(path_of(root, "best.toml")).decode()
    base = dict(_leaves(run.spec["train"]))
    rows: list[list[Cell]] = [
        [key, _cell(value), _cell(base.get(key))] for key, value in run.facts["settings"].items()
    ]
    folder = PurePosixPath(root).name
    return section(
        "Best spec",
        table("Settings of the best trial", ["Key", "Best", "Without the sweep"], rows),
        element("p", "To train it: ", element("code", f"forge train --spec {folder}/best.toml")),
        details("best.toml, whole", element("pre", element("code", text))),
    )


def _leaves(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        inner = isinstance(value, dict)
        found += _leaves(value, f"{prefix}{key}.") if inner else [(prefix + key, value)]
    return found


def _history(found: list[Trial], run: Manifest) -> Section:
    """The objective of each trial in the order they were drawn, and the best so far."""
    best, steps = None, []
    sign = -1 if run.facts["maximize"] else 1
    for trial in found:
        value = trial["value"]
        if value is not None and (best is None or sign * value < sign * best):
            best = value
            steps.append([trial["number"], value])
    plot = dots.history(
        [_dot(one, one["number"]) for one in found if _last(one) is not None], steps
    )
    rows: list[list[Cell]] = [[str(number), value] for number, value in steps]
    return section(
        "Objective over the trials",
        plots.key(("kept", "complete"), ("dropped", "pruned, as it was then")) if plot else None,
        element("div", plots.figure(plot, f"{_objective(run)}, line: best so far"), class_="plots")
        if plot
        else None,
        table("Trials that were better than all before", ["Trial", _objective(run)], rows),
    )


def _last(trial: Trial) -> float | None:
    """The last value of a trial that was not ended by an error."""
    return trial["values"][-1][1] if trial["values"] and trial["state"] != "failed" else None


def _dot(trial: Trial, x: Any) -> dict[str, Any]:
    return {"x": x, "y": _last(trial), "kind": trial["state"]}


def _importance(run: Manifest) -> Section:
    shares: dict[str, float] = run.facts["importance"]
    rows: list[list[Cell]] = [[key, bar(share, 1.0)] for key, share in shares.items()]
    return section(
        "Importance",
        element(
            "p",
            "How much each setting tells the best tenth of the complete trials from all of them "
            "(PED-ANOVA, Watanabe et al., IJCAI 2023). Of few trials it is a hint, no more.",
        )
        if rows
        else element("p", "Fewer than two trials are complete.", class_="none"),
        table("Share of each setting", ["Key", "Share"], rows),
    )


def _slices(found: list[Trial], run: Manifest) -> Section:
    """The objective against each setting, all others as they were drawn."""
    figures = []
    for key, choice in run.spec["ranges"].items():
        points = [
            _dot(one, _plain(one["settings"][key])) for one in found if _last(one) is not None
        ]
        log = isinstance(choice, dict) and choice["log"]
        plot = dots.against(points, key, log=log, named=isinstance(choice, list))
        figures.append(plots.figure(plot, key) if plot else None)
    if not any(figures):
        return section("Slices", element("p", "See the table of trials.", class_="none"))
    return section(
        "Slices",
        element("p", f"{_objective(run)} against each setting."),
        plots.key(("kept", "complete"), ("dropped", "pruned, as it was then")),
        element("div", join(figures), class_="plots"),
    )


def _plain(value: Any) -> Any:
    """A setting for an axis."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return cut(_text(value), 30)
    return value


def _trials(found: list[Trial], run: Manifest) -> Section:
    """Every trial, the best first, then those that were pruned, then those that failed."""
    order = {one["number"]: place for place, one in enumerate(_ranked(found, run))}
    listed = sorted(
        found, key=lambda one: (trials.STATES.index(one["state"]), order.get(one["number"], 0))
    )
    keys = list(run.spec["ranges"])
    rows: list[list[Cell]] = [
        [
            str(one["number"]),
            one["state"],
            _last(one),
            one["values"][-1][0] if one["values"] else None,
            *(_cell(one["settings"][key]) for key in keys),
        ]
        for one in listed[:ROWS]
    ]
    failed = [one for one in found if one["state"] == "failed"]
    reasons: list[list[Cell]] = [
        [str(one["number"]), cut(one["reason"] or "", 300)] for one in failed[:ROWS]
    ]
    return section(
        "Trials",
        element("p", f"{len(rows)} of {len(found)}.") if len(found) > ROWS else None,
        table("All trials", ["Trial", "State", _objective(run), "At step", *keys], rows),
        table("Why trials failed", ["Trial", "Message"], reasons) if reasons else None,
    )


def _ranked(found: list[Trial], run: Manifest) -> list[Trial]:
    return trials.ranked(found, run.facts["maximize"])


def _evaluations(found: list[Trial], run: Manifest) -> Section:
    """What the best trials were at each evaluation."""
    best = _ranked(found, run)[:CURVES]
    steps = sorted({step for one in best for step, _ in one["values"]})
    rows: list[list[Cell]] = [
        [str(one["number"]), *(dict(one["values"]).get(step) for step in steps)] for one in best
    ]
    head = ["Trial", *(f"step {step}" for step in steps)]
    caption = f"{_objective(run)} of the best trials at each evaluation"
    return section("Evaluations", details(caption, table(caption, head, rows)))


def _cell(value: Any) -> Cell:
    """A setting in a table: numbers as they are, all else as text."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    return element("code", cut(_text(value), 60))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
