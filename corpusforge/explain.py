"""Explain: what happened to a document, and which documents a training step read."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from corpusforge import lookup, manifest
from corpusforge.errors import InputError
from corpusforge.manifest import Manifest
from corpusforge.schema import EXTRACTED, LEDGER
from corpusforge.shard import exists, join, read_batches, read_json, read_row, read_table
from corpusforge.storage import file_system

# In the order that documents pass them.
STAGES = ("read", "url", "extract", "language", "rules", "decontaminate", "dedup")
JUDGES = ("language", "rules")  # decided together: a document has the reasons of both
SUGGEST_FROM = 10_000  # URLs of a host that are compared with an unknown one
WORDS = 3000  # of each of two texts whose difference is shown
AROUND = 4  # words beside each difference
CHANGES = 8  # of them, on a terminal


def document(root: str, key: str) -> list[dict[str, Any]]:
    """Return the ledger rows of a document named by id (hex), source id or URL, with more of it.

    URLs need no scheme and no slash at the end. ``stages``: what each stage of the run did;
    ``stated``: what the page says of itself; ``survivor``: the ledger row of what it is a copy
    of; ``change``: where both texts differ. Raises InputError when there is no such record.
    """
    run = manifest.read(root, "clean")
    rows = lookup.rows(root, run, key)
    if not rows:
        raise InputError(
            f"no record has the id, source id or URL '{key}'",
            file=root,
            remedy=_suggest(root, run, key),
        )
    for row in rows:
        row["stages"] = list(_stages(run, row))
        stored = _stored(root, row)
        row["stated"] = {name: stored.get(name) for name in ("title", *EXTRACTED.names)}
        if row["duplicate_of"] is not None:
            place, row["survivor"] = _survivor(root, run, row)
            row["change"] = change(stored.get("text"), text_of(place, row["survivor"]))
    return rows


def _survivor(root: str, run: Manifest, row: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """Return the run of what stays for a document, this or an earlier one, and its ledger row."""
    if row["duplicate_in"] is not None:
        earlier = {one["name"]: one["path"] for one in run.facts["dedup"]["against"]}
        root = earlier.get(row["duplicate_in"], "")
        if not root or not exists(root, "manifest.json"):
            return root, None
        run = manifest.read(root, "clean")
    found = lookup.rows(root, run, row["duplicate_of"].hex())
    return root, found[0] if found else None


def _stages(run: Manifest, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield {stage, outcome, reasons} of the stages that saw a record, in order."""
    lists = ("domains", "urls", "hard_words", "soft_words", "substrings")
    used = {
        "url": any(run.spec["url"][name] for name in lists),
        "decontaminate": bool(run.spec["decontaminate"]["files"]),
    }
    reasons, last = row["reasons"] or [], row["stage"]
    of_language = [reason for reason in reasons if reason["rule"].startswith("language.")]
    of_rules = [reason for reason in reasons if reason not in of_language]
    decided = {last: reasons} if last else {}
    if last in JUDGES:
        decided |= {"language": of_language, "rules": of_rules}
    ends = "rules" if last == "language" and of_rules else last
    for stage in STAGES if last is None or last in STAGES else (*STAGES, last):
        mine = decided.get(stage, [])
        if used.get(stage, True) or stage == last:
            outcome = row["outcome"] if mine or stage == last else "passed"
            yield {"stage": stage, "outcome": outcome, "reasons": mine}
        if stage == ends:
            return


def _stored(root: str, row: dict[str, Any]) -> dict[str, Any]:
    """What lies in the file that holds the text of a ledger row; nothing where none does."""
    if not row["shard"] or not exists(root, row["shard"]):
        return {}
    return read_row(root, row["shard"], row["row"], ["title", "text", *EXTRACTED.names])


def text_of(root: str, row: dict[str, Any] | None) -> str | None:
    """Return the text of the document of a ledger row, None where it is not stored."""
    text: str | None = _stored(root, row).get("text") if row else None
    return text


