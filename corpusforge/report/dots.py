"""Plots of a sweep's trials as dots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from corpusforge.report.page import Html
from corpusforge.report.plots import Layer, axis, draw, layer

COLOURS = {"complete": "kept", "pruned": "dropped"}
WIDE = 20  # times the least value: from there on the axis is logarithmic


def history(points: Sequence[Layer], best: Sequence[Sequence[float]]) -> Html | None:
    """Draw ``points`` ({"x", "y", "kind"}) by number, and the (number, value) that were best."""
    if len(points) < 2:
        return None
    label = f"Objective of {len(points)} trials, from {best[0][1]:.4g} to {best[-1][1]:.4g} at best"
    ends = [min(one["x"] for one in points), max(one["x"] for one in points)]
    x = {**axis("x", "trial", grid=False, domain=ends), "axis": {"grid": False, "tickMinStep": 1}}
    steps = [{"x": number, "y": value} for number, value in [*best, [ends[1], best[-1][1]]]]
    mark = {"type": "line", "interpolate": "step-after", "color": "var(--cut)", "size": 1.5}
    return _dots(points, x, label, [(mark, steps)])


def against(points: Sequence[Layer], key: str, *, log: bool, named: bool) -> Html | None:
    """Draw ``points`` against a setting: on a logarithmic axis, or by name where it is a list."""
    if len(points) < 2:
        return None
    values = [one["x"] for one in points]
    label = f"Objective of {len(points)} trials against {key}"
    if named:
        shown = [{**one, "x": str(one["x"])} for one in points]
        named_axis = {"grid": False, "labelAngle": 0, "labelExpr": "datum.label"}
        x: dict[str, Any] = {"field": "x", "type": "nominal", "title": None, "axis": named_axis}
        x["sort"] = [str(value) for value in sorted(set(values), key=_order)]
        return _dots(shown, x, label)
    kind = "log" if log else "linear"
    return _dots(points, axis("x", grid=False, type=kind, zero=False, nice=False), label)


def _order(value: Any) -> tuple[bool, Any]:
    """Numbers by size before words."""
    return (True, value) if isinstance(value, str) else (False, value)


def _dots(
    points: Sequence[Layer], x: Layer, label: str, lines: Sequence[tuple[Layer, list[Layer]]] = ()
) -> Html | None:
    least, most = min(one["y"] for one in points), max(one["y"] for one in points)
    kind = "log" if least > 0 and most > WIDE * least else "linear"
    y = axis("y", zero=False, type=kind)
    layers = [layer(mark, rows, x=x, y=y) for mark, rows in lines]
    for state, colour in COLOURS.items():
        rows = [one for one in points if one["kind"] == state]
        mark = {"type": "point", "filled": True, "size": 30, "color": f"var(--{colour})"}
        if rows:
            layers.append(layer({**mark, "opacity": 0.8}, rows, x=x, y=y))
    return draw({"layer": layers}, label)
