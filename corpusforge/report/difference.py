"""Sections of a page that sets two runs of one kind side by side."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from corpusforge import spec as specs
from corpusforge.explain import STAGES
from corpusforge.ledger import OUTCOMES
from corpusforge.manifest import Manifest
from corpusforge.report.page import Cell, Section, cut, element, percent, section, table
from corpusforge.report.survey import Survey, survey
from corpusforge.report.tally import Tally
from corpusforge.shard import join as path_of
from corpusforge.shard import read_lines

ROWS = 40
STEPS = 20
Sides = tuple[int, int]


def sections(roots: tuple[str, str], runs: tuple[Manifest, Manifest]) -> list[Section]:
    """Return what differs between two runs: settings and figures, and what their kind has.

    Of clean runs counts, reasons, languages, hosts; of train runs losses at the same steps.
    """
    head = [cut(root, 60) for root in roots]
    if runs[0].kind == "clean":
        return _clean(head, roots, runs)
    found = [_settings(runs), _figures(head, runs)]
    return [*found, _losses(head, roots)] if runs[0].kind == "train" else found


def _clean(
    head: list[str], roots: tuple[str, str], runs: tuple[Manifest, Manifest]
) -> list[Section]:
    a, b = (survey(root, run) for root, run in zip(roots, runs, strict=True))
    return [
        _settings(runs),
        _counts(head, runs, a, b),
        section(
            "Rules",
            _table(
                "Not kept, by the rule that decided first",
                ["Rule", *head],
                {name: _first(a, b, name) for name in {*a.effects, *b.effects}},
            ),
        ),
        section(
            "Languages", _kept("Kept, by language", "Language", head, a.languages, b.languages)
        ),
        section("Hosts", _kept("Kept, by host", "Host", head, a.hosts, b.hosts)),
    ]


def _figures(head: list[str], runs: tuple[Manifest, Manifest]) -> Section:
    a, b = ({**_numbers(run.counts), **_numbers(run.facts)} for run in runs)
    rows: list[list[Cell]] = []
    for name in {**a, **b}:
        one, two = a.get(name), b.get(name)
        change = None if one is None or two is None else two - one
        rows.append([name.replace("_", " "), one, two, change])
    return section("Figures", table("Figures of both runs", ["What", *head, "Change"], rows))


def _numbers(values: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Numbers of a manifest by name, those inside objects too."""
    found: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found[prefix + name] = value
    return found


def _losses(head: list[str], roots: tuple[str, str]) -> Section:
    """Losses of steps that both runs did, at most STEPS of them, evenly apart."""
    a, b = (_by_step(root) for root in roots)
    both = sorted(a.keys() & b.keys())
    chosen = sorted(
        {both[i * (len(both) - 1) // (STEPS - 1)] for i in range(STEPS)} if both else []
    )
    rows: list[list[Cell]] = [[str(step), a[step], b[step], b[step] - a[step]] for step in chosen]
    return section("Losses", table("Loss at the same steps", ["Step", *head, "Change"], rows))


def _by_step(root: str) -> dict[int, float]:
    """Losses of metrics.jsonl; its last line may be torn."""
    found: dict[int, float] = {}
    for line in read_lines(path_of(root, "metrics.jsonl")):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record.get("loss"), float):
            found[record["step"]] = record["loss"]
    return found


def _settings(runs: tuple[Manifest, Manifest]) -> Section:
    old, new = (run.spec for run in runs)
    if runs[0].kind == "clean":
        used = {"use": specs.CleanSpec().rules["use"]}  # where a spec does not say
        old, new = ({**one, "rules": {**used, **one["rules"]}} for one in (old, new))
    changed = specs.differences(old, new)
    rows: list[list[Cell]] = [[*change.removesuffix(")").split(" (", 1)] for change in changed]
    digests: list[list[Cell]] = [
        [name, *(element("code", value(run)) for run in runs)]
        for name, value in (("content", _content), ("spec", _spec))
    ]
    return section(
        "Settings",
        table("Settings that differ", ["Key", "Old -> new"], rows),
        table("Digests", ["What", "First", "Second"], digests),
    )


def _content(run: Manifest) -> str:
    return run.content


def _spec(run: Manifest) -> str:
    return run.spec_digest


def _counts(head: list[str], runs: tuple[Manifest, Manifest], a: Survey, b: Survey) -> Section:
    found: dict[str, Sides] = {
        name: (runs[0].counts[name], runs[1].counts[name]) for name in ("in", *OUTCOMES)
    }
    for stage in (*STAGES, *sorted({*a.documents.counts, *b.documents.counts} - {*STAGES, "kept"})):
        sides = [sum(one.documents.counts.get(stage, [0, 0, 0])[1:]) for one in (a, b)]
        if any(sides):
            found[f"not kept at {stage}"] = (sides[0], sides[1])
    shares = [percent(run.counts["kept"], run.counts["in"]) for run in runs]
    return section(
        "Records",
        element("p", f"Kept: {shares[0]} and {shares[1]}."),
        table("Records by outcome and stage", ["What", *head, "Change"], _lines(found.items())),
    )


def _first(a: Survey, b: Survey, rule: str) -> Sides:
    first = [one.effects[rule].first if rule in one.effects else 0 for one in (a, b)]
    return first[0], first[1]


def _kept(caption: str, name: str, head: list[str], a: Tally, b: Tally) -> Any:
    keys = {key for one in (a, b) for key, _ in one.top(10 * ROWS)}
    sides = {str(key): (a.counts.get(key, [0])[0], b.counts.get(key, [0])[0]) for key in keys}
    return _table(caption, [name, *head], {key: one for key, one in sides.items() if any(one)})


def _table(caption: str, head: list[str], found: dict[str, Sides]) -> Any:
    """The largest changes first."""
    ranked = sorted(
        found.items(), key=lambda item: (-abs(item[1][1] - item[1][0]), -max(item[1]), item[0])
    )
    return table(caption, [*head, "Change"], _lines(ranked[:ROWS]))


def _lines(found: Iterable[tuple[str, Sides]]) -> list[list[Cell]]:
    return [[cut(name, 200), old, new, new - old] for name, (old, new) in found]
