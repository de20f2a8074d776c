"""The ledger: ``settle`` cuts the stream once, ``balance`` checks that nothing was lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.errors import AccountingError
from corpusforge.kernels import digest
from corpusforge.schema import CORPUS, LEDGER
from corpusforge.transform import put

OUTCOMES = ("kept", "dropped", "failed")
TOO_MUCH, FEW = 0.8, 10  # share removed that is told; of a source with so many documents
LOGICAL = [name for name in LEDGER.names if name not in ("shard", "row")]  # address-free columns


@dataclass(frozen=True)
class Place:
    """Where the next document of one kind goes: a file under the run folder, and its row."""

    shard: str
    row: int


@dataclass(frozen=True)
class Settled:
    """A batch cut by outcome. ``ledger`` has every row of the batch, in order."""

    kept: pa.RecordBatch
    dropped: pa.RecordBatch  # dropped documents that have text
    ledger: pa.RecordBatch


def settle(
    batch: pa.RecordBatch,
    kept: Place,
    dropped: Place | None,
    columns: Sequence[str] = tuple(CORPUS.names),
) -> Settled:
    """Cut ``batch`` by its verdicts; the only place where a row leaves the stream.

    ``dropped`` is None where dropped texts are not stored; ``columns`` are those of the corpus.
    """
    outcome = batch.column("outcome")
    is_kept = np.asarray(pc.equal(outcome, "kept").to_numpy(zero_copy_only=False), dtype=bool)
    has_text = np.asarray(batch.column("text").is_valid().to_numpy(zero_copy_only=False))
    is_stored = ~is_kept & has_text if dropped else np.zeros(len(is_kept), dtype=bool)

    rows = np.where(is_kept, kept.row + np.cumsum(is_kept) - 1, -1)
    if dropped:
        rows = np.where(is_stored, dropped.row + np.cumsum(is_stored) - 1, rows)
    shard = pc.if_else(
        pa.array(is_kept),
        pa.scalar(kept.shard),
        pc.if_else(
            pa.array(is_stored),
            pa.scalar(dropped.shard if dropped else None, pa.string()),
            pa.scalar(None, pa.string()),
        ),
    )
    ledger = put(batch, "shard", shard)
    ledger = put(ledger, "row", pa.array(rows, pa.int64(), mask=rows < 0))
    return Settled(
        batch.filter(pa.array(is_kept)).select(columns),
        batch.filter(pa.array(is_stored)).select(columns),
        ledger.select(LEDGER.names).cast(LEDGER),
    )


def content(kept: pa.RecordBatch, ledger: pa.RecordBatch) -> int:
    """Content digest of settled rows: the corpus and the ledger, without file addresses."""
    return digest.combine(
        [
            digest.content("corpus", kept.columns),
            digest.content("ledger", [ledger.column(name) for name in LOGICAL]),
        ]
    )


def count(ledger: pa.RecordBatch) -> dict[str, int]:
    """Return {in, kept, dropped, failed} of a ledger batch."""
    tally = {
        row["values"].as_py(): row["counts"].as_py()
        for row in pc.value_counts(ledger.column("outcome"))
    }
    return {"in": ledger.num_rows, **{name: tally.get(name, 0) for name in OUTCOMES}}


def by_label(ledger: pa.RecordBatch) -> dict[str, dict[str, int]]:
    """Return {label: {documents, removed}} of what deduplication compared and removed.

    A label is what an input is called: the first part of a source.
    """
    removed = pc.equal(pc.fill_null(ledger.column("stage"), ""), "dedup")
    seen = pc.or_(removed, pc.equal(ledger.column("outcome"), "kept"))
    sources = ledger.column("source").filter(seen)
    labels = pc.list_element(pc.split_pattern(sources, "/", max_splits=1), 0)
    counted = pa.table({"label": labels, "removed": removed.filter(seen).cast(pa.int64())})
    counted = counted.group_by("label").aggregate([("removed", "count"), ("removed", "sum")])
    return {
        row["label"]: {"documents": row["removed_count"], "removed": row["removed_sum"]}
        for row in counted.to_pylist()
    }


def shares(parts: Iterable[Mapping[str, Mapping[str, int]]]) -> list[dict[str, Any]]:
    """Sum ``by_label`` of all units: a row a label, sorted, with the share removed."""
    total: dict[str, dict[str, int]] = {}
    for part in parts:
        for label, counts in part.items():
            total[label] = add([total.get(label, {}), counts])
    return [
        {"source": label, **counts, "share": round(counts["removed"] / counts["documents"], 4)}
        for label, counts in sorted(total.items())
    ]


def warnings(sources: Iterable[Mapping[str, Any]]) -> list[str]:
    """Say of which sources deduplication removed nearly all."""
    return [
        f"warning: dedup removed {row['share']:.1%} of the {row['documents']:,} documents of"
        f" {row['source']}; forge explain shows what they are copies of"
        for row in sources
        if row["share"] > TOO_MUCH and row["documents"] >= FEW
    ]


def first_rule(reasons: pa.ListArray) -> pa.Array:
    """Return the rule (rows,) that decided first; null where none did."""
    none = pc.equal(pc.fill_null(pc.list_value_length(reasons), 0), 0).to_numpy(False)
    starts = reasons.offsets.to_numpy()[:-1]
    return reasons.values.field("rule").take(pa.array(starts, mask=none))


def add(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Sum counts by key."""
    total: dict[str, int] = {}
    for part in counts:
        for name, value in part.items():
            total[name] = total.get(name, 0) + value
    return total


def balance(read: int, counts: Mapping[str, int]) -> None:
    """Check in = kept + dropped + failed, and that every record read has its row.

    Raises AccountingError (exit code 4) with the numbers.
    """
    out = sum(counts[name] for name in OUTCOMES)
    if not read == counts["in"] == out:
        raise AccountingError(
            f"{read} records were read, the ledger has {counts['in']}, "
            f"kept {counts['kept']} + dropped {counts['dropped']} + failed {counts['failed']} "
            f"= {out}",
            expected="three equal numbers",
            remedy="run again with --fresh; if it stays, report it with log.jsonl",
        )
