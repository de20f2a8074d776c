"""A whole clean run: plan, stages, balance, manifest. What is committed is not done again."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from corpusforge import attribution, dedup_index, dedup_plan, ledger, manifest, parts, readers
from corpusforge import spec as specs
from corpusforge.dedup_index import Earlier, Index
from corpusforge.errors import AccountingError, RunError, UsageError
from corpusforge.kernels import digest
from corpusforge.part_folder import PartFolder
from corpusforge.parts import Part
from corpusforge.plan import Unit, estimate
from corpusforge.run import RunFolder
from corpusforge.shard import Shard, committed, read_json, shards_of, write_json
from corpusforge.spec import CleanSpec
from corpusforge.stages import again, key_of, recipe, shares, warm
from corpusforge.stages import dedup as dedups

from . import clean as beam_jobs
from .engine import Engine


def plan(inputs: Sequence[str], spec: CleanSpec) -> list[Unit]:
    """Find and sniff the inputs, and cut them into units."""
    if not inputs:
        raise UsageError("no input", remedy="e.g. forge clean pages.warc.gz -o run/clean")
    return readers.units(inputs, spec.plan)


def prepared(
    inputs: Sequence[str], spec: CleanSpec, against: Sequence[str]
) -> tuple[list[Unit], list[Earlier]]:
    """Check all that a run is made of before anything is done; returns units, earlier corpora."""
    recipe.check_spec(spec)  # a wrong name is told before anything is read
    earlier = dedup_index.find(against, spec.dedup)
    units = plan(inputs, spec)
    recipe.check_protected(spec, units)
    return units, earlier


def clean(
    inputs: Sequence[str],
    output: str,
    spec: CleanSpec,
    engine: Engine | Part,
    *,
    fresh: bool,
    quiet: bool,
    max_failed_share: float | None,
    against: Sequence[str] = (),
) -> manifest.Manifest:
    """Run all stages in ``output``; see ``corpusforge.api.clean``."""
    engine.check(output, inputs)
    units, earlier = prepared(inputs, spec, against)
    spec = spec.model_copy(update={"inputs": []})  # paths are not part of what a run is
    with _folder(output, spec, engine, fresh) as run:
        with run.alone():
            _match_plan(run, units, earlier)
        run.agree(_key(units, spec, None, earlier))
        done = _finished(run, units, spec, earlier=earlier)
        if done is None:
            done = _stages(run, units, spec, engine, quiet, earlier=earlier)
        _check_failed(done, max_failed_share)
        return done


def _folder(output: str, spec: CleanSpec, engine: Engine | Part, fresh: bool) -> RunFolder:
    if isinstance(engine, Part) and engine.number is not None:
        return PartFolder(output, "clean", spec, engine)
    return RunFolder(output, "clean", spec, fresh=fresh, closing=isinstance(engine, Part))


def _match_plan(run: RunFolder, units: Sequence[Unit], earlier: Sequence[Earlier] = ()) -> None:
    """Refuse a folder that was made from other inputs; write the plan of a new one."""
    against = [{"name": one.name, "content": one.content} for one in earlier]

    def ranges(values: Sequence[dict[str, Any]]) -> set[tuple[str, int, int]]:
        return {(p["source"], p["start"], p["end"]) for u in values for p in u["pieces"]}

    new = [unit.to_json() for unit in units]
    old = read_json(run.file("plan.json"))
    if old is not None and ranges(old["units"]) != ranges(new):
        more = sorted(ranges(new) - ranges(old["units"]))
        less = sorted(ranges(old["units"]) - ranges(new))
        facts = [f"added {more[0][0]}"] if more else []
        facts += [f"missing or changed {less[0][0]}"] if less else []
        raise RunError(
            f"this folder was made from other inputs: {', '.join(facts)}",
            file=run.root,
            remedy="choose another -o, the old inputs, or --fresh to start anew",
        )
    if old is not None and old.get("against", []) != against:
        before = ", ".join(one["name"] for one in old.get("against", [])) or "nothing"
        raise RunError(
            f"this folder was made against {before}",
            file=run.root,
            expected=f"now {', '.join(one.name for one in earlier) or 'nothing'}",
            remedy="choose another -o, the same --against, or --fresh to start anew",
        )
    write_json(run.file("plan.json"), {"units": new, "against": against})


def replay(
    source: str, output: str, spec: CleanSpec, engine: Engine, *, fresh: bool, quiet: bool
) -> manifest.Manifest:
    """Write the run that ``spec`` gives from what the clean run in ``source`` stored.

    The documents stage takes texts and signals from there; all later stages are those of ``clean``.
    """
    old = manifest.read(source, "clean")
    old_spec = specs.parse(CleanSpec, old.spec)
    units = again.units_of(source)
    with RunFolder(output, "clean", spec, fresh=fresh) as run:
        _match_plan(run, units)
        done = _finished(run, units, spec, old.versions)
        if done is None:
            with run.stage("documents", 0, len(units), quiet=quiet):
                for unit in units:
                    again.documents(source, run.root, unit, spec, old_spec, old.versions)
            done = _stages(run, units, spec, engine, quiet, old, source)
        return done


def _key(
    units: Sequence[Unit],
    spec: CleanSpec,
    made: Mapping[str, str] | None,
    earlier: Sequence[Earlier],
) -> str:
    """What the run depends on: files, spec, rules, models, earlier corpora."""
    against = [f"{one.name} {one.content}" for one in earlier]
    return key_of(*[recipe.documents_key(spec, unit, made) for unit in units], *against)


def _finished(
    run: RunFolder,
    units: Sequence[Unit],
    spec: CleanSpec,
    made: Mapping[str, str] | None = None,
    earlier: Sequence[Earlier] = (),
) -> manifest.Manifest | None:
    """Return the manifest if the run is finished and its inputs are unchanged."""
    if read_json(run.file("manifest.json")) is None:
        return None
    done = manifest.read(run.root, "clean")
    if done.facts["inputs"] != _key(units, spec, made, earlier):
        run.remove("manifest.json")
        return None
    if lost := manifest.whole(run.root, done):
        raise AccountingError(
            "a shard is missing or has another length",
            file=run.file(lost[0]),
            remedy="run again with --fresh",
        )
    run.remove("work", "progress")
    return done


def _stages(
    run: RunFolder,
    units: Sequence[Unit],
    spec: CleanSpec,
    engine: Engine | Part,
    quiet: bool,
    old: manifest.Manifest | None = None,
    source: str = "",
    earlier: Sequence[Earlier] = (),
) -> manifest.Manifest:
    """Do what is left of the stages; ``old`` is the run in ``source`` that documents come from."""
    made = old.versions if old else None
    jobs: Any = shares if isinstance(engine, Part) else beam_jobs
    root, size = run.root, sum(unit.bytes for unit in units)
    run.remove("report.html")
    if not quiet:
        print(estimate(units, engine.workers, spec.plan), file=sys.stderr)
        print(dedup_plan.describe(spec, expected(spec, units, earlier)), file=sys.stderr)
        if found := recipe.evaluated(spec):
            print(*found.warnings, sep="\n", file=sys.stderr)
    warm.warm(lambda: warm.clean(spec), quiet=quiet)

    keys = {unit.name: recipe.documents_key(spec, unit, made) for unit in units}
    left = [unit for unit in units if not committed(root, "documents", unit.name, keys[unit.name])]
    if left:
        with run.stage("documents", sum(u.bytes for u in left), len(left), quiet=quiet):
            jobs.documents(engine, root, left, spec)
    read = [_record(root, "documents", unit.name, keys[unit.name]) for unit in units]

    names = [unit.name for unit in units]
    signals = [shard for record in read for shard in shards_of(record, "signals")]
    facts = _dedup(run, names, signals, spec, engine, quiet, size, earlier)
    removed = shards_of(facts, "dedup")

    last = {unit.name: key_of("settle", keys[unit.name], facts["key"]) for unit in units}
    undone = [name for name in names if not committed(root, "settle", name, last[name])]
    if undone:
        work = [(n, last[n], facts["units"][n], facts["numbers"][n]) for n in undone]
        with run.stage("settle", 0, len(undone), quiet=quiet):
            jobs.settle(engine, root, work, spec, size)
    settled = [_record(root, "settle", name, last[name]) for name in names]

    if isinstance(engine, Part):
        engine.finished()
    removals = _removals(facts, settled, earlier)
    for line in removals["warnings"] if not quiet else ():
        print(line, file=sys.stderr)
    counts = ledger.add([record["counts"] for record in settled])
    ledger.balance(sum(record["rows"] for record in read), counts)
    with run.stage("attribution", quiet=quiet):
        rules = attribution.of_run(root, names, spec)
    folders = ("corpus", "dropped", "ledger")
    shards = [s for folder in folders for record in settled for s in shards_of(record, folder)]
    done = manifest.Manifest(
        kind="clean",
        content=digest.to_hex(digest.combine([int(r["content"], 16) for r in settled])),
        counts=counts,
        spec=spec.model_dump(mode="json"),
        spec_digest=specs.digest(spec),
        shards=(*shards, *signals, *removed),
        parent={"path": source, "content": old.content} if old else None,
        versions=dict(made or manifest.versions()),
        facts={
            "inputs": _key(units, spec, made, earlier),
            "dedup": removals,
            "attribution": rules,
            **recipe.facts(spec),
        },
    )
    done.write(root)
    run.remove("work", "progress", "commits/packed", *parts.traces(root))
    return done


def expected(spec: CleanSpec, units: Sequence[Unit], earlier: Sequence[Earlier]) -> dict[str, Any]:
    """What deduplication will find and take."""
    count = dedup_plan.documents(units)
    return dedup_plan.expected(spec, count, sum(one.documents for one in earlier))


def _removals(
    facts: Mapping[str, Any], settled: Sequence[Mapping[str, Any]], earlier: Sequence[Earlier]
) -> dict[str, Any]:
    """What the manifest says of deduplication: by source, with warnings, and its largest bucket."""
    sources = ledger.shares([record["sources"] for record in settled])
    return {
        "against": [{"name": e.name, "path": e.path, "content": e.content} for e in earlier],
        "sources": sources,
        "warnings": ledger.warnings(sources),
        "largest_bucket": facts["largest_bucket"],
    }


def _dedup(
    run: RunFolder,
    names: Sequence[str],
    signals: Sequence[Shard],
    spec: CleanSpec,
    engine: Engine | Part,
    quiet: bool,
    size: int,
    earlier: Sequence[Earlier],
) -> dict[str, Any]:
    """Deduplicate the documents of all units; returns the commit record of what was removed."""
    root, jobs = run.root, shares if isinstance(engine, Part) else beam_jobs
    against = [f"{one.name} {one.content}" for one in earlier]
    key = key_of("dedup", run.key, *[shard.sha256 for shard in signals], *against)
    last = "cut" if spec.dedup.paragraphs else "removed"

    def done(name: str) -> bool:
        return committed(root, "dedup", name, key) is not None

    def opened() -> list[Index]:
        return dedup_index.open_all(earlier, spec.dedup, run.file("work/earlier"))

    def lay() -> None:
        rows = [(name, shard.rows) for name, shard in zip(names, signals, strict=True)]
        dedups.write_layout(root, dedups.layout(rows, opened(), spec, key))

    if not (done("removed") and done(last)):
        run.once(lambda: dedups.has_layout(root, key), lay)
        plan = dedups.read_layout(root, key)
        if spec.dedup.exact != "none":
            with run.stage("exact", quiet=quiet):
                jobs.dedup(engine, root, "exact", names, spec, key, size)
                run.once(lambda: done("copies"), lambda: dedups.gather_copies(root, plan))
        if spec.dedup.near != "none":
            with run.stage("near", quiet=quiet):
                jobs.dedup(engine, root, "near", names, spec, key, size)
        with run.stage("resolve", quiet=quiet):
            run.once(
                lambda: done("removed"), lambda: dedups.decide(root, spec.dedup, plan, opened())
            )
        if spec.dedup.paragraphs:
            with run.stage("cut", quiet=quiet):
                jobs.dedup(engine, root, "paragraphs", names, spec, key, size)
                run.once(lambda: done("cut"), lambda: dedups.gather_paragraphs(root, plan))
    return _record(root, "dedup", "removed", key)


def _record(root: str, stage: str, unit: str, key: str) -> dict[str, Any]:
    record = committed(root, stage, unit, key)
    if record is None:
        raise RunError(
            f"unit {unit} of stage {stage} has no output", file=root, remedy="run again to go on"
        )
    return record


def _check_failed(done: manifest.Manifest, limit: float | None) -> None:
    share = done.counts["failed"] / max(done.counts["in"], 1)
    if limit is not None and share > limit:
        raise AccountingError(
            f"{done.counts['failed']} of {done.counts['in']} records failed ({share:.1%})",
            expected=f"at most {limit:.1%}",
            remedy="see the ledger for the errors, or raise --max-failed-share",
        )