def change(before: str | None, after: str | None) -> list[str] | None:
    """Return where two texts differ, ``[-only before-] {+only after+}`` amid a few words.

    Only the first WORDS words of each are looked at. None without both.
    """
    if before is None or after is None:
        return None
    a, b = words_of(before), words_of(after)
    found = []
    for group in difflib.SequenceMatcher(None, a, b).get_grouped_opcodes(2 * AROUND):
        parts = []
        for what, i, j, k, m in group:
            if what == "equal":
                parts.append("".join(a[i:j]))
                continue
            parts.append(f"[-{one_line(''.join(a[i:j]), 60)}-]" if i < j else "")
            parts.append(f"{{+{one_line(''.join(b[k:m]), 60)}+}}" if k < m else "")
        found.append("".join(parts))
    return found


def words_of(text: str) -> list[str]:
    """Return the first WORDS words of a text, and the white space between them."""
    return re.findall(r"\s+|\S+", text[: 10 * WORDS])[: 2 * WORDS]


def _suggest(root: str, run: Manifest, key: str) -> str:
    """Name the nearest URLs of the same host."""
    host = urlsplit(key if "//" in key else f"//{key}").hostname or ""
    urls = lookup.urls_of_host(root, run, key, SUGGEST_FROM) if host else []
    if not urls:
        return f"nothing was read of the host '{host}'" if "." in host else "check the name"
    near = sorted(set(urls), key=lambda url: (-_alike(_tail(url), _tail(key)), url))
    close = difflib.get_close_matches(key, near[:200], n=3, cutoff=0.0)
    return f"nearest: {', '.join(close)}"


def _tail(url: str) -> str:
    return url.rpartition("//")[2].removeprefix("www.")


