"""Sections of an evaluation: figures with intervals, by group, the comparison, worst items."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from corpusforge.eval.tables import label, span
from corpusforge.manifest import Manifest
from corpusforge.report import plots, train
from corpusforge.report.distribution import Distribution
from corpusforge.report.page import Cell, Html, Section, cut, element, facts, join, section, table

DRAWN = 16  # groups of a plot
WORST = 30  # items of a table
CLASSES = 12  # labels of a table of confusions
MAIN = ("bits_per_byte", "pseudo_bits_per_byte", "accuracy", "bleu")  # drawn by group

Figures = Mapping[str, Mapping[str, Any]]
Record = dict[str, Any]


def sections(root: str, run: Manifest) -> list[Section]:
    """Return the sections of an evaluation, from its manifest and predictions."""
    found = [_figures(run), *(_groups(run, by) for by in ("source", "language"))]
    if "comparison" in run.facts:
        found.append(_comparison(run.facts["comparison"]))
    worst = _WORST.get(run.facts["task"])
    if worst is not None:
        parts = [
            part
            for name in run.facts["models"]
            for part in worst(name, list(train.records(root, f"predictions/{name}.jsonl")))
        ]
        found.append(section("Items", *parts))
    return [one for one in found if one is not None]


def _title(figure: str) -> str:
    name = label(figure)
    return name[0].upper() + name[1:]


def _figures(run: Manifest) -> Section:
    models: dict[str, Any] = run.facts["models"]
    rows: list[list[Cell]] = [
        [name, _title(figure), one["value"], span(one["interval"])]
        for name, model in models.items()
        for figure, one in model["figures"].items()
    ]
    names = dict.fromkeys(figure for model in models.values() for figure in model["figures"])
    drawn = [
        _drawn({name: model["figures"] for name, model in models.items()}, figure)
        for figure in names
    ]
    known: list[tuple[str, Cell]] = [("task", run.facts["task"]), ("items", run.facts["items"])]
    first = next(iter(models.values()))
    known += [(key, first[key]) for key in ("tokens", "bytes", "chance") if key in first]
    level = 100 * run.spec["resample"]["level"]
    return section(
        "Evaluation",
        facts(known),
        *(element("p", note, class_="note") for note in run.facts.get("notes", [])),
        element("div", join(drawn), class_="plots") if any(drawn) else None,
        table(
            f"Figures with their {level:g} % bootstrap intervals",
            ["Model", "Figure", "Value", "Interval"],
            rows,
        ),
        element("p", element("code", first["signature"])) if "signature" in first else None,
    )


def _drawn(groups: Mapping[str, Figures], figure: str) -> Html | None:
    """A figure of each group as a point with its interval."""
    rows = [
        (cut(name, 40), one["value"], *one["interval"])
        for name, one in ((name, group.get(figure)) for name, group in groups.items())
        if one is not None and one["value"] is not None and one["interval"] is not None
    ]
    if not rows:
        return None
    title = _title(figure)
    plot = plots.spans(rows, f"{title} of {', '.join(f'{r[0]} {r[1]:.4g}' for r in rows)}")
    return plots.figure(plot, title) if plot else None


def _groups(run: Manifest, by: str) -> Section | None:
    models = {n: m for n, m in run.facts["models"].items() if f"by_{by}" in m}
    if not models:
        return None
    drawn, tables = list[Html | None](), list[Html]()
    for name, model in models.items():
        groups: dict[str, Any] = model[f"by_{by}"]
        names = [key for key in next(iter(groups.values())) if key != "items"]
        main = next((figure for figure in MAIN if figure in names), names[0])
        drawn.append(_drawn(dict(list(groups.items())[:DRAWN]), main))
        rows: list[list[Cell]] = [
            [
                cut(group, 100), one["items"],
                *(v for key in names for v in (one[key]["value"], span(one[key]["interval"]))),
            ]
            for group, one in groups.items()
        ]  # fmt: skip
        head = [by.capitalize(), "Items"]
        head += [title for key in names for title in (_title(key), "Interval")]
        caption = f"{name} by {by}: {len(groups)} of {model[f'{by}s']}, those of the most items"
        tables.append(table(caption, head, rows))
    shown = element("div", join(drawn), class_="plots") if any(drawn) else None
    return section(f"By {by}", shown, *tables)


def _comparison(found: Mapping[str, Any]) -> Section:
    rows: list[list[Cell]] = [
        [
            _title(name), one["value"], one["other"], one["difference"], span(one["interval"]),
            one["test"], one["p"],
        ]
        for name, one in found["tests"].items()
    ]  # fmt: skip
    head = ["Figure", found["first"], found["second"], "Difference", "Interval", "Test", "p"]
    drawn = [
        plots.figure(
            plots.spans(
                [("difference", one["difference"], *one["interval"])],
                f"difference of {label(name)}: {one['difference']:.4g}",
            ),
            f"Difference of {label(name)}",
        )
        for name, one in found["tests"].items()
        if one["interval"] is not None and one["difference"] is not None and plots.installed()
    ]
    return section(
        "Comparison",
        element("div", join(drawn), class_="plots") if drawn else None,
        table(f"{found['first']} beside {found['second']}, the same items", head, rows),
    )


def _texts(name: str, records: list[Record]) -> list[Html | None]:
    """How hard the texts are, and the hardest."""
    scored = [one for one in records if one["bytes"] and one["tokens"]]
    bits = np.array([one["nats"] / math.log(2) / one["bytes"] for one in scored])
    if not len(bits):
        return []
    spread = Distribution()
    spread.add(bits, np.ones(len(bits), dtype=bool))
    title = f"{name}: bits per byte of a document"
    plot = plots.histogram(spread.bars([]), [], f"{title}, {len(bits)} documents")
    worst = np.argsort(-bits, kind="stable")[:WORST].tolist()
    rows: list[list[Cell]] = [
        [
            element("code", cut(scored[at]["document"], 80)), cut(scored[at]["source"], 80),
            scored[at]["tokens"], float(bits[at]),
        ]
        for at in worst
    ]  # fmt: skip
    return [
        element("div", plots.figure(plot, title), class_="plots") if plot else None,
        table(
            f"{name}: documents of the most bits per byte",
            ["Document", "Source", "Tokens", "Bits per byte"],
            rows,
        ),
    ]


def _choices(name: str, records: list[Record]) -> list[Html | None]:
    """The wrong choices that the model was surest of."""

    def lead(one: Record) -> float:
        scores: list[float] = one["scores"]
        return max(scores) - scores[one["answer"]]

    wrong = sorted(
        (one for one in records if one["chosen"] != one["answer"]), key=lambda o: -lead(o)
    )
    rows: list[list[Cell]] = [
        [
            f"{one['file']} {one['place']}", cut(one["choices"][one["answer"]], 120),
            cut(one["choices"][one["chosen"]], 120), lead(one),
        ]
        for one in wrong[:WORST]
    ]  # fmt: skip
    caption = f"{name}: {len(rows)} of {len(wrong)} wrong choices, the surest first"
    return [table(caption, ["Item", "Right", "Chosen", "Nats apart"], rows)]


def _answers(name: str, records: list[Record]) -> list[Html | None]:
    """The answers that share the least with their references."""
    worst = sorted(records, key=lambda one: (one["token_f1"], one["rougeL"]))[:WORST]
    rows: list[list[Cell]] = [
        [
            f"{one['file']} {one['place']}", cut(one["reference"][0], 150),
            cut(one["prediction"], 150), one["token_f1"], one["rougeL"],
        ]
        for one in worst
    ]  # fmt: skip
    head = ["Item", "Reference", "Answer", "Token F1", "ROUGE-L"]
    return [table(f"{name}: the worst {len(rows)} of {len(records)} answers", head, rows)]


def _labels(name: str, records: list[Record]) -> list[Html | None]:
    """Which label was taken for which."""
    pairs = Counter(
        (wanted, said if said is not None else "none")
        for one in records
        for wanted, said in zip(one["label"], one["prediction"], strict=True)
    )
    total = Counter[str]()
    for (wanted, _), count in pairs.items():
        total[wanted] += count
    names = [label for label, _ in total.most_common(CLASSES)]
    rows: list[list[Cell]] = [
        [cut(wanted, 60), total[wanted], *(pairs[wanted, said] for said in names)]
        for wanted in names
    ]
    head = ["Label", "Items", *(f"said {cut(one, 40)}" for one in names)]
    wrong = [(pair, count) for pair, count in pairs.most_common() if pair[0] != pair[1]][:WORST]
    mistakes: list[list[Cell]] = [[cut(a, 60), cut(b, 60), count] for (a, b), count in wrong]
    return [
        table(f"{name}: confusions of the {len(names)} most frequent labels", head, rows),
        table(f"{name}: the most frequent mistakes", ["Label", "Said", "Items"], mistakes),
    ]


_WORST: dict[str, Callable[[str, list[Record]], list[Html | None]]] = {
    "texts": _texts,
    "choices": _choices,
    "prompts": _answers,
    "answers": _answers,
    "labels": _labels,
}
