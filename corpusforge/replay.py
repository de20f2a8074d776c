"""Replay: what a finished clean run would have kept with other settings, from what it stored.

Signals, languages and signatures of every document lie in the run; rules, languages and the
threshold of deduplication are judged anew from them, by the same steps as in the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge import attribution, copies, manifest
from corpusforge import spec as specs
from corpusforge.errors import RunError, SpecError, UsageError
from corpusforge.explain import plain, reason_line
from corpusforge.ledger import first_rule
from corpusforge.manifest import Manifest
from corpusforge.rules import EditRule, Rule
from corpusforge.schema import LEDGER
from corpusforge.shard import read_batches
from corpusforge.spec import CleanSpec
from corpusforge.stages import again
from corpusforge.stages.recipe import check_languages, choose
from corpusforge.storage import file_system
from corpusforge.transforms.mark import Mark

# Keys that verdicts from stored columns depend on, and those of how results are written.
KEYS = (
    *("rules.", "language.keep", "language.min_score", "decontaminate.action"),
    *("dedup.similarity", "dedup.exact", "dedup.near"),
    "output.",
)
# Why the others cannot be replayed, by how they begin.
SETTLED = {
    "inputs": "it says what is read",
    "plan.": "units and batches are cut when inputs are read",
    "read.": "it says what is read of a record, and its text is stored as it was read",
    "url.": "pages on a list were dropped unread, and no URL was looked up that is on another",
    "extract.": "texts are stored as they were extracted",
    "language.detect": "languages were identified of the texts, or not",
    "signals.measure": "signals were measured of the texts, or not",
    "signals.splitter": "signals were stored of the words as they were split",
    "signals.families": "only the signals that the run measured are stored",
    "quality.": "no score of another model is stored",
    "transforms.": "the columns of own Python were stored as it gave them",
    "decontaminate.": "texts were not compared with other items, or by other n-grams",
    "dedup.": "signatures were stored with the bands, rows, n-grams and seed of the run",
    "pii.": "texts are stored as they were masked",
}
NAMED = ("id", "source", "offset", "ordinal", "source_id", "url")
VERDICT = ("outcome", "stage", "reasons", "duplicate_of", "similarity")
BEFORE = [again.BEFORE + name for name in VERDICT]


@dataclass
class Tally:
    """Documents by stage and outcome, and by the rule that decided first."""

    counts: dict[str, int] = field(default_factory=lambda: {"in": 0})
    stages: dict[str, int] = field(default_factory=dict)  # not kept, by where it was decided
    rules: dict[str, int] = field(default_factory=dict)

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the rows of a batch that has the columns of VERDICT."""
        self.counts["in"] += batch.num_rows
        first = first_rule(batch.column("reasons")).drop_null()
        stages = batch.column("stage").drop_null()
        for tally, values in (
            (self.counts, batch.column("outcome")),
            (self.stages, stages),
            (self.rules, first),
        ):
            for entry in pc.value_counts(values).to_pylist():
                tally[entry["values"]] = tally.get(entry["values"], 0) + entry["counts"]


@dataclass(frozen=True)
class Replay:
    """A replayed run: tallies before and after, the rules' attribution after, and what changes.

    ``changes`` has a row a document that changes sides: NAMED, and VERDICT with the prefixes
    ``before_`` and ``after_``. ``other`` counts those that stay dropped for another first reason.
    """

    settings: tuple[str, ...]  # ``key (old -> new)``
    before: Tally
    after: Tally
    attribution: list[dict[str, Any]]
    changes: pa.Table
    other: int

    def to_json(self) -> dict[str, Any]:
        """Return all of it but the documents."""
        return {
            "settings": list(self.settings),
            **{
                name: {"counts": tally.counts, "stages": tally.stages, "rules": tally.rules}
                for name, tally in (("before", self.before), ("after", self.after))
            },
            "attribution": self.attribution,
            "changed_sides": len(self.changes),
            "changed_reason": self.other,
        }

    def documents(self) -> Iterator[dict[str, Any]]:
        """Yield every document that changes sides, as JSON values."""
        for batch in self.changes.to_batches():
            for row in batch.to_pylist():
                verdicts = {
                    side: plain({name: row[f"{side}_{name}"] for name in VERDICT})
                    for side in ("before", "after")
                }
                yield {**plain({name: row[name] for name in NAMED}), **verdicts}


def check_output(root: str, run: Manifest, output: str) -> None:
    """Refuse an output folder that cannot be written from the run in ``root``."""
    if not run.spec["output"]["keep_dropped"]:
        raise RunError(
            "this run did not store the texts of dropped documents, so no run can be made of it",
            file=root,
            expected="output.keep_dropped = true",
            remedy="forge clean its inputs again, or replay without -o",
        )
    if file_system(output)[1].rstrip("/") == file_system(root)[1].rstrip("/"):
        raise UsageError(f"-o {output} is the run itself", remedy="choose another -o")


