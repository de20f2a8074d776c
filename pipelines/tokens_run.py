"""A whole tokenize run: texts, counts, tokenizer, token shards, manifest."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from corpusforge import manifest, readers
from corpusforge import spec as specs
from corpusforge.errors import AccountingError, InputError, RunError, UsageError
from corpusforge.kernels import digest
from corpusforge.plan import find_inputs, make_units
from corpusforge.run import RunFolder, progress
from corpusforge.shard import Shard, commit, committed, exists, file_sha256, join, shards_of
from corpusforge.spec import TokenizeSpec
from corpusforge.stages import key_of, warm
from corpusforge.stages import tokens as stages
from corpusforge.stages.tokens import Texts
from corpusforge.tokenizer import Tokenizer

from . import tokens as jobs
from .engine import Engine

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def texts_of(inputs: Sequence[str], spec: TokenizeSpec) -> tuple[list[Texts], list[dict[str, str]]]:
    """Return the units of text of clean runs or plain corpus files, and the runs they come from."""
    if not inputs:
        raise UsageError("no input", remedy="e.g. forge tokenize run/clean -o run/tok --algo bpe")
    units: list[Texts] = []
    parents: list[dict[str, str]] = []
    plain: list[str] = []
    for path in inputs:
        if exists(path, "manifest.json"):
            done = manifest.read(path, "clean")
            parents.append({"path": path, "content": done.content})
            for shard in done.in_folder("corpus"):
                name = f"part-{len(units):05d}"
                key = key_of(done.content, shard.sha256)
                units.append(Texts(name, shard.bytes, key, root=path, shard=shard.name))
        elif exists(path, "plan.json"):
            raise InputError(
                "this clean run is not finished", file=path, remedy="run its forge clean again"
            )
        else:
            plain.append(path)
    if plain:
        files = find_inputs(plain, readers.READABLE)
        for unit in make_units(files, [readers.sniff(f.path) for f in files], spec.plan):
            name = f"part-{len(units):05d}"
            units.append(Texts(name, unit.bytes, unit.fingerprint, unit=unit.to_json()))
    return units, parents


def tokenize(
    inputs: Sequence[str],
    output: str,
    spec: TokenizeSpec,
    engine: Engine,
    *,
    tokenizer: str | None,
    fresh: bool,
    quiet: bool,
) -> manifest.Manifest:
    """Run all stages in ``output``; see ``corpusforge.api.tokenize``."""
    units, parents = texts_of(inputs, spec)
    spec = spec.model_copy(update={"inputs": []})
    with RunFolder(output, "tokenize", spec, fresh=fresh) as run:
        key = key_of("tokenize", run.key, *[unit.fingerprint for unit in units])
        if exists(run.root, "manifest.json"):
            done = manifest.read(run.root, "tokenize")
            if done.facts["key"] == key:
                return done
            raise RunError(
                "this folder was made from other inputs",
                file=run.root,
                remedy="choose another -o, or --fresh to start anew",
            )
        return _stages(run, units, parents, spec, engine, key, tokenizer, quiet)


def _stages(
    run: RunFolder,
    units: list[Texts],
    parents: list[dict[str, str]],
    spec: TokenizeSpec,
    engine: Engine,
    key: str,
    given: str | None,
    quiet: bool,
) -> manifest.Manifest:
    root, size = run.root, sum(unit.bytes for unit in units)
    run.remove("report.html")
    record = committed(root, "tokenizer", "tokenizer", key)
    if record is None:
        shards: list[Shard] = []
        dropped = 0
        if given:
            made = Tokenizer.load(given)
        else:
            run.remove("counts", "commits/count", "commits/counted")
            warm.warm(lambda: warm.tokens(spec), quiet=quiet)
            with progress(root, "count", size, quiet=quiet):
                jobs.count(engine, root, units, spec, key)
            with progress(root, "train", 0, quiet=quiet):
                table, counted = stages.gather(root, spec.ranges, key)
                if table.num_rows == 0:
                    raise InputError(
                        "the input holds no text to train on",
                        file=", ".join(p["path"] for p in parents) or None,
                        remedy="see forge explain, or the ledger of the clean run",
                    )
                made = Tokenizer.train(table, spec)
            shards.append(counted)
            done = [committed(root, "counted", unit.name, key) for unit in units]
            dropped = sum(record["dropped"] for record in done if record)
        _save(made, root)
        for name in TOKENIZER_FILES:
            if exists(root, f"tokenizer/{name}"):
                length, sha256 = file_sha256(root, f"tokenizer/{name}")
                shards.append(Shard(f"tokenizer/{name}", 0, length, sha256))
        commit(root, "tokenizer", "tokenizer", key, shards, words_dropped=dropped)
        record = committed(root, "tokenizer", "tokenizer", key)
    if record is None:
        raise AccountingError("the tokenizer changed while it was written", file=root)
    made = Tokenizer.load(join(root, "tokenizer"))
    run.log("tokenizer", engine=made.engine, why=made.why)
    if made.why and not quiet:
        print(f"encode: by the {made.engine} engine, since {made.why}", file=sys.stderr)

    last = key_of(key, made.digest)
    keys = {unit.name: jobs.encode_key(last, unit) for unit in units}
    left = [unit for unit in units if not committed(root, "encode", unit.name, keys[unit.name])]
    if left:
        with progress(root, "encode", sum(unit.bytes for unit in left), quiet=quiet):
            jobs.encode(engine, root, left, spec, last)
    encoded = [committed(root, "encode", unit.name, keys[unit.name]) for unit in units]
    if any(record is None for record in encoded):
        raise RunError("a unit has no token shard", file=root, remedy="run again to go on")
    return _manifest(run, spec, key, made, record, [r for r in encoded if r], parents)


def _save(made: Tokenizer, root: str) -> None:
    """Save to a folder of its own, then give it its name."""
    import shutil

    folder = join(root, "tokenizer")
    temporary = join(root, f"tokenizer.tmp-{os.getpid()}")
    made.save(temporary)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(temporary, folder)  # noqa: PTH105 (run folders are strings)


def _manifest(
    run: RunFolder,
    spec: TokenizeSpec,
    key: str,
    made: Tokenizer,
    tokenizer: dict[str, Any],
    encoded: list[dict[str, Any]],
    parents: list[dict[str, str]],
) -> manifest.Manifest:
    total = {name: sum(r[name] for r in encoded) for name in ("documents", "tokens", "bytes")}
    shards = [shard for record in encoded for shard in shards_of(record, "tokens")]
    rows = [int(record["content"], 16) for record in encoded]
    content = digest.combine([*rows, int(made.digest, 16)])
    done = manifest.Manifest(
        kind="tokenize",
        content=digest.to_hex(content),
        counts={"in": total["documents"], "kept": total["documents"], "dropped": 0, "failed": 0},
        spec=spec.model_dump(mode="json"),
        spec_digest=specs.digest(spec),
        shards=(*shards, *[Shard(**shard) for shard in tokenizer["shards"]]),
        parent=parents[0] if parents else None,
        versions=manifest.versions(),
        facts={
            "key": key,
            "parents": parents,
            "tokens": total["tokens"],
            "bytes": total["bytes"],
            "words_dropped": tokenizer["words_dropped"],
            "tokenizer": {
                "vocab_size": made.vocab_size,
                "eot": made.eot,
                "digest": made.digest,
            },
        },
    )
    done.write(run.root)
    run.remove("progress", "counts", "commits/count", "commits/counted")
    return done
