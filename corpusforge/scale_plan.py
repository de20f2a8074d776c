"""What a clean run of any number of documents takes, computed from rates measured on one core.

All figures are upper ones: every document reaches deduplication, and none is dropped before.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from typing import Any

from corpusforge import dedup_plan
from corpusforge.dedup_index import Earlier
from corpusforge.plan import WORKER_BYTES, Unit, estimate
from corpusforge.run import check_workers
from corpusforge.spec import MIB, CleanSpec

# CPU milliseconds a document, by stage. docs/scale.md says how each was measured: on 2,658 pages of
# 240 kB and 10,250 texts of 6 kB; attribution, which looks at no text, on a million documents.
NUMBERS = {"resolve": 0.006, "attribution": 0.01}
RATES = {
    "page": {"documents": 9.0, "exact": 0.09, "near": 0.09, "settle": 0.35, **NUMBERS},
    "text": {"documents": 0.7, "exact": 0.025, "near": 0.025, "settle": 0.085, **NUMBERS},
}
ALONE = ("resolve", "attribution")  # stages of the command's own process
LEAST_BLOB = 4096  # bytes of keys in a blob of the shuffle; with fewer its head weighs as much
HEAD = 700  # bytes of a blob beside its keys
READ_ROWS = 1 << 16  # documents of a unit that are read at once
SIGNED_BYTES = 600  # of a document whose signature attribution holds
FILTERS = 2 * 256 * MIB  # bytes of attribution's filters, at most
UNIT_FACTS = 2000  # bytes that the command holds of a unit


def plan(
    units: Sequence[Unit],
    spec: CleanSpec,
    workers: int | None,
    earlier: Sequence[Earlier],
    documents: float | None,
) -> tuple[dict[str, Any], str]:
    """Return what a clean run over ``units`` takes, or over so many ``documents`` like theirs."""
    workers = check_workers(workers)
    if documents is None:
        count = dedup_plan.documents(units)
        found = dedup_plan.expected(spec, count, sum(one.documents for one in earlier))
        text = f"{estimate(units, workers, spec.plan)}\n{dedup_plan.describe(spec, found)}"
        return {"units": len(units), "bytes": sum(u.bytes for u in units), "dedup": found}, text
    scaled = planned(spec, round(documents), units, workers=workers)
    like = "the inputs" if units else f"web archives, {dedup_plan.PAGE / 1e3:.0f} kB each"
    return scaled, describe(spec, scaled, like)


def planned(
    spec: CleanSpec, documents: int, units: Sequence[Unit] = (), *, workers: int = 1
) -> dict[str, Any]:
    """Return what a clean run over ``documents`` takes, of inputs like those of ``units``.

    Without ``units``: of web archives. Bytes, counts, core-hours, hours.
    """
    kinds = dedup_plan.by_kind(units) or {"page": (1, dedup_plan.PAGE)}
    sample = sum(count for count, _ in kinds.values())
    size = round(sum(of for _, of in kinds.values()) / sample * documents)
    share = {kind: count / sample for kind, (count, _) in kinds.items()}
    count = ceil(size / spec.plan.unit_bytes)
    keys = dedup_plan.key_bytes(spec)
    ranges = dedup_plan.ranges(spec, documents)
    shuffled = {kind: documents * keys[kind] for kind in keys}
    crossing_blobs = {kind: blobs(spec, kind, documents, count) for kind in keys}
    found = dedup_plan.expected(spec, documents)
    hours = {
        stage: round(sum(share[k] * RATES[k][stage] for k in share) * documents / 3.6e6, 4)
        for stage in RATES["page"]
        if stage not in ("exact", "near") or stage in keys
    }
    alone = sum(hours[stage] for stage in ALONE)
    largest = max((spec.plan.range_bytes, *(s // ranges[k] for k, s in shuffled.items())))
    crossing = sum(shuffled.values()) + HEAD * sum(crossing_blobs.values())
    return {
        "documents": documents,
        "bytes": size,
        "units": count,
        "ranges": ranges,
        "shuffle_bytes": shuffled,
        "blobs": sum(crossing_blobs.values()),
        "crossing_bytes": crossing,
        "worker_bytes": WORKER_BYTES + max(4 * spec.plan.batch_bytes, 4 * largest * bool(keys)),
        "parent_bytes": WORKER_BYTES
        + found["parent_bytes"]
        + min(FILTERS, documents * 80)
        + SIGNED_BYTES * min(documents, 2_000_000)
        + UNIT_FACTS * count,
        "disk_bytes": 3 * size + found["disk_bytes"],
        "core_hours": hours,
        "alone_hours": round(alone, 4),
        "hours": round((sum(hours.values()) - alone) / min(workers, count) + alone, 4),
        "workers": workers,
        "set": _larger(spec, documents, size, sum(shuffled.values())),
    }


def blobs(spec: CleanSpec, kind: str, documents: int, units: int) -> int:
    """Blobs that cross: of each unit, and of each part of it that is packed at once, by range."""
    each = documents / units
    parts = ceil(each / min(dedup_plan.packed_at_once(spec, kind), READ_ROWS))
    keys = spec.dedup.bands if kind == "near" else dedup_plan.PARAGRAPHS if kind != "exact" else 1
    return round(units * parts * min(dedup_plan.ranges(spec, documents)[kind], each / parts * keys))


def _larger(spec: CleanSpec, documents: int, size: int, keys: int) -> dict[str, int]:
    """Return settings with which a blob holds LEAST_BLOB, where it would hold less.

    With R bytes a range and K in all, a mapper packs R / 8 at once into K / R blobs: so R is
    sqrt(8 K LEAST_BLOB), and a unit has the documents of R / 8 bytes of keys.
    """
    wanted = sqrt(8 * keys * LEAST_BLOB)
    if wanted <= spec.plan.range_bytes:
        return {}
    unit = wanted / 8 / keys * size
    found = {"plan.range_bytes": _round(wanted), "plan.unit_bytes": _round(unit)}
    return {k: v for k, v in found.items() if v > getattr(spec.plan, k.removeprefix("plan."))}


def _round(size: float) -> int:
    step = 64 * MIB
    return ceil(size / step) * step


def describe(spec: CleanSpec, found: dict[str, Any], like: str) -> str:
    """Say what ``planned`` found in a few lines; ``like`` names the inputs it was made after."""
    hours = ", ".join(f"{stage} {value:,.2f}" for stage, value in found["core_hours"].items())
    parts = ", ".join(
        f"{kind} {_bytes(found['shuffle_bytes'][kind])} in {count:,} ranges"
        for kind, count in found["ranges"].items()
    )
    mean = found["crossing_bytes"] / max(found["blobs"], 1)
    lines = [
        f"{found['documents']:,} documents like {like}: {_bytes(found['bytes'])} in"
        f" {found['units']:,} units of {_bytes(spec.plan.unit_bytes)}",
        f"shuffled {_bytes(found['crossing_bytes'])} in {found['blobs']:,} blobs of"
        f" {mean:,.0f} bytes: {parts or 'nothing'}",
        f"memory {_bytes(found['worker_bytes'])} a worker, {_bytes(found['parent_bytes'])} in the"
        f" parent; disk {_bytes(found['disk_bytes'])}",
        f"core-hours {sum(found['core_hours'].values()):,.2f}: {hours}",
        f"about {found['hours']:,.2f} hours with {found['workers']:,} workers;"
        f" {found['alone_hours']:,.2f} of them in one process ({', '.join(ALONE)})",
        "rates are CPU milliseconds a document on one core of the machine in docs/scale.md;"
        " measure your own by benchmarks/growth.py",
    ]
    if found["set"]:
        sets = " ".join(f"--set {key}={value}" for key, value in found["set"].items())
        lines.append(f"larger pieces make fewer, larger blobs: {sets}")
    return "\n".join(f"plan: {line}" for line in lines)


def _bytes(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < 1000:
            return f"{size:,.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} PB"
