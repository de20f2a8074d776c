"""Results as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SHOWN = 10  # groups of a table
NAMES = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L", "bleu": "BLEU"}


def describe(values: dict[str, Any]) -> str:
    """Every figure by model, the figures by source, and the comparison."""
    lines = list[str](values.get("notes", []))
    for name, model in values["models"].items():
        rows = [["", *_told(figure)] for figure in model["figures"].items()]
        lines += [name, *aligned(rows)]
        if "signature" in model:
            lines.append(f"  signature: {model['signature']}")
        for by in ("source", "language"):
            groups = model.get(f"by_{by}", {})
            rows = [
                [f"  {group}", f"{one['items']} items", *_short(one)]
                for group, one in list(groups.items())[:SHOWN]
            ]
            if rows:
                lines += [f"  by {by}", *aligned(rows)]
    if "comparison" in values:
        lines += compared(values["comparison"])
    return "\n".join(lines)


def compared(found: dict[str, Any]) -> list[str]:
    """Lines of a comparison."""
    rows = [
        [
            f"  {label(name)}",
            f"{number(one['value'])} -> {number(one['other'])}",
            f"difference {number(one['difference'])} {span(one['interval'])}",
            f"p = {one['p']:.4g} ({one['test']})",
        ]
        for name, one in found["tests"].items()
    ]
    return [f"{found['first']} -> {found['second']}", *aligned(rows)]


def label(name: str) -> str:
    """What a figure is called."""
    return NAMES.get(name, name.replace("_", " "))


def number(value: float | None) -> str:
    """A figure in at most five significant digits."""
    return "none" if value is None else f"{value:.5g}"


def span(interval: Sequence[float] | None) -> str:
    """An interval."""
    return "" if interval is None else f"[{number(interval[0])}, {number(interval[1])}]"


def _told(figure: tuple[str, dict[str, Any]]) -> list[str]:
    name, one = figure
    return [label(name), number(one["value"]), span(one["interval"])]


def _short(group: dict[str, Any]) -> list[str]:
    return [
        f"{label(name)} {number(one['value'])}" for name, one in group.items() if name != "items"
    ]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of cells, each column as wide as its widest."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
