"""Verify: checksums, the accounting identity and the content digest of a finished run."""

from __future__ import annotations

from typing import Any

from corpusforge import ledger, manifest, trials
from corpusforge.errors import AccountingError
from corpusforge.kernels import digest
from corpusforge.manifest import Manifest
from corpusforge.schema import corpus_schema
from corpusforge.shard import file_sha256, read_batches


def verify(root: str) -> dict[str, Any]:
    """Check every file of a run, then recompute its counts and content digest.

    Raises AccountingError (exit code 4) for the first thing that is off.
    """
    run = manifest.read(root, *CONTENT)
    for shard in run.shards:
        size, sha256 = file_sha256(root, shard.name)
        if size < 0:
            raise AccountingError("the file is missing", file=f"{root}/{shard.name}", remedy=REDO)
        if (size, sha256) != (shard.bytes, shard.sha256):
            raise AccountingError(
                f"sha256 {sha256[:12]}… of {size} bytes",
                file=f"{root}/{shard.name}",
                expected=f"{shard.sha256[:12]}… of {shard.bytes} bytes",
                remedy=REDO,
            )
    if run.files != run.recorded_files:
        raise AccountingError(
            f"files digest {run.files[:12]}…", file=root, expected=run.recorded_files, remedy=REDO
        )
    content = CONTENT[run.kind](root, run)
    if content != run.content:
        raise AccountingError(
            f"content digest {content[:12]}…", file=root, expected=run.content, remedy=REDO
        )
    return {
        "shards": len(run.shards),
        "content": run.content,
        "files": run.files,
        "counts": run.counts,
    }


REDO = "run the command again with --fresh"


def _clean(root: str, run: Manifest) -> str:
    parts, counts, rows = [], [], 0
    schema = corpus_schema(run.facts.get("columns", {}))
    for shard in run.in_folder("ledger"):
        for batch in read_batches(root, shard.name):
            columns = [batch.column(name) for name in ledger.LOGICAL]
            parts.append(digest.content("ledger", columns))
            counts.append(ledger.count(batch))
    for shard in run.in_folder("corpus"):
        for batch in read_batches(root, shard.name, schema.names):
            batch = batch.cast(schema)
            parts.append(digest.content("corpus", batch.columns))
            rows += batch.num_rows
    total = ledger.add([{"in": 0, "kept": 0, "dropped": 0, "failed": 0}, *counts])
    ledger.balance(run.counts["in"], total)
    if rows != total["kept"] or total != run.counts:
        raise AccountingError(
            f"the corpus has {rows} documents, the ledger {total}",
            file=root,
            expected=str(run.counts),
            remedy=REDO,
        )
    return digest.to_hex(digest.combine(parts))


def _tokenize(root: str, run: Manifest) -> str:
    parts = [int(run.facts["tokenizer"]["digest"], 16)]
    for shard in run.in_folder("tokens"):
        parts += [digest.content("tokens", b.columns) for b in read_batches(root, shard.name)]
    return digest.to_hex(digest.combine(parts))


def _train(root: str, run: Manifest) -> str:
    checkpoint = run.facts["checkpoint"]
    return manifest.content_of_files(run.in_folder(checkpoint))


def _eval(root: str, run: Manifest) -> str:
    return manifest.content_of_files(run.in_folder("predictions"))


def _sweep(root: str, run: Manifest) -> str:
    """Every trial counts once: complete (kept), pruned (dropped) or failed."""
    found = trials.read(root)
    states = [trial["state"] for trial in found]
    names = {"kept": "complete", "dropped": "pruned", "failed": "failed"}
    total = {name: states.count(state) for name, state in names.items()}
    ledger.balance(run.counts["in"], {"in": len(found), **total})
    ranked = trials.ranked(found, run.facts["maximize"])
    best = ranked[0]["number"] if ranked else None
    numbers = [trial["number"] for trial in found]
    if (numbers, best) != (list(range(len(found))), run.facts["best"]):
        raise AccountingError(
            f"trials {numbers[:20]}, the best {best}",
            file=f"{root}/{trials.NAME}",
            expected=f"0 to {len(found) - 1}, the best {run.facts['best']}",
            remedy=REDO,
        )
    return manifest.content_of_files(run.shards)


CONTENT = {  # of a kind of run: what its content digest is made of
    "clean": _clean,
    "tokenize": _tokenize,
    "train": _train,
    "finetune": _train,
    "eval": _eval,
    "sweep": _sweep,
}
