"""Sections of a clean run, from its ledger, its signals and a few of its texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge import rules
from corpusforge.errors import SpecError
from corpusforge.explain import STAGES
from corpusforge.ledger import OUTCOMES
from corpusforge.manifest import Manifest
from corpusforge.report import formats, plots, timing
from corpusforge.report.overlap import overlap
from corpusforge.report.page import (
    CUT,
    Cell,
    Html,
    Section,
    bar,
    breakable,
    cut,
    details,
    element,
    facts,
    join,
    number,
    percent,
    quote,
    section,
    table,
)
from corpusforge.report.signals import signals
from corpusforge.report.survey import Effect, Survey, survey
from corpusforge.report.tally import Tally
from corpusforge.shard import read_batches

OPTIONAL = ("url", "decontaminate")  # stages that a run has only where its spec says so
ROWS = 30  # of a table of sources, languages, kinds
GROUPS = 10  # of copies


def sections(root: str, run: Manifest) -> list[Section]:
    """Return the sections of a clean run, from its ledger, signals and stored texts."""
    found = survey(root, run)
    found.draw.texts(root)
    effects = {**_in_use(run), **found.effects}
    ranked = sorted(effects.values(), key=lambda one: (-one.first, -one.any, one.rule))
    return [
        _funnel(run, found),
        _rules(run, found, ranked),
        _failures(found),
        _languages(found),
        _formats(root, run),
        signals(root, run, ranked),
        _copies(root, run, found),
        _sources(found),
        _samples(found, ranked),
        *timing.sections(root),
    ]


# -- counts --------------------------------------------------------------------------------------


def _funnel(run: Manifest, found: Survey) -> Section:
    counts = run.counts
    left, texts = counts["in"], (found.chars, found.bytes)
    sizes = [sum(tally.total()) for tally in texts]
    rows: list[list[Cell]] = [["records in", None, None, left, bar(left, counts["in"]), *sizes]]
    others = sorted(set(found.documents.counts) - {*STAGES, "kept"})
    for stage in (*STAGES, *others):
        if stage in OPTIONAL and stage not in found.documents.counts:
            continue
        _, dropped, failed = found.documents.counts.get(stage, [0, 0, 0])
        left -= dropped + failed
        gone = [sum(tally.counts.get(stage, [0])) for tally in texts]
        sizes = [size - out for size, out in zip(sizes, gone, strict=True)]
        rows.append([f"after {stage}", dropped, failed, left, bar(left, counts["in"]), *sizes])
    return section(
        "Funnel",
        facts(
            [
                *((f"records {name}", counts[name]) for name in ("in", *OUTCOMES)),
                ("share kept", percent(counts["kept"], counts["in"])),
                ("characters kept", found.chars.total()[0]),
                ("bytes kept", found.bytes.total()[0]),
            ]
        ),
        element("p", "Dropped is a decision, failed is a defect; each record is one of the three."),
        table(
            "What each stage took, and what it left",
            [
                *("Stage", "Dropped", "Failed", "Left", "Share of all records"),
                *("Characters left", "Bytes left"),
            ],
            rows,
        ),
    )


def _in_use(run: Manifest) -> dict[str, Effect]:
    """The rules of the run as they stand now, for those that the ledger does not name."""
    try:
        loaded = rules.load(run.spec["rules"])
    except SpecError:  # a rule file of the run is gone
        return {}
    return {
        rule.id: Effect(rule.id, rule.signal, rule.comparison, rule.threshold) for rule in loaded
    }


def _rules(run: Manifest, found: Survey, ranked: list[Effect]) -> Section:
    rows: list[list[Cell]] = [
        [
            effect.rule,
            effect.first,
            effect.any,
            effect.alone,
            bar(effect.any, run.counts["in"], "dropped"),
            _kept_when(effect),
        ]
        for effect in ranked
    ]
    return section(
        "Drops by rule",
        element(
            "p",
            "First: the rule decided before any other. Any: documents that fail it, whatever else"
            " they fail. Alone: documents that fail nothing else, which the rule alone keeps out.",
        ),
        table(
            "Dropped documents by rule",
            ["Rule", "First", "Any", "Alone", "Any, of all records", "Kept when"],
            rows,
        ),
        overlap(found.together),
        _attribution(run),
    )


def _attribution(run: Manifest) -> Html | None:
    """What would be kept more without a rule, of the rules that anything fails."""
    found = [row for row in run.facts.get("attribution", []) if row["failed"]["documents"]]
    rows: list[list[Cell]] = [
        [
            row["rule"],
            *(row[kind][what] for what in ("documents", "tokens") for kind in ("failed", "unique")),
            *((row["leave_one_out"] or {}).get(what) for what in ("documents", "tokens")),
        ]
        for row in sorted(
            found, key=lambda row: -(row["leave_one_out"] or row["unique"])["documents"]
        )
    ]
    head = ["Rule", "Fail it", "Only it", "Tokens that fail it", "Only it, tokens"]
    head += ["Kept more without it", "Tokens kept more"]
    caption = "What each rule does by itself, after deduplication"
    return table(caption, head, rows) if found else None


def _kept_when(effect: Effect) -> str:
    if effect.threshold is None:
        return "language in the list of the spec" if effect.comparison == "in" else ""
    return f"{effect.signal} {effect.comparison} {number(effect.threshold)}"


def _failures(found: Survey) -> Section:
    total = sum(found.failures.total())
    rows: list[list[Cell]] = [
        [cut(name, 200), n, percent(n, total)] for name, (n,) in found.failures.top(ROWS)
    ]
    return section(
        "Failures",
        table("Failed records by stage and kind", ["Kind", "Records", "Share"], rows),
        _rest(found.failures),
    )


def _languages(found: Survey) -> Section:
    return section(
        "Languages",
        _outcomes("Documents by detected language", "Language", found.languages),
        _rest(found.languages),
    )


def _formats(root: str, run: Manifest) -> Section:
    types, charsets = formats.tallies(root, run)
    return section(
        "Formats",
        _outcomes("Documents by media type of the answer", "Type", types),
        _rest(types),
        _outcomes("Documents by charset they were read in", "Charset", charsets),
        _rest(charsets),
    )


def _sources(found: Survey) -> Section:
    return section(
        "Sources",
        _outcomes("Largest inputs", "Source", found.sources),
        _rest(found.sources),
        _outcomes("Largest hosts", "Host", found.hosts),
        _rest(found.hosts),
    )


def _outcomes(caption: str, name: str, tally: Tally) -> Html:
    rows: list[list[Cell]] = [
        [cut(str(key), 200), kept, dropped, failed, bar(kept, kept + dropped + failed)]
        for key, (kept, dropped, failed) in tally.top(ROWS)
    ]
    return table(caption, [name, "Kept", "Dropped", "Failed", "Share kept"], rows)


def _rest(tally: Tally) -> Html | None:
    """Say what a table leaves out."""
    lines = []
    if len(tally.counts) > ROWS:
        lines.append(f"{number(len(tally.counts) - ROWS)} more are not shown.")
    if not tally.exact:
        lines.append("There were too many to count each; small ones were given up.")
    return element("p", " ".join(lines), class_="none") if lines else None


# -- copies --------------------------------------------------------------------------------------


def _copies(root: str, run: Manifest, found: Survey) -> Section:
    near, settings = found.near, run.spec["dedup"]
    edges = np.round(np.arange(0.0, 1.0001, 0.05), 2)
    bars = near.into(edges)
    rows: list[list[Cell]] = [["1, exact", found.exact]]
    for low, high, count in zip(edges[:-1], edges[1:], bars.other.tolist(), strict=True):
        if count or high > settings["similarity"]:
            rows.insert(1, [f"{low:.2f} to {high:.2f}, near", count])
    return section(
        "Copies",
        facts([("exact copies", found.exact), ("near copies", near.total)]),
        element(
            "p",
            f"Exact by {settings['exact']}; near by {settings['near']}, {settings['bands']} bands"
            f" of {settings['rows']} rows, dropped from similarity {settings['similarity']}.",
        ),
        table("Copies by similarity to their survivor", ["Similarity", "Documents"], rows),
        _similarity(found, settings) if near.total else None,
        table(
            "Groups by size", ["Documents in a group", "Groups", "Copies dropped"], _sizes(found)
        ),
        table(
            "Largest groups of copies",
            ["Survivor", "Id", "Copies dropped"],
            _groups(root, run, found.survivors),
        ),
        _rest(found.survivors) if not found.survivors.exact else None,
    )


def _similarity(found: Survey, settings: dict[str, Any]) -> Html | None:
    """Similarities found, and the chance that banding finds a pair: 1 - (1 - s^rows)^bands."""
    low = min(np.floor(found.near.low * 20) / 20, settings["similarity"], 0.95)
    bars = found.near.into(np.linspace(low, 1, 41))
    chance = 1 - (1 - bars.edges ** settings["rows"]) ** settings["bands"]
    plot = plots.similarities(bars, chance, "Near copies by similarity, and the chance to find one")
    if plot is None:
        return None
    return join(
        [
            plots.key(("dropped", "near copies"), ("kept", "chance that banding finds a pair")),
            element("div", plots.figure(plot, "Similarity of near copies"), class_="plots"),
        ]
    )


def _sizes(found: Survey) -> list[list[Cell]]:
    """Groups of copies by size, the survivor counted, in powers of two."""
    copies = np.array([n for (n,) in found.survivors.counts.values()], np.int64)
    bins = np.floor(np.log2(copies + 1)).astype(np.int64)
    rows: list[list[Cell]] = []
    for power in np.unique(bins).tolist():
        low, high = 1 << power, (2 << power) - 1
        mine = copies[bins == power]
        rows.append([f"{max(low, 2)} to {high}", len(mine), int(mine.sum())])
    return rows


def _groups(root: str, run: Manifest, survivors: Tally) -> list[list[Cell]]:
    top = survivors.top(GROUPS)
    names: dict[bytes, str] = {}
    wanted = pa.array([bytes(key) for key, _ in top], pa.binary(16))
    for shard in run.in_folder("ledger") if top else []:
        for batch in read_batches(root, shard.name, ["id", "url", "source_id", "source"]):
            rows = batch.filter(pc.is_in(batch.column("id"), value_set=wanted))
            names |= {row["id"]: _name(row) for row in rows.to_pylist()}
    return [[names.get(key, "elsewhere"), key.hex(), count] for key, (count,) in top]


# -- samples -------------------------------------------------------------------------------------


def _samples(found: Survey, ranked: list[Effect]) -> Section:
    drawn, counts = found.draw.drawn, found.draw.counts
    order = ["kept", *(effect.rule for effect in ranked)]
    names = [name for name in order if name in drawn]
    names += sorted(set(drawn) - set(names))
    return section(
        "Samples",
        element(
            "p",
            "A few by the rule that decided first, drawn by document id; texts are cut."
            " All that is known of one: forge explain RUN ID.",
        ),
        join(
            details(f"{name} ({number(counts[name])})", join(_sample(row) for row in drawn[name]))
            for name in names
        ),
    )


def _sample(row: dict[str, Any]) -> Html:
    why = [_reason(reason) for reason in (row["reasons"] or [])[:20]]
    if row["duplicate_of"] is not None:
        why.append(f"survivor {row['duplicate_of'].hex()}")
    if row["detail"]:
        why.append(row["detail"])
    about = [row["outcome"], f"id {row['id'].hex()}"]
    if row["language"]:
        about.append(f"language {row['language']} ({row['language_score']:.3f})")
    title = row["title"]
    return element(
        "div",
        element("p", breakable(_name(row)), class_="name"),
        element("p", " · ".join(about), class_="why"),
        join(element("p", cut(line), class_="why") for line in why),
        element("p", cut(title), dir="auto") if title else None,
        quote(row["text"]) if row["text"] else element("p", "No text is stored.", class_="why"),
        class_="sample",
    )


def _name(row: dict[str, Any]) -> str:
    return cut(row["url"] or row["source_id"] or f"{row['source']}, {row['id'].hex()}", CUT)


def _reason(reason: dict[str, Any]) -> str:
    line = str(reason["rule"])
    if reason["value"] is not None:
        line += f": {reason['signal']} = {number(reason['value'])}"
    if reason["threshold"] is not None:
        line += f", kept when {reason['comparison']} {number(reason['threshold'])}"
    return line