def check(root: str, run: Manifest, spec: CleanSpec) -> tuple[str, ...]:
    """Return what ``spec`` changes, as ``key (old -> new)``.

    Raises SpecError for the first change that stored columns cannot answer.
    """
    if against := run.facts.get("dedup", {}).get("against"):
        names = ", ".join(one["name"] for one in against)
        raise _again(f"a run against {names}", "which copies go depends on documents elsewhere")
    old = specs.parse(CleanSpec, run.spec)
    if old.dedup.paragraphs:
        raise _again("a run with dedup.paragraphs", "its texts were cut after deduplication")
    changed = tuple(specs.differences(old.model_dump(mode="json"), spec.model_dump(mode="json")))
    for change in changed:
        key = change.partition(" (")[0]
        if not key.startswith(KEYS):
            why = next(why for name, why in SETTLED.items() if key.startswith(name))
            raise _again(key, why)
        if key == "dedup.exact" and spec.dedup.exact != "none":
            raise _again(f"{key} = {spec.dedup.exact}", "its keys were not stored")
    check_languages(spec)
    before, after = ([(s.prefix, s.edits) for s in choose(c).scopes] for c in (old, spec))
    if before[1:] != after[1:]:
        key = next((c.partition(" (")[0] for c in changed if c.startswith("rules.")), "rules")
        raise _again(key, "it edits texts, which are stored and were measured as the run left them")
    for unit in again.units_of(root):
        stored = again.columns(root, unit.name).names
        for rule in choose(spec).rules:
            if rule.signal not in stored:
                raise _again(rule.id, f"the run did not store its signal '{rule.signal}'")
        for batch in read_batches(root, f"ledger/{unit.name}.parquet", ["stage"]):
            for stage in pc.unique(batch.column("stage").drop_null()).to_pylist():
                if stage not in (*again.DECIDED_BEFORE, *again.DECIDED_ANEW):
                    raise _again(f"stage {stage}", "its verdicts depend on those of rules")
    limits = [_thresholds(old), _thresholds(spec)]
    return tuple(_with_thresholds(change, *limits) for change in changed)


def _thresholds(spec: CleanSpec) -> dict[str, float]:
    chosen = choose(spec)
    every: tuple[Rule | EditRule, ...] = (*chosen.edits, *chosen.rules)
    return {f"rules.{rule.id}": rule.threshold for rule in every if rule.threshold is not None}


def _with_thresholds(change: str, old: dict[str, float], new: dict[str, float]) -> str:
    """Name the threshold of a rule that one of the specs does not give, and so is the shipped."""
    key = change.partition(" (")[0]
    return f"{key} ({old[key]:g} -> {new[key]:g})" if key in old and key in new else change


def _again(what: str, why: str) -> SpecError:
    return SpecError(
        f"{what} cannot be replayed: {why}",
        expected="keys of rules, language, dedup.similarity, dedup.near or dedup.exact",
        remedy="the first stage to run again is documents: forge clean INPUT --set ... -o NEWRUN",
    )


def replay(root: str, spec: CleanSpec) -> Replay:
    """Judge and deduplicate the documents of a clean run by ``spec``; writes nothing."""
    run = manifest.read(root, "clean")
    settings = check(root, run, spec)
    names = [unit.name for unit in again.units_of(root)]
    found = attribution.empty(spec)
    judged: dict[str, list[pa.RecordBatch]] = {name: [] for name in names}
    old = specs.parse(CleanSpec, run.spec)
    known = (
        attribution.known_rules(spec, old) if run.versions == manifest.versions() else frozenset()
    )
    for name, batch in attribution.judged(root, names, spec, known, VERDICT):
        found.add(batch)
        judged[name].append(batch.select(["id", *VERDICT[:3], *BEFORE]))
    removed = copies.removed(found.candidates(), spec.dedup)
    mark = Mark(removed, spec.dedup.similarity)
    before, after = Tally(), Tally()
    changes, other = [_changes_schema().empty_table()], 0
    for name, batches in judged.items():
        sides = []
        for batch in batches:
            was = batch.select(BEFORE).rename_columns(VERDICT)
            now = mark(batch.select(["id", *VERDICT[:3]]))
            before.add(was)
            after.add(now)
            sides.append(_sides_of(was, now))
            other += _other_reason(was, now)
        if any(map(len, sides)):
            changes += _named(root, name, sides)
    return Replay(
        settings,
        before,
        after,
        found.finish(removed, spec.dedup),
        pa.concat_tables(changes),
        other,
    )


def _changes_schema() -> pa.Schema:
    verdicts = [LEDGER.field(name) for name in VERDICT]
    fields = [LEDGER.field(name) for name in NAMED]
    for side in ("before", "after"):
        fields += [f.with_name(f"{side}_{f.name}") for f in verdicts]
    return pa.schema(fields)


