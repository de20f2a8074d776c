"""What deduplication will find, and what it will take, said before the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from corpusforge.external_sort import MEMORY
from corpusforge.kernels import minhash
from corpusforge.kernels.dedup import WIDTH
from corpusforge.plan import Unit
from corpusforge.spec import CleanSpec

CURVE = (0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
ASKED = (0.7, 0.8, 0.9)

# Input bytes of a document that reaches deduplication: of web archives and of texts, packed; plain
# ones have PACKED times as many. Measured on sample_data and on documentation pages.
PAGE, TEXT, PACKED = 12_000, 1_800, 3
PARENT = 1 << 20  # bytes that the parent needs at least, beside sorting


LEAST_RANGES = 4
PARAGRAPHS = 16  # of a document, about: measured on documentation pages


def documents(units: Sequence[Unit]) -> int:
    """Guess how many documents the inputs hold."""
    return max(1, round(sum(count for count, _ in by_kind(units).values())))


def by_kind(units: Sequence[Unit]) -> dict[str, tuple[float, int]]:
    """Guess how many documents of the inputs are pages and texts: kind -> (documents, bytes)."""
    found: dict[str, tuple[float, int]] = {}
    for piece in (piece for unit in units for piece in unit.pieces):
        kind, each = ("page", PAGE) if piece.format == "warc" else ("text", TEXT)
        packed = piece.compression != "none" or piece.format in ("parquet", "arrow")
        size = piece.end - piece.start
        count, before = found.get(kind, (0.0, 0))
        found[kind] = (count + size / (each if packed else each * PACKED), before + size)
    return found


def key_bytes(spec: CleanSpec) -> dict[str, int]:
    """Return the bytes of a document that cross the shuffle, of each kind that is on."""
    found = {}
    if spec.dedup.exact != "none":
        found["exact"] = WIDTH["exact"]
    if spec.dedup.near != "none":
        found["near"] = spec.dedup.bands * WIDTH["near"]
    if spec.dedup.paragraphs:
        found["paragraphs"] = PARAGRAPHS * WIDTH["exact"]
    return found


def ranges(spec: CleanSpec, count: int) -> dict[str, int]:
    """Return how many ranges the keys of ``count`` documents are cut into, of each kind."""
    sizes = key_bytes(spec).items()
    return {
        kind: max(LEAST_RANGES, -(-count * size // spec.plan.range_bytes)) for kind, size in sizes
    }


def packed_at_once(spec: CleanSpec, kind: str) -> int:
    """Return how many documents a mapper packs at once: an eighth of what a reducer holds."""
    return max(1, spec.plan.range_bytes // 8 // key_bytes(spec)[kind])


def expected(spec: CleanSpec, count: int, earlier: int = 0) -> dict[str, Any]:
    """Return detection curve, expected recall, and bytes for ``count`` new documents.

    ``earlier`` are those of the corpora to compare with. Recall is the chance that one pair of a
    true Jaccard similarity shares a band and is estimated at ``dedup.similarity`` or more.
    """
    d = spec.dedup
    hashes = d.bands * d.rows
    keys = d.bands * WIDTH["near"] if d.near != "none" else 0
    keys = max(keys, WIDTH["exact"] if d.exact != "none" else 0)
    stored = 16 + 3 * 8 + (hashes + 8 * d.bands if d.near != "none" else 0)
    shuffle = count * keys
    ranges = max(1, -(-(count + earlier) * keys // spec.plan.range_bytes))
    found: dict[str, Any] = {
        "documents": count,
        "earlier_documents": earlier,
        "disk_bytes": count * stored + 2 * shuffle,
        "shuffle_bytes": shuffle,
        "shuffle_in": "files" if shuffle > spec.plan.shuffle_bytes else "memory",
        "ranges": ranges,
        "reducer_bytes": 4 * min(spec.plan.range_bytes, (count + earlier) * keys),
        "parent_bytes": (count + earlier) // 8
        + PARENT
        + 3 * min(MEMORY, count * (hashes + 64))
        + min(shuffle, spec.plan.shuffle_bytes),
    }
    if d.near != "none":
        chance = minhash.detection_curve(d.bands, d.rows, CURVE)
        asked = minhash.detection_curve(d.bands, d.rows, ASKED)
        asked = asked * minhash.acceptance(hashes, d.similarity, ASKED)
        found["curve"] = {
            f"{s:.2f}": round(float(p), 4) for s, p in zip(CURVE, chance, strict=True)
        }
        found["recall"] = {
            f"{s:.2f}": round(float(p), 4) for s, p in zip(ASKED, asked, strict=True)
        }
        found["threshold"] = round(float((1 / d.bands) ** (1 / d.rows)), 4)
        found["sd_at_similarity"] = round(
            float(np.sqrt(d.similarity * (1 - d.similarity) / hashes)), 4
        )
    return found


def describe(spec: CleanSpec, found: dict[str, Any]) -> str:
    """Say what ``expected`` found in a few lines."""
    d = spec.dedup
    if d.exact == "none" and d.near == "none":
        return "plan: no deduplication"
    lines = [f"plan: dedup of about {found['documents']:,} documents"]
    if found["earlier_documents"]:
        lines[0] += f" against {found['earlier_documents']:,} of earlier corpora"
    lines[0] += f", exact copies by {d.exact}"
    if d.near != "none":
        curve = "  ".join(f"{s} {p:.1%}" for s, p in found["curve"].items())
        recall = ", ".join(f"{p:.1%} at {s}" for s, p in found["recall"].items())
        lines += [
            f"plan: {d.bands} bands x {d.rows} rows of {d.ngram}-token shingles; a copy from"
            f" similarity {d.similarity:g} on (sd of the estimate {found['sd_at_similarity']:g})",
            f"plan: pairs that share a band, by Jaccard similarity: {curve}",
            f"plan: expected recall of one pair, estimate included: {recall}",
        ]
    mb = {name: found[name] / 1e6 for name in found if name.endswith("_bytes")}
    lines.append(
        f"plan: dedup takes about {mb['disk_bytes']:,.0f} MB of disk,"
        f" {mb['shuffle_bytes']:,.0f} MB of shuffle through {found['shuffle_in']},"
        f" {mb['reducer_bytes']:,.0f} MB of memory a worker, {mb['parent_bytes']:,.0f} MB in the"
        " parent"
    )
    return "\n".join(lines)