def _alike(one: str, other: str) -> int:
    """Count the characters at the start that are equal."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


# -- where it went -------------------------------------------------------------------------------


def children(root: str, run: Manifest, kind: str) -> list[str]:
    """Return the runs of ``kind`` beside ``root`` (in its parent folder) that were made of it."""
    fs, path = file_system(root)
    above = path.rstrip("/").rpartition("/")[0] or "."
    found = []
    for name in sorted(fs.glob(f"{above}/*/manifest.json")):
        folder = name.rpartition("/")[0]
        values = read_json(join(fs.unstrip_protocol(folder), "manifest.json"))
        if isinstance(values, dict) and values.get("kind") == kind:
            parents = values.get("parents") or [values.get("parent") or {}]
            if any(parent.get("content") == run.content for parent in parents):
                local = os.path.relpath(folder) if "://" not in root else None
                found.append(local or fs.unstrip_protocol(folder))
    return found


def token_rows(folder: str, id_: bytes) -> list[dict[str, Any]]:
    """Return {folder, shard, row, tokens} of a document in a token folder."""
    found = []
    for shard in manifest.read(folder, "tokenize").in_folder("tokens"):
        start = 0
        for batch in read_batches(folder, shard.name):
            at = pc.index(batch.column("id"), pa.scalar(id_, pa.binary(16))).as_py()
            if at >= 0:
                tokens = len(batch.column("ids")[at])
                found.append(
                    {"folder": folder, "shard": shard.name, "row": start + at, "tokens": tokens}
                )
            start += batch.num_rows
    return found


# -- text ----------------------------------------------------------------------------------------


def describe(root: str, row: dict[str, Any]) -> str:
    """Say in a few lines what happened to the record of a ledger row, stage by stage."""
    name = one_line(row["url"] or row["source_id"] or row["id"].hex(), 500)
    verdict = row["outcome"] + (f" at {row['stage']}" if row["stage"] else "")
    lines = [
        f"{name} · {verdict}",
        f"  id {row['id'].hex()} · {row['source']} offset {row['offset']} record {row['ordinal']}",
    ]
    stated = row.get("stated") or {}
    if stated.get("title"):
        lines.append(f"  title {one_line(stated['title'], 100)}")
    for step in row["stages"]:
        about = about_stage(step["stage"], row) if step["outcome"] != "failed" else []
        lines.append(f"  {step['stage']:<13} {' · '.join([step['outcome'], *about])}")
        lines += [f"    {reason_line(reason)}" for reason in step["reasons"]]
    if row["detail"]:
        lines.append(f"  {one_line(row['detail'], 500)}")
    for edit in row["edits"] or []:
        lines.append(f"  edited {edit['rule']}: {edit['count']} pieces")
    if row["duplicate_of"] is not None:
        other = row.get("survivor") or {}
        twin = other.get("url") or other.get("source_id") or row["duplicate_of"].hex()
        bands = f", {row['bands_matched']} bands" if row["bands_matched"] else ""
        lines.append(
            f"  survivor {one_line(twin, 500)} (similarity {row['similarity']:.2f}{bands})"
        )
        if row["duplicate_in"] is not None:
            lines.append(f"  survivor in {row['duplicate_in']}")
        lines.append(f"  survivor id {row['duplicate_of'].hex()}")
        lines += _described_change(row.get("change"))
    if row["cut"]:
        chars = sum(span["end"] - span["start"] for span in row["cut"])
        twins = ", ".join(sorted({span["duplicate_of"].hex() for span in row["cut"]}))
        lines.append(f"  dedup cut {len(row['cut'])} paragraphs ({chars} characters) of {twins}")
    if row["shard"]:
        lines.append(f"  text in {root}/{row['shard']} row {row['row']}")
    lines += [
        f"  tokens in {one['folder']}/{one['shard']} row {one['row']} · {one['tokens']} tokens"
        for one in row.get("tokens") or []
    ]
    lines += [f"  {steps_line(one)}" for one in row.get("trained") or []]
    return "\n".join(lines)


def about_stage(stage: str, row: dict[str, Any]) -> list[str]:
    """Say what a stage found of a document, besides its verdict."""
    stated = row.get("stated") or {}
    parts = []
    if stage == "read" and row["decode_errors"]:
        parts.append(f"{row['decode_errors']} characters could not be decoded")
    if stage == "extract" and row["chars"] is not None:
        parts.append(f"{row['words']} words · {row['chars']} characters")
        if stated.get("blocks_seen") is not None:
            parts.append(f"{stated['blocks_kept']} of {stated['blocks_seen']} blocks kept")
        names = {"published": "published", "canonical_url": "canonical"}
        parts += [f"{called} {stated[name]}" for name, called in names.items() if stated.get(name)]
    if stage == "language" and row["language"]:
        parts.append(f"{row['language']} ({row['language_score']:.3f})")
        if row["language2"]:
            parts.append(f"then {row['language2']} ({row['language2_score']:.3f})")
        if stated.get("declared_language"):
            parts.append(f"declared {stated['declared_language']}")
    return parts


def _described_change(found: list[str] | None) -> list[str]:
    if found is None:
        return []
    if not found:
        return [f"  the first {WORDS:,} words of both are the same"]
    shown = [f"    {one_line(one, 200)}" for one in found[:CHANGES]]
    more = len(found) - len(shown)
    rest = [f"    ... {more} more: --html FILE shows all"] if more else []
    return ["  differs from the survivor: [-only here-] {+only there+}", *shown, *rest]


def steps_line(trained: dict[str, Any]) -> str:
    """Say which steps of a model read a document."""
    steps = [str(one["step"]) for one in trained["steps"]]
    if not steps:
        return f"no step of {trained['model']} read it"
    more = f" and {len(steps) - 20} more" if len(steps) > 20 else ""
    return f"read by {trained['model']} in steps {', '.join(steps[:20])}{more}"


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
    """Return ``text`` on one line, cut at ``limit``; controls become U+FFFD."""
    flat = " ".join(text[: 8 * limit].split())
    flat = "".join(char if char.isprintable() else "\ufffd" for char in flat)
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
