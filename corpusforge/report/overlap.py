"""Overlap: which rules fail the same documents, as an UpSet plot (Lex et al. 2014) in a table.

A row a set of rules, a column a rule, a dot where the rule is in the set: text, so that it prints,
is read aloud and needs no library.
"""

from __future__ import annotations

from corpusforge.report.page import Cell, Html, bar, element, join, number, table
from corpusforge.report.survey import SEPARATOR
from corpusforge.report.tally import Tally

SETS, RULES = 20, 12  # that are shown, the largest


def overlap(together: Tally) -> Html | None:
    """Return the largest sets of rules that documents fail together; ``together`` by set."""
    top = together.top(SETS)
    if not any(SEPARATOR in key for key, _ in top):
        return None
    total, sizes = sum(together.total()), dict[str, int]()
    for key, (count,) in together.counts.items():
        for rule in key.split(SEPARATOR):
            sizes[rule] = sizes.get(rule, 0) + count
    ranked = sorted(sizes, key=lambda rule: (-sizes[rule], rule))[:RULES]
    letters = {rule: chr(ord("A") + index) for index, rule in enumerate(ranked)}
    rows: list[list[Cell]] = []
    for key, (count,) in top:
        rules = key.split(SEPARATOR)
        dots = [_dot(rule in rules) for rule in ranked]
        more = [rule for rule in rules if rule not in letters]
        if len(more) > 1:
            more = [f"{len(more)} more"]
        name = " + ".join([*(letters[rule] for rule in ranked if rule in rules), *more])
        rows.append([name, count, bar(count, total, "dropped"), *dots])
    key_ = [element("li", f"{letters[rule]}: {rule} ({number(sizes[rule])})") for rule in ranked]
    return join(
        [
            element("h3", "Rules that fail the same documents"),
            element("ul", join(key_), class_="legend"),
            table(
                "Dropped documents by the exact set of rules that they fail, largest first",
                ["Set", "Documents", "Of all dropped", *letters.values()],
                rows,
            ),
        ]
    )


def _dot(there: bool) -> Html:
    label = {"role": "img", "aria_label": "in the set" if there else "not in the set"}
    return element("span", "\u25cf" if there else "\u00b7", class_="dot", **label)
