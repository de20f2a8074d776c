"""A whole tokenize run: texts, counts, tokenizer, token shards, balance, manifest."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from corpusforge import __version__, ledger, manifest, parts, readers, storage, sweep, token_tally
from corpusforge import spec as specs
from corpusforge.errors import AccountingError, InputError, RunError, UsageError
from corpusforge.kernels import digest
from corpusforge.part_folder import PartFolder
from corpusforge.parts import Part
from corpusforge.run import RunFolder
from corpusforge.shard import Shard, commit, committed, exists, file_sha256, join, shards_of
from corpusforge.spec import TokenizeSpec
from corpusforge.stages import key_of, shares, warm
from corpusforge.stages import tokens as stages
from corpusforge.stages.tokens import Texts
from corpusforge.tokenizer import Tokenizer

from . import tokens as beam_jobs
from .engine import Engine


def texts_of(inputs: Sequence[str], spec: TokenizeSpec) -> tuple[list[Texts], list[dict[str, str]]]:
    """Return the units of text of clean runs or plain corpus files, and the runs they come from.

    Both are the same for any order of ``inputs``.
    """
    if not inputs:
        raise UsageError("no input", remedy="e.g. forge tokenize run/clean -o run/tok --algo bpe")
    runs: list[tuple[manifest.Manifest, str]] = []
    plain: list[str] = []
    for path in inputs:
        if exists(path, "manifest.json"):
            runs.append((manifest.read(path, "clean"), path))
        elif exists(path, "plan.json"):
            raise InputError(
                "this clean run is not finished", file=path, remedy="run its forge clean again"
            )
        else:
            plain.append(path)
    runs.sort(key=lambda run: run[0].content)
    for (before, one), (after, other) in pairwise(runs):
        if before.content == after.content:
            raise InputError(
                f"holds the same documents as {one}", file=other, remedy="give it once"
            )
    units: list[Texts] = []
    for done, path in runs:
        for shard in done.in_folder("corpus"):
            name, key = f"part-{len(units):05d}", key_of(done.content, shard.sha256)
            units.append(Texts(name, shard.bytes, key, path, shard.name, shard.rows))
    if plain:
        for unit in readers.units(plain, spec.plan):
            name = f"part-{len(units):05d}"
            units.append(Texts(name, unit.bytes, unit.fingerprint, unit=unit.to_json()))
    return units, [{"path": path, "content": done.content} for done, path in runs]


def tokenize(
    inputs: Sequence[str],
    output: str,
    spec: TokenizeSpec,
    engine: Engine | Part,
    *,
    tokenizer: str | None,
    fresh: bool,
    quiet: bool,
) -> manifest.Manifest:
    """Run all stages in ``output``; see ``corpusforge.api.tokenize``."""
    engine.check(output, inputs)
    sweep.check(spec)
    units, parents = texts_of(inputs, spec)
    given = Tokenizer.load(tokenizer) if tokenizer else None
    spec = spec.model_copy(update={"inputs": []})
    with _folder(output, spec, engine, fresh) as run:
        key = _key(run, units, given)
        run.agree(key)
        done = _finished(run, key, given)
        if done is None:
            run.remove("manifest.json", "report.html")
            record = _tokenizer(run, units, spec, engine, key, given, quiet)
            made = Tokenizer.load(join(run.root, "tokenizer"))
            encoded = _encode(run, units, spec, engine, key, made, quiet)
            facts = {
                "key": key,
                "parents": parents,
                "given": given and {"path": tokenizer, "digest": given.digest},
                "words_dropped": record["words_dropped"],
                "sweep": record["sweep"],
            }
            made_of = [Shard(**shard) for shard in record["shards"]]
            done = _manifest(run, spec, units, encoded, made, made_of, facts)
        if done.facts["first_lost"] and not quiet:
            n = done.counts
            print(
                f"{n['dropped']} dropped + {n['failed']} failed of {n['in']} records are not "
                f"encoded; the first is {done.facts['first_lost']}",
                file=sys.stderr,
            )
        return done


def _folder(output: str, spec: TokenizeSpec, engine: Engine | Part, fresh: bool) -> RunFolder:
    if isinstance(engine, Part) and engine.number is not None:
        return PartFolder(output, "tokenize", spec, engine)
    return RunFolder(output, "tokenize", spec, fresh=fresh, closing=isinstance(engine, Part))


def _key(run: RunFolder, units: Sequence[Texts], given: Tokenizer | None) -> str:
    """What the run depends on: spec, texts, the tokenizer if one is given, and our own code."""
    by = f"{given.digest} {given.eot}" if given else ""
    return key_of("tokenize", __version__, run.key, by, *sorted(u.fingerprint for u in units))


def _finished(run: RunFolder, key: str, given: Tokenizer | None) -> manifest.Manifest | None:
    """Return the manifest if the run is finished and whole; refuse what another run made."""
    if not exists(run.root, "manifest.json"):
        return None
    done = manifest.read(run.root, "tokenize")
    if done.facts["key"] == key:
        return None if manifest.whole(run.root, done) else done
    before = done.facts.get("given")
    if (before and before["digest"]) != (given and given.digest):
        what = f"with another tokenizer, {done.facts['tokenizer']['digest'][:12]}…"
    else:
        what = "from other inputs, or by another version of forge"
    raise RunError(
        f"this folder was made {what}",
        file=run.root,
        remedy="choose another -o, or --fresh to start anew",
    )


def _tokenizer(
    run: RunFolder,
    units: list[Texts],
    spec: TokenizeSpec,
    engine: Engine | Part,
    key: str,
    given: Tokenizer | None,
    quiet: bool,
) -> dict[str, Any]:
    """Return the commit of the tokenizer of the run: the given one, or one trained on its texts."""
    root = run.root
    if record := committed(root, "tokenizer", "tokenizer", key):
        return record
    if given is None:
        if not isinstance(engine, Part):  # only a part's counts are committed by unit
            run.remove("counts", "commits/count", "commits/counted")
        warm.warm(lambda: warm.tokens(spec), quiet=quiet)
        with run.stage("count", sum(unit.bytes for unit in units), len(units), quiet=quiet):
            jobs = shares if isinstance(engine, Part) else beam_jobs
            jobs.count(engine, root, units, spec, key)
    run.once(
        lambda: committed(root, "tokenizer", "tokenizer", key) is not None,
        lambda: _make(run, units, spec, key, given, quiet),
    )
    record = committed(root, "tokenizer", "tokenizer", key)
    if record is None:
        raise AccountingError("the tokenizer changed while it was written", file=root)
    return record


def _make(
    run: RunFolder,
    units: list[Texts],
    spec: TokenizeSpec,
    key: str,
    given: Tokenizer | None,
    quiet: bool,
) -> None:
    """Train the tokenizer on the counts, or take the given one; save and commit it."""
    root, shards, dropped = run.root, list[Shard](), 0
    sizes: list[dict[str, Any]] = []
    made = given
    if made is None:
        with run.stage("train", quiet=quiet):
            table, counted = stages.gather(root, spec, key)
            if table.num_rows == 0:
                raise InputError(
                    "the input holds no text to train on",
                    file=", ".join(unit.root for unit in units if unit.root) or None,
                    remedy="forge clean makes text of pages; see its ledger for what it dropped",
                )
            made = Tokenizer.train(table, spec)
            sizes = _sweep_sizes(root, made, table, spec)
        if made.vocab_size < spec.vocab_size and not quiet:
            print(
                f"the text gives {made.vocab_size} tokens, fewer than vocab_size = "
                f"{spec.vocab_size}: nothing else stands in it {spec.min_frequency} times",
                file=sys.stderr,
            )
        shards.append(counted)
        dropped = sum(r["dropped"] for r in _records(root, "counted", units, [key] * len(units)))
    _save(made, root)
    names = [f"tokenizer/{name}" for name in made.files]
    names += [f"sweep/{size['vocab_size']}/tokenizer.json" for size in sizes[:-1]]
    for name in names:
        length, sha256 = file_sha256(root, name)
        shards.append(Shard(name, 0, length, sha256))
    commit(root, "tokenizer", "tokenizer", key, shards, words_dropped=dropped, sweep=sizes)


def _sweep_sizes(
    root: str, made: Tokenizer, table: Any, spec: TokenizeSpec
) -> list[dict[str, Any]]:
    """Cut and save the smaller tokenizers of a sweep; what each size costs, ``made`` last."""
    if not spec.sweep:
        return []
    found = []
    for size in sorted({size for size in spec.sweep if size < made.vocab_size}):
        smaller = sweep.cut(made, size)
        smaller.save(join(root, f"sweep/{size}"))
        found.append(sweep.measure(smaller, table))
    return [*found, sweep.measure(made, table)]


def _save(made: Tokenizer, root: str) -> None:
    """Save file by file; the commit record that follows says that all are there."""
    storage.remove(join(root, "tokenizer"))
    made.save(join(root, "tokenizer"))


def _encode(
    run: RunFolder,
    units: list[Texts],
    spec: TokenizeSpec,
    engine: Engine | Part,
    key: str,
    made: Tokenizer,
    quiet: bool,
) -> list[dict[str, Any]]:
    """Encode what is not encoded yet; returns the commits of all units."""
    root = run.root
    made.use(spec.engine)
    why = made.why if spec.engine == "own" else "the spec asks for it"
    run.log("tokenizer", engine=made.engine, why=why)
    if made.engine != "own" and not quiet:
        print(f"encode: by the {made.engine} engine, since {why}", file=sys.stderr)
    last = key_of(key, made.digest)
    keys = [stages.encode_key(last, unit) for unit in units]
    pairs = zip(units, keys, strict=True)
    if left := [unit for unit, own in pairs if not committed(root, "encode", unit.name, own)]:
        warm.warm(lambda: warm.encode(made), quiet=quiet)
        stages.check_engine(left[0], spec, made)
        with run.stage("encode", sum(unit.bytes for unit in left), len(left), quiet=quiet):
            jobs = shares if isinstance(engine, Part) else beam_jobs
            jobs.encode(engine, root, left, spec, last)
    if isinstance(engine, Part):
        engine.finished()
    return _records(root, "encode", units, keys)


def _records(
    root: str, stage: str, units: Sequence[Texts], keys: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the commits of all units of a stage; a missing one is refused."""
    found = [committed(root, stage, u.name, key) for u, key in zip(units, keys, strict=True)]
    if lost := [unit.name for unit, record in zip(units, found, strict=True) if record is None]:
        raise RunError(
            f"unit {lost[0]} of stage {stage} has no output", file=root, remedy="run again to go on"
        )
    return [record for record in found if record is not None]


