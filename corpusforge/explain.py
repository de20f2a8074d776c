"""Explain: what happened to a document, and which documents a training step read."""

from __future__ import annotations

import difflib
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from corpusforge import manifest
from corpusforge.errors import InputError
from corpusforge.manifest import Manifest
from corpusforge.schema import EXTRACTED, LEDGER
from corpusforge.shard import exists, read_batches, read_table

SUGGEST_FROM = 10_000  # URLs of a host that are compared with an unknown one


def document(root: str, key: str) -> list[dict[str, Any]]:
    """Return the ledger rows of a document named by id (hex), source id or URL, with its survivor.

    Raises InputError when the run has no such record.
    """
    run = manifest.read(root, "clean")
    rows = _find(root, run, key)
    if not rows:
        raise InputError(
            f"no record has the id, source id or URL '{key}'",
            file=root,
            remedy=_suggest(root, run, key),
        )
    for row in rows:
        if row["duplicate_of"] is not None:
            row["survivor"] = _survivor(root, run, row)
        row["stated"] = _stated(root, row)
    return rows


def _survivor(root: str, run: Manifest, row: dict[str, Any]) -> dict[str, Any] | None:
    """Return the ledger row of what stays for a document, in this run or in an earlier one."""
    if row["duplicate_in"] is not None:
        earlier = {one["name"]: one["path"] for one in run.facts["dedup"]["against"]}
        root = earlier.get(row["duplicate_in"], "")
        if not root or not exists(root, "manifest.json"):
            return None
        run = manifest.read(root, "clean")
    found = _find(root, run, row["duplicate_of"].hex())
    return found[0] if found else None