def _sides_of(was: pa.RecordBatch, now: pa.RecordBatch) -> pa.Table:
    """Return VERDICT before and after of the rows that change sides, and ``row``, their place."""
    rows = pa.array(np.flatnonzero(pc.not_equal(was.column("outcome"), now.column("outcome"))))
    columns = [batch.column(name).take(rows) for batch in (was, now) for name in VERDICT]
    return pa.table([rows, *columns], names=["row", *_changes_schema().names[len(NAMED) :]])


def _named(root: str, unit: str, sides: list[pa.Table]) -> Iterator[pa.Table]:
    """Yield the rows of ``sides``, a table a batch of the unit's ledger, as changes."""
    named = read_batches(root, f"ledger/{unit}.parquet", NAMED)
    for batch, side in zip(named, sides, strict=True):
        columns = [batch.column(name).take(side["row"].combine_chunks()) for name in NAMED]
        table = pa.table([*columns, *side.columns[1:]], names=_changes_schema().names)
        yield table.cast(_changes_schema())


def _other_reason(was: pa.RecordBatch, now: pa.RecordBatch) -> int:
    """Count the documents that are dropped before and after, for another first reason."""
    rules = [pc.fill_null(first_rule(batch.column("reasons")), "") for batch in (was, now)]
    same = pc.equal(was.column("outcome"), now.column("outcome"))
    return int(pc.sum(pc.and_(same, pc.not_equal(*rules))).as_py() or 0)


# -- text ----------------------------------------------------------------------------------------

STAGES = (*again.DECIDED_BEFORE, *again.DECIDED_ANEW)


def describe(found: Replay, limit: int) -> str:
    """Return the replay as text, with at most ``limit`` of the documents that change sides."""
    before, after = found.before, found.after
    lines = [f"set {change}" for change in found.settings]
    width = max(30, *(len(name) for name in (*before.rules, *after.rules)))
    lines += ["", f"{'':{width}} {'before':>10} {'after':>10} {'change':>10}"]

    def line(name: str, old: int, new: int) -> str:
        change = f"{new - old:+,}" if new != old else ""
        return f"{name:{width}} {old:>10,} {new:>10,} {change:>10}".rstrip()

    lines.append(line("records", before.counts["in"], after.counts["in"]))
    others = sorted({*before.stages, *after.stages} - {*STAGES})
    for stage in (*STAGES, *others):
        if stage in before.stages or stage in after.stages:
            n = before.stages.get(stage, 0), after.stages.get(stage, 0)
            lines.append(line(f"not kept at {stage}", *n))
    lines.append(line("kept", before.counts.get("kept", 0), after.counts.get("kept", 0)))
    lines += ["", "first reason"]
    ranked = sorted({*before.rules, *after.rules}, key=lambda n: (-before.rules.get(n, 0), n))
    lines += [line(name, before.rules.get(name, 0), after.rules.get(name, 0)) for name in ranked]
    lines += ["", *_attribution(found.attribution, width), "", *_sides(found, limit)]
    return "\n".join(lines)


def _attribution(rows: list[dict[str, Any]], width: int) -> list[str]:
    head = ("fail it", "only it", "kept more without it", "tokens")
    lines = [f"{'by rule, in any order':{width}} " + " ".join(f"{name:>10}" for name in head)]
    for row in sorted(rows, key=lambda row: (-row["failed"]["documents"], row["rule"])):
        if row["failed"]["documents"]:
            loo = row["leave_one_out"]
            values = (row["failed"]["documents"], row["unique"]["documents"], loo["documents"])
            cells = [f"{value:>{max(10, len(n))},}" for value, n in zip(values, head, strict=False)]
            lines.append(f"{row['rule']:{width}} {' '.join(cells)} {loo['tokens']:>10,}")
    return lines


def _sides(found: Replay, limit: int) -> list[str]:
    total = len(found.changes)
    kept = int(pc.sum(pc.equal(found.changes.column("after_outcome"), "kept")).as_py() or 0)
    lines = [
        f"{total:,} documents change sides: {kept:,} are kept now, {total - kept:,} dropped;"
        f" {found.other:,} stay dropped for another first reason"
    ]
    shown = found.changes.slice(0, limit).to_pylist()
    for row in shown:
        sign, side = ("+", "before") if row["after_outcome"] == "kept" else ("-", "after")
        name = row["url"] or row["source_id"] or row["id"].hex()
        reasons = row[f"{side}_reasons"]
        lines.append(f"{sign} {name}")
        lines += [f"    {reason_line(reason)}" for reason in reasons or []]
    if total > len(shown):
        lines.append(f"... {total - len(shown):,} more: --limit N, --changes FILE.jsonl or --json")
    return lines
