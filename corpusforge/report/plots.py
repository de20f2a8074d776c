"""Plots: Vega-Lite drawn to static SVG, no script left; colours are the page's own variables.

Every plot has its numbers in a table beside it, so without the extra ``report`` nothing is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from corpusforge.report.distribution import Bars
from corpusforge.report.page import Html, element, join, visible

NOTE = "No plots: they come with pip install 'corpusforge[report]', then forge report again."
WIDTH, HEIGHT = 280, 130  # of the plot itself, in CSS pixels at scale 1
ROUND = [digit * 10**power for power in range(12) for digit in (1, 2, 5)]  # ticks of a log axis
POINTS = 400  # of a curve; longer ones are drawn as the mean and range of equal spans

_CONFIG = {
    "background": "transparent",
    "padding": 2,
    "font": "sans-serif",
    "view": {"stroke": None},
    "axis": {
        "domainColor": "var(--soft)",
        "tickColor": "var(--soft)",
        "labelColor": "var(--ink)",
        "titleColor": "var(--soft)",
        "gridColor": "var(--line)",
        "titleFontWeight": "normal",
        "labelFontSize": 11,
        "titleFontSize": 11,
        "labelOverlap": "greedy",
        "labelSeparation": 8,
        "labelExpr": "format(datum.value, abs(datum.value) >= 1000 ? '~s' : '~g')",
    },
}

Layer = dict[str, Any]


def installed() -> bool:
    """Tell whether the extra ``report`` is there."""
    try:
        import vl_convert  # noqa: F401
    except ImportError:
        return False
    return True


def figure(plot: Html | None, title: str, *caption: str) -> Html:
    """Return a figure: title, plot if there is one, caption."""
    lines = join(element("div", line) for line in caption)
    name = element("div", title, class_="title")
    return element("figure", name, plot, element("figcaption", lines))


def key(*names: tuple[str, str]) -> Html:
    """Return a legend of (colour class, meaning)."""
    spans = [element("span", element("i", class_=colour), meaning) for colour, meaning in names]
    return element("p", join(spans), class_="key")


def histogram(bars: Bars, cuts: Sequence[float], label: str) -> Html | None:
    """Draw stacked bars, passed below others, with a dashed line at each of ``cuts``."""
    ends = (float(bars.edges[0]), float(bars.edges[-1]))
    x = axis("low", grid=False, type="log" if bars.log else "linear", domain=ends, nice=False)
    if bars.log:
        x["axis"] = {"grid": False, "values": [n for n in ROUND if ends[0] <= n <= ends[1]]}
    both = bars.passed + bars.other
    layers = [
        _bars(bars.edges, np.zeros_like(both), bars.passed, x, "kept"),
        _bars(bars.edges, bars.passed, both, x, "dropped"),
    ]
    if cuts:
        mark = {"type": "rule", "color": "var(--cut)", "strokeDash": [4, 3], "size": 1.5}
        layers.append(layer(mark, [{"low": cut} for cut in cuts], x=x))
    return draw({"layer": layers}, label)


def similarities(bars: Bars, chance: np.ndarray, label: str) -> Html | None:
    """Draw how many copies were found, and the ``chance`` (bars + 1,) to find one at each edge."""
    ends = (float(bars.edges[0]), float(bars.edges[-1]))
    x = axis("low", "similarity", grid=False, domain=ends, nice=False)
    points = [
        {"low": low, "chance": value}
        for low, value in zip(bars.edges.tolist(), chance.tolist(), strict=True)
    ]
    y = axis("chance", "chance to be found", grid=False, domain=[0, 1])
    line = layer(_line("kept"), points, x=x, y=y)
    layers = [_bars(bars.edges, np.zeros_like(bars.other), bars.other, x, "dropped"), line]
    return draw({"layer": layers, "resolve": {"scale": {"y": "independent"}}}, label)


def curve(values: np.ndarray, label: str, marks: np.ndarray, across: str = "step") -> Html | None:
    """Draw ``values``, (step, value) rows [n, 2], as a line, and ``marks`` [m, 2] with points."""
    spans = list(_spans(values))
    ends = [float(values[0, 0]), float(values[-1, 0])]
    x = axis("step", across, grid=False, domain=ends, nice=False)
    y = axis("value", zero=False)
    layers = [layer(_line("kept"), spans, x=x, y=y)]
    if len(values) > POINTS:
        band = {"type": "area", "color": "var(--kept)", "opacity": 0.25}
        low = {**y, "field": "low"}
        layers.insert(0, layer(band, spans, x=x, y=low, y2={"field": "high"}))
    if len(marks):
        points = [{"step": step, "value": value} for step, value in marks.tolist()]
        dots = {"point": {"filled": True, "color": "var(--dropped)", "size": 25}}
        layers.append(layer({**_line("dropped"), **dots}, points, x=x, y=y))
    return draw({"layer": layers}, label)


def spans(rows: Sequence[tuple[str, float, float, float]], label: str) -> Html | None:
    """Draw named values, each as a point with the interval from the first to the second bound."""
    data = [{"name": visible(n), "value": v, "low": a, "high": b} for n, v, a, b in rows]
    y: Layer = {"field": "name", "type": "nominal", "title": None, "sort": None}
    y["axis"] = {
        "labelLimit": 120,
        "grid": False,
        "labelExpr": "datum.label",
        "labelOverlap": False,
    }
    x = axis("low", zero=False)
    rule = {"type": "rule", "color": "var(--kept)", "size": 1.5}
    point = {"type": "point", "filled": True, "color": "var(--kept)", "size": 35, "opacity": 1}
    layers = [
        layer(rule, data, x=x, x2={"field": "high"}, y=y),
        layer(point, data, x={**x, "field": "value"}, y=y),
    ]
    return draw({"layer": layers, "height": {"step": 18}}, label)


def _spans(values: np.ndarray) -> Iterable[dict[str, float]]:
    """Mean, least and largest value of at most POINTS equal spans, at their mean step."""
    for part in np.array_split(values, min(POINTS, len(values))):
        step, value = part.mean(axis=0).tolist()
        yield {"step": step, "value": value, "low": part[:, 1].min(), "high": part[:, 1].max()}


def _bars(edges: np.ndarray, low: np.ndarray, high: np.ndarray, x: Layer, colour: str) -> Layer:
    columns = (edges[:-1], edges[1:], low, high)
    rows = [
        {"low": a, "high": b, "from": c, "to": d}
        for a, b, c, d in zip(*(column.tolist() for column in columns), strict=True)
        if d > c
    ]
    mark = {"type": "bar", "binSpacing": 0.5, "color": f"var(--{colour})"}
    y = axis("from", "documents")
    y["axis"]["tickCount"] = min(5, int(high.max()))  # no fractions of documents
    return layer(mark, rows, x=x, x2={"field": "high"}, y=y, y2={"field": "to"})


def _line(colour: str) -> Layer:
    return {"type": "line", "color": f"var(--{colour})", "size": 1.5}


def layer(mark: Layer, rows: Sequence[Layer], **encoding: Layer) -> Layer:
    """Return marks of one sort, one a row."""
    return {"mark": mark, "data": {"values": rows}, "encoding": encoding}


def axis(field: str, title: str | None = None, *, grid: bool = True, **scale: Any) -> Layer:
    """Return the encoding of a number along an axis."""
    look = {"grid": grid, "tickCount": 5}
    return {"field": field, "type": "quantitative", "title": title, "axis": look, "scale": scale}


def draw(plot: Layer, label: str) -> Html | None:
    """Draw ``plot`` as an image that is read out as ``label``; None without the extra."""
    try:
        import vl_convert
    except ImportError:
        return None
    whole = {"width": WIDTH, "height": HEIGHT, "config": _CONFIG, **plot}
    svg = vl_convert.vegalite_to_svg(whole)
    # One image for a screen reader: the roles and labels of its parts only repeat it.
    svg = re.sub(r' (?:role|aria-[a-z]+|class|xmlns(?::\w+)?)="[^"]*"', "", svg)
    return element("div", Html(svg), class_="plot", role="img", aria_label=label)