def _find(root: str, run: Manifest, key: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    wanted = _id(key)
    for shard in run.in_folder("ledger"):
        for batch in read_batches(root, shard.name):
            names = pa.array([key, f"<{key}>"])  # record ids of WARC files stand in brackets
            match = pc.or_kleene(
                pc.equal(batch.column("url"), key), pc.is_in(batch.column("source_id"), names)
            )
            if wanted is not None:
                same = pc.equal(batch.column("id"), pa.scalar(wanted, pa.binary(16)))
                match = pc.or_kleene(match, same)
            rows += batch.filter(pc.fill_null(match, False)).to_pylist()
    return rows


def _stated(root: str, row: dict[str, Any]) -> dict[str, Any] | None:
    """What the page states of itself, from the file that holds its text."""
    if not row["shard"] or not exists(root, row["shard"]):
        return None
    start = 0
    for batch in read_batches(root, row["shard"], ["title", *EXTRACTED.names]):
        if row["row"] < start + batch.num_rows:
            stated: dict[str, Any] = batch.slice(row["row"] - start, 1).to_pylist()[0]
            return stated
        start += batch.num_rows
    return None


def _id(key: str) -> bytes | None:
    try:
        value = bytes.fromhex(key)
    except ValueError:
        return None
    return value if len(value) == 16 else None


def _suggest(root: str, run: Manifest, key: str) -> str:
    """Name the nearest URLs of the same host."""
    host = urlsplit(key).netloc
    urls: set[str] = set()
    for shard in run.in_folder("ledger") if host else []:
        for batch in read_batches(root, shard.name, ["url"]):
            column = batch.column("url").drop_null()
            column = column.filter(pc.match_substring(column, host))
            urls.update(column.to_pylist()[: SUGGEST_FROM - len(urls)])
    close = difflib.get_close_matches(key, sorted(urls), n=3, cutoff=0.6)
    return f"nearest: {', '.join(close)}" if close else "see the ledger folder for what was read"


def describe(root: str, row: dict[str, Any]) -> str:
    """Say in a few lines what happened to the record of a ledger row."""
    name = row["url"] or row["source_id"] or row["id"].hex()
    verdict = row["outcome"] + (f" at {row['stage']}" if row["stage"] else "")
    lines = [
        f"{name} · {verdict}",
        f"  id {row['id'].hex()} · {row['source']} offset {row['offset']} record {row['ordinal']}",
    ]
    if row["language"]:
        lines.append(
            f"  language {row['language']} ({row['language_score']:.3f})"
            f" · {row['words']} words · {row['chars']} characters"
        )
    lines += _describe_stated(row.get("stated") or {})
    for reason in row["reasons"] or []:
        lines.append(f"  {reason_line(reason)}")
    if row["detail"]:
        lines.append(f"  {row['detail']}")
    if row["duplicate_of"] is not None:
        other = row.get("survivor") or {}
        twin = other.get("url") or other.get("source_id") or row["duplicate_of"].hex()
        bands = f", {row['bands_matched']} bands" if row["bands_matched"] else ""
        lines.append(f"  survivor {twin} (similarity {row['similarity']:.2f}{bands})")
        if row["duplicate_in"] is not None:
            lines.append(f"  survivor in {row['duplicate_in']}")
        lines.append(f"  survivor id {row['duplicate_of'].hex()}")
    if row["cut"]:
        chars = sum(span["end"] - span["start"] for span in row["cut"])
        twins = ", ".join(sorted({span["duplicate_of"].hex() for span in row["cut"]}))
        lines.append(f"  dedup cut {len(row['cut'])} paragraphs ({chars} characters) of {twins}")
    if row["shard"]:
        lines.append(f"  text in {root}/{row['shard']} row {row['row']}")
    return "\n".join(lines)


def _describe_stated(stated: dict[str, Any]) -> list[str]:
    facts = {
        "published": stated.get("published"),
        "declared language": stated.get("declared_language"),
        "canonical": stated.get("canonical_url"),
    }
    parts = [f"{name} {value}" for name, value in facts.items() if value]
    if stated.get("blocks_seen") is not None:
        parts.append(f"{stated['blocks_kept']} of {stated['blocks_seen']} blocks kept")
    lines = [f"  title {one_line(stated['title'], 100)}"] if stated.get("title") else []
    return [*lines, f"  {' · '.join(parts)}"] if parts else lines


def reason_line(reason: dict[str, Any]) -> str:
    """Say in one line why a rule failed a document."""
    value, threshold = reason["value"], reason["threshold"]
    text = str(reason["rule"])
    if value is not None:
        text += f": {reason['signal']} = {value:.6g}"
    if threshold is not None:
        text += f", kept when {reason['comparison']} {threshold:.6g}"
    return text


def ledger(root: str) -> pa.Table:
    """Return the whole ledger of a clean run as one table."""
    run = manifest.read(root, "clean")
    tables = [read_table(root, shard.name, LEDGER) for shard in run.in_folder("ledger")]
    return pa.concat_tables(tables or [LEDGER.empty_table()])


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return a ledger row with its ids as hexadecimal, for JSON."""
    values = {k: v.hex() if isinstance(v, bytes) else v for k, v in row.items()}
    if row.get("cut"):
        values["cut"] = [plain(span) for span in row["cut"]]
    values |= {k: round(v, 6) for k, v in values.items() if isinstance(v, float)}  # float32
    if isinstance(row.get("survivor"), dict):
        values["survivor"] = plain(row["survivor"])
    return values


def one_line(text: str, limit: int) -> str:
    """Return ``text`` on one line, cut at ``limit`` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def describe_step(step: int, rows: list[dict[str, Any]]) -> str:
    """List the documents that a training step read."""
    lines = [f"step {step} read {len(rows)} pieces"]
    for row in rows:
        name = row["url"] or row["source_id"] or row["id"]
        lines.append(f"  row {row['row']} · {name} · tokens {row['start']}+{row['length']}")
    return "\n".join(lines)


def describe_steps(found: dict[str, Any]) -> str:
    """List the training steps that read a document."""
    name = found["url"] or found["source_id"] or found["id"]
    lines = [f"{name} · id {found['id']} · {found['source']}"]
    if not found["steps"]:
        lines.append("  no step read it: it is held out, or its turn did not come")
    lines += [f"  step {one['step']} · epoch {one['epoch']}" for one in found["steps"]]
    return "\n".join(lines)


def describe_spikes(lines: list[dict[str, Any]]) -> str:
    """List the spikes of a model, each with its three documents of the highest loss."""
    if not lines:
        return "no step stands out"
    told = []
    for line in lines:
        told.append(
            f"step {line['step']}: loss {line['loss']:.3f} (z {line['loss_z']:.1f}), "
            f"gradient norm {line['gradient_norm']:.3f} (z {line['gradient_norm_z']:.1f})"
        )
        for row in line["documents"][:3]:
            told.append(f"  {row['loss']:.3f}  {row['url'] or row['source_id'] or row['id']}")
    return "\n".join(told)