def _manifest(
    run: RunFolder,
    spec: TokenizeSpec,
    units: Sequence[Texts],
    encoded: Sequence[dict[str, Any]],
    made: Tokenizer,
    made_of: Sequence[Shard],
    facts: dict[str, Any],
) -> manifest.Manifest:
    """Check that every record is accounted for, and write the manifest."""
    shards = [shard for record in encoded for shard in shards_of(record, "tokens")]
    counts = ledger.add([record["counts"] for record in encoded])
    pairs = zip(units, encoded, strict=True)
    read = sum(r["counts"]["in"] if unit.rows is None else unit.rows for unit, r in pairs)
    ledger.balance(read, {**counts, "kept": sum(shard.rows for shard in shards)})
    content = digest.combine([*(int(r["content"], 16) for r in encoded), int(made.digest, 16)])
    done = manifest.Manifest(
        kind="tokenize",
        content=digest.to_hex(content),
        counts=counts,
        spec=spec.model_dump(mode="json"),
        spec_digest=specs.digest(spec),
        shards=(*shards, *made_of),
        parent=facts["parents"][0] if facts["parents"] else None,
        versions=manifest.versions(),
        facts={
            **facts,
            "tokens": sum(record["tokens"] for record in encoded),
            "bytes": sum(record["bytes"] for record in encoded),
            **token_tally.total(list(encoded)),
            "first_lost": next((r["first_lost"] for r in encoded if r["first_lost"]), None),
            "tokenizer": {
                "vocab_size": made.vocab_size,
                "eot": made.eot,
                "digest": made.digest,
            },
        },
    )
    _sweep(run, shards)
    done.write(run.root)
    run.remove(
        "progress",
        "work",
        "counts",
        "commits/count",
        "commits/counted",
        "commits/packed",
        *parts.traces(run.root),
    )
    return done


def _sweep(run: RunFolder, shards: Sequence[Shard]) -> None:
    """Remove the token shards of a run that was stopped and went on with something else."""
    named = {join(run.path, shard.name) for shard in shards}
    for path in run.fs.find(join(run.path, "tokens")):
        if path not in named:
            run.fs.rm_file(path)
