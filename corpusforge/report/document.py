"""A page of one document: every stage, its blocks kept and cut, its text, and its twin."""

from __future__ import annotations

import difflib
from itertools import accumulate
from typing import Any

from corpusforge import explain, manifest, source_page
from corpusforge.manifest import Manifest
from corpusforge.report import page
from corpusforge.report.page import (
    Cell,
    Html,
    Section,
    details,
    element,
    join,
    number,
    quote,
    section,
    table,
)
from corpusforge.shard import write_bytes

BLOCKS = 2000  # of a page that are shown
BLOCK = 10_000  # characters of one
SHOWN = 200_000  # characters of all
RECORDS = 10  # of one URL that are shown


def write(path: str, root: str, rows: list[dict[str, Any]]) -> None:
    """Write the page of ``rows``, as ``explain.document`` gives them, of the run in ``root``."""
    run = manifest.read(root, "clean")
    sections = [part for row in rows[:RECORDS] for part in _sections(root, run, row)]
    if len(rows) > 1:  # several records of one URL: their sections get numbers
        each = len(sections) // len(rows[:RECORDS])
        sections = [
            Section(f"{part.title} ({index // each + 1})", part.body)
            for index, part in enumerate(sections)
        ]
    title = explain.one_line(rows[0]["url"] or rows[0]["source_id"] or rows[0]["id"].hex(), 200)
    write_bytes(path, page.page(f"{title} · forge explain", sections).encode())


def _sections(root: str, run: Manifest, row: dict[str, Any]) -> list[Section]:
    return [
        _what_happened(root, row),
        _blocks(source_page.blocks(root, run, row)),
        section("Text", _text(explain.text_of(root, row))),
        _twin(root, row),
    ]


def _what_happened(root: str, row: dict[str, Any]) -> Section:
    rows: list[list[Cell]] = []
    for step in row["stages"]:
        found = " · ".join(explain.about_stage(step["stage"], row))
        reasons = join(element("div", explain.reason_line(one)) for one in step["reasons"])
        rows.append([step["stage"], step["outcome"], element("div", found, reasons)])
    places: list[list[Cell]] = [
        ["input", f"{row['source']}, offset {row['offset']}, record {row['ordinal']}"]
    ]
    if row["shard"]:
        places.append(["text", f"{root}/{row['shard']}, row {row['row']}"])
    places += [
        ["tokens", f"{one['folder']}/{one['shard']}, row {one['row']}, {one['tokens']} tokens"]
        for one in row.get("tokens") or []
    ]
    places += [["training", explain.steps_line(one)] for one in row.get("trained") or []]
    verdict = row["outcome"] + (f" at {row['stage']}" if row["stage"] else "")
    return section(
        "What happened",
        page.facts([("outcome", verdict), ("id", element("code", row["id"].hex()))]),
        element("p", row["detail"]) if row["detail"] else None,
        table("Every stage, in order", ["Stage", "Outcome", "What it found"], rows),
        table("Where it lies", ["What", "Place"], places),
    )


def _blocks(found: list[source_page.Block] | str) -> Section:
    if isinstance(found, str):
        return section("Blocks of the page", element("p", found, class_="none"))
    kept = sum(block.kept for block in found)
    sizes = accumulate(min(len(block.text), BLOCK) for block in found)
    fit = sum(size <= SHOWN for size in sizes)
    shown = [
        element(
            "div",
            element("span", f"{'kept' if block.kept else 'cut'} · {block.tag}", class_="why"),
            element("div", page.text(block.text, BLOCK), dir="auto"),
            class_=f"block {'is-kept' if block.kept else 'is-cut'}",
        )
        for block in found[: min(fit, BLOCKS)]
    ]
    more = len(found) - len(shown)
    return section(
        "Blocks of the page",
        element("p", f"{number(kept)} of {number(len(found))} blocks are main content."),
        join(shown),
        element("p", f"{number(more)} more are not shown.", class_="none") if more else None,
    )


def _text(text: str | None) -> Html:
    if text is None:
        return element("p", "No text is stored.", class_="none")
    return details(f"{number(len(text))} characters", quote(text, 20_000))


def _twin(root: str, row: dict[str, Any]) -> Section:
    if row["duplicate_of"] is None:
        return section("Surviving twin", element("p", "It is no copy.", class_="none"))
    other = row.get("survivor") or {}
    name = other.get("url") or other.get("source_id") or row["duplicate_of"].hex()
    sides = [explain.text_of(root, row), explain.text_of(root, other)]
    return section(
        "Surviving twin",
        element("p", f"{name}, similarity {row['similarity']:.2f}"),
        element("p", "Its id: ", element("code", row["duplicate_of"].hex())),
        element("p", "Struck out: only here. Underlined: only in the survivor."),
        _difference(*sides) if None not in sides else element("p", "A text is not stored."),
    )


def _difference(before: str | None, after: str | None) -> Html:
    """Both texts in one, word by word where they differ."""
    a, b = (explain.words_of(text or "") for text in (before, after))
    parts: list[Html] = []
    for what, i, j, k, m in difflib.SequenceMatcher(None, a, b).get_opcodes():
        if what == "equal":
            parts.append(element("span", _short("".join(a[i:j]))))
        else:
            parts += [element("del", "".join(a[i:j]))] if i < j else []
            parts += [element("ins", "".join(b[k:m]))] if k < m else []
    return element("blockquote", join(parts), dir="auto", class_="whole")


def _short(text: str) -> str:
    return text if len(text) <= 400 else f"{text[:200]} […] {text[-200:]}"
