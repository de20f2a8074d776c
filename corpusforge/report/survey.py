"""Survey: one pass over the ledger of a clean run that counts all its report shows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.ledger import OUTCOMES, first_rule
from corpusforge.manifest import Manifest
from corpusforge.report.distribution import Distribution
from corpusforge.report.samples import Draw
from corpusforge.report.tally import Tally
from corpusforge.shard import read_batches
from corpusforge.transform import put

COLUMNS = (
    "id", "source", "source_id", "url", "outcome", "stage", "reasons", "detail", "duplicate_of",
    "similarity", "language", "language_score", "chars", "shard", "row",
)  # fmt: skip
SIZES = pa.schema([pa.field("id", pa.binary(16)), pa.field("bytes", pa.int64())])
SEPARATOR = "\n"  # between the rules of a set
_HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?P<host>[^/?#:]+)"


@dataclass
class Effect:
    """What one rule did: documents that it decided first, that failed it, that failed only it."""

    rule: str
    signal: str | None
    comparison: str | None
    threshold: float | None
    first: int = 0
    any: int = 0
    alone: int = 0


@dataclass
class Survey:
    """Counts of a ledger. Tallies are by outcome: kept, dropped, failed."""

    documents: Tally = field(default_factory=lambda: Tally(OUTCOMES))  # by stage
    chars: Tally = field(default_factory=lambda: Tally(OUTCOMES))  # by stage
    bytes: Tally = field(default_factory=lambda: Tally(OUTCOMES))  # of text as UTF-8, by stage
    languages: Tally = field(default_factory=lambda: Tally(OUTCOMES))
    sources: Tally = field(default_factory=lambda: Tally(OUTCOMES))
    hosts: Tally = field(default_factory=lambda: Tally(OUTCOMES))
    failures: Tally = field(default_factory=lambda: Tally(("failed",)))  # by (stage, kind)
    survivors: Tally = field(default_factory=lambda: Tally(("copies",)))  # by id
    together: Tally = field(default_factory=lambda: Tally(("documents",)))  # by rules that fail
    effects: dict[str, Effect] = field(default_factory=dict)  # by rule, of dropped documents
    exact: int = 0  # duplicates that were equal
    near: Distribution = field(default_factory=Distribution)  # similarity of the others
    draw: Draw = field(default_factory=Draw)

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the rows of a ledger batch that has ``bytes``, too."""
        outcome = batch.column("outcome")
        stage = pc.fill_null(batch.column("stage"), "kept")
        self.documents.add(stage, outcome)
        self.chars.add(stage, outcome, batch.column("chars"))
        self.bytes.add(stage, outcome, batch.column("bytes"))
        self.sources.add(batch.column("source"), outcome)
        for tally, keys in ((self.languages, batch["language"]), (self.hosts, _hosts(batch))):
            tally.add(keys.drop_null(), outcome.filter(keys.is_valid()))
        dropped = batch.filter(pc.equal(outcome, "dropped"))
        self._effects(dropped.column("reasons"))
        self._together(dropped.column("reasons"))
        self._duplicates(dropped)
        failed = batch.filter(pc.equal(outcome, "failed"))
        self.failures.add(_kind(failed), failed.column("outcome"))
        self.draw.add(batch, first_rule(batch.column("reasons")))

    def _effects(self, reasons: pa.ListArray) -> None:
        parents, rows = pc.list_parent_indices(reasons).to_numpy(), pc.list_flatten(reasons)
        lengths = np.bincount(parents, minlength=len(reasons))[parents] if len(parents) else parents
        flags = {
            "any": np.ones(len(parents), np.int64),
            "first": np.diff(parents, prepend=-1).astype(bool).astype(np.int64),
            "alone": (lengths == 1).astype(np.int64),
        }
        names = ["rule", "signal", "comparison", "threshold"]
        table = pa.table({**{name: rows.field(name) for name in names}, **flags})
        grouped = table.group_by(names).aggregate([(name, "sum") for name in flags])
        for row in grouped.to_pylist():
            effect = self.effects.setdefault(row["rule"], Effect(*[row[name] for name in names]))
            effect.any += row["any_sum"]
            effect.first += row["first_sum"]
            effect.alone += row["alone_sum"]

    def _together(self, reasons: pa.ListArray) -> None:
        """Count documents by all the rules that they fail, those that fail any."""
        rules = pc.list_flatten(reasons).field("rule").cast(pa.string())
        lengths = np.asarray(pc.fill_null(pc.list_value_length(reasons), 0), np.int32)
        ends = pa.array(np.cumsum(np.insert(lengths, 0, 0)).astype(np.int32))
        sets = pc.binary_join(pa.ListArray.from_arrays(ends, rules), SEPARATOR)
        sets = sets.filter(pa.array(lengths > 0))
        self.together.add(sets, pa.repeat("documents", len(sets)))

    def _duplicates(self, dropped: pa.RecordBatch) -> None:
        copies = dropped.filter(dropped.column("duplicate_of").is_valid())
        names = pa.repeat("copies", copies.num_rows)
        self.survivors.add(copies.column("duplicate_of"), names)
        equal = pc.equal(first_rule(copies.column("reasons")), "duplicate")
        equal = np.asarray(pc.fill_null(equal, False).to_numpy(zero_copy_only=False))
        self.exact += int(equal.sum())
        similarity = copies.column("similarity").to_numpy(zero_copy_only=False)[~equal]
        self.near.add(similarity, np.zeros(len(similarity), bool))


def survey(root: str, run: Manifest) -> Survey:
    """Read the ledger of a run shard by shard, and the sizes of its texts beside it."""
    result = Survey()
    for shard in run.in_folder("ledger"):
        sizes = _sizes(root, shard.name.replace("ledger", "signals", 1))
        for batch in read_batches(root, shard.name, COLUMNS):
            place = pc.index_in(batch.column("id"), value_set=sizes.column("id"))
            result.add(put(batch, "bytes", sizes.column("bytes").take(place).combine_chunks()))
    return result


def _sizes(root: str, name: str) -> pa.Table:
    """Return id and bytes of the texts of a unit, from its signals; null where not measured."""
    empty = SIZES.empty_table()
    found = [pa.table(batch) for batch in read_batches(root, name, SIZES.names)]
    return pa.concat_tables([empty, *found], promote_options="default").combine_chunks()


def _hosts(batch: pa.RecordBatch) -> pa.Array:
    found = pc.extract_regex(batch.column("url"), _HOST)
    return pc.utf8_lower(pc.struct_field(found, "host"))


def _kind(failed: pa.RecordBatch) -> pa.Array:
    """Stage and rule, or stage and error without its numbers, so that like errors count as one."""
    error = pc.replace_substring_regex(failed.column("detail"), r"(^|[ =(])[0-9]+", r"\1N")
    error = pc.utf8_slice_codeunits(error, 0, 160)
    kind = pc.coalesce(first_rule(failed.column("reasons")), error, "unknown")
    stage = pc.fill_null(failed.column("stage"), "unknown")
    return pc.binary_join_element_wise(stage, kind, ": ")
