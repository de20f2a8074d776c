"""Attribution: what each rule does, whatever the order of the rules; language is one of them.

Of each rule, documents and their tokens (of deduplication: words, and letters where there are no
spaces): that fail it; that it decides first, in the order of reasons; that fail nothing else; and
what would be kept more without it, after deduplication (leave one out). The last counts the
documents that fail nothing else, less those of them, and of others, that would go as copies: it
needs the signatures of both at once, and a run of more than MOST documents does without it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge import copies
from corpusforge.copies import SIGNED
from corpusforge.schema import LANGUAGE, LEDGER, REMOVED
from corpusforge.shard import read_table
from corpusforge.spec import CleanSpec, Dedup
from corpusforge.stages import again
from corpusforge.stages.recipe import judge_of
from corpusforge.transform import alive
from corpusforge.transforms.contaminated import SIGNAL
from corpusforge.transforms.judge import KEEP, MIN_SCORE

MOST = 2_000_000  # documents whose signatures are held, about 0.6 kB each
AHEAD = 2  # units judged at a time
KINDS = ("failed", "first", "unique", "leave_one_out")
JUDGED = ("id", "outcome", "stage", "reasons", *LANGUAGE.names)
JUDGING = ("language", "rules")  # stages whose reasons are of rules


@dataclass
class Attribution:
    """Counts by rule of judged batches; ``rules`` names those that are listed, in order."""

    rules: tuple[str, ...]
    decontaminate: bool  # documents that share n-grams with evaluation items are dropped
    most: int | None = None  # signatures held; with more, none are, and leave_one_out is None
    held: int = field(default=0, init=False)
    numbers: npt.NDArray[np.int64] = field(init=False)  # rule, KINDS, (documents, tokens)
    passed: list[pa.Table] = field(default_factory=list)  # SIGNED of documents that fail nothing
    alone: list[pa.Table] = field(default_factory=list)  # SIGNED and ``rule``: that fail one rule

    def __post_init__(self) -> None:
        self.numbers = np.zeros((len(self.rules), len(KINDS), 2), np.int64)

    def add(self, batch: pa.RecordBatch) -> None:
        """Count a judged batch that has the columns of SIGNED, and ``few``: may have copies."""
        columns = [*SIGNED.names, "few"]
        self._hold(self.passed, batch.filter(pa.array(alive(batch))).select(columns))
        by_rule = pc.is_in(batch.column("stage"), value_set=pa.array(JUDGING))
        failed = batch.filter(by_rule)
        reasons = failed.column("reasons")
        parents = pc.list_parent_indices(reasons).to_numpy().astype(np.int64)
        names = pc.list_flatten(reasons).field("rule")
        rule = (
            pc.index_in(names, value_set=pa.array(self.rules, pa.string()))
            .to_numpy()
            .astype(np.int64)
        )
        first = np.append(True, parents[1:] != parents[:-1])[: len(parents)]
        unique = np.bincount(parents, minlength=1)[parents] == 1
        tokens = pc.fill_null(failed.column("dedup_tokens"), 0).to_numpy().astype(np.int64)
        for kind, mask in enumerate((np.ones(len(rule), bool), first, unique)):
            np.add.at(self.numbers[:, kind, 0], rule[mask], 1)
            np.add.at(self.numbers[:, kind, 1], rule[mask], tokens[parents[mask]])
        unique &= ~_contaminated(failed, self.decontaminate)[parents]  # would go all the same
        signed = failed.select(columns).take(pa.array(parents[unique]))
        signed = signed.append_column("rule", pa.array(rule[unique]))
        apart = ~self._hold(self.alone, signed)  # would stay without the rule, copies or not
        leave = self.numbers[:, KINDS.index("leave_one_out")]
        np.add.at(leave[:, 0], rule[unique][apart], 1)
        np.add.at(leave[:, 1], rule[unique][apart], tokens[parents[unique]][apart])

    def _hold(self, tables: list[pa.Table], batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """Hold the documents that may have copies; returns which (rows,) they are."""
        mine = np.asarray(batch.column("few").to_numpy(zero_copy_only=False), bool)
        batch = batch.filter(batch.column("few")).drop_columns(["few"])
        self.held += batch.num_rows
        if self.known:
            tables.append(pa.table(batch))
        else:
            self.passed.clear()
            self.alone.clear()
        return mine

    @property
    def known(self) -> bool:
        """Tell whether the signatures of all documents that need them are held."""
        return self.most is None or self.held <= self.most

    def candidates(self) -> pa.Table:
        """Return SIGNED of the held documents that fail nothing: deduplication compares them."""
        return pa.concat_tables([SIGNED.empty_table(), *(t.cast(SIGNED) for t in self.passed)])

    def finish(self, removed: pa.Table, spec: Dedup) -> list[dict[str, Any]]:
        """Return the numbers of every rule; ``removed`` is REMOVED of ``candidates``."""
        known = self.known
        if known:
            self._leave_one_out(removed, spec)
        return [
            {
                "rule": name,
                **{
                    kind: {"documents": int(number[0]), "tokens": int(number[1])}
                    if known or kind != "leave_one_out"
                    else None
                    for kind, number in zip(KINDS, rows, strict=True)
                },
            }
            for name, rows in zip(self.rules, self.numbers, strict=True)
        ]

    def _leave_one_out(self, removed: pa.Table, spec: Dedup) -> None:
        passed = self.candidates()
        schema = SIGNED.append(pa.field("rule", pa.int64()))
        alone = pa.concat_tables([schema.empty_table(), *(t.cast(schema) for t in self.alone)])
        every = pa.concat_tables([passed, alone.select(SIGNED.names)])
        group = copies.groups(every)
        old = np.arange(len(every)) < len(passed)
        gone = pc.is_in(every.column("id"), value_set=removed.column("id")).to_numpy()
        tokens = pc.fill_null(every.column("dedup_tokens"), 0).to_numpy()
        of_rule = np.append(np.full(len(passed), -1), alone.column("rule").to_numpy())
        for rule in np.unique(of_rule[~old]).tolist():
            mine = of_rule == rule
            near = mine | (old & np.isin(group, group[mine]))
            after = every.filter(pa.array(near))
            went = copies.removed(after, spec).column("id")
            stays = np.zeros(len(every), bool)
            stays[near] = ~pc.is_in(after.column("id"), value_set=went).to_numpy()
            change = stays.astype(np.int64) - (old & near & ~gone)
            leave = self.numbers[rule, KINDS.index("leave_one_out")]
            leave += change.sum(), (change * tokens).sum()


def _contaminated(batch: pa.RecordBatch, drops: bool) -> npt.NDArray[np.bool_]:
    if not drops:
        return np.zeros(batch.num_rows, bool)
    count = pc.fill_null(batch.column(SIGNAL.name), 0).to_numpy(zero_copy_only=False)
    return np.asarray(count > 0)


def empty(spec: CleanSpec, most: int | None = None) -> Attribution:
    """Return an attribution of the rules of ``spec``, without documents yet."""
    return Attribution(rules_of(spec), again.drops_contaminated(spec), most)


def rules_of(spec: CleanSpec) -> tuple[str, ...]:
    """Return the names of all rules of ``spec``, in the order of reasons."""
    language = () if spec.language.keep == "all" else (KEEP, MIN_SCORE)
    return (*language, *(rule.id for rule in judge_of(spec).rules))


def of_run(root: str, units: Sequence[str], spec: CleanSpec) -> list[dict[str, Any]]:
    """Return the attribution of the settled units of a clean run."""
    found = empty(spec, MOST)
    for _, batch in judged(root, units, spec, known_rules(spec, spec)):
        found.add(batch)
    removed = REMOVED.empty_table()
    if found.known:
        removed = read_table(root, "dedup/removed.arrow", REMOVED)
    return found.finish(removed, spec.dedup)


def known_rules(spec: CleanSpec, old: CleanSpec) -> frozenset[str]:
    """Return the rules of ``spec`` whose reasons stand in the ledger of a run of ``old``."""
    before = {*judge_of(old).rules}
    return frozenset(rule.id for rule in judge_of(spec).rules if rule in before)


def judged(
    root: str,
    units: Sequence[str],
    spec: CleanSpec,
    known: frozenset[str] = frozenset(),
    before: Sequence[str] = ("reasons",),
) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yield (unit, records) of the run in ``root``, judged anew by ``spec``, with SIGNED.

    Of the ledger they have id, verdict and language, and the columns ``before`` (reasons among
    them) as they were, with the prefix ``before_``. Only rules that are not ``known`` look at their
    signals. ``few`` says which records share a key with another, and so may have copies; the others
    have no signature.
    """
    shared = copies.shared(root, units, spec.dedup.bands)
    signals = [rule.signal for rule in judge_of(spec).rules if rule.id not in known]
    columns = tuple(dict.fromkeys([*signals, SIGNAL.name, *SIGNED.names[1:]]))
    names = dict.fromkeys([*JUDGED, *before])
    ledger = pa.schema([LEDGER.field(name) for name in names])
    verdicts = again.verdicts(spec, known)

    def batches(unit: str) -> list[pa.RecordBatch]:
        rows = again.rows(root, unit, columns, ledger, shared.rows, before)
        return [verdicts(batch) for batch in rows]

    with ThreadPoolExecutor(AHEAD) as pool:  # decoding and kernels need no lock of Python's
        queue = deque(pool.submit(batches, unit) for unit in units[:AHEAD])
        for place, unit in enumerate(units):
            found = queue.popleft().result()
            if place + AHEAD < len(units):
                queue.append(pool.submit(batches, units[place + AHEAD]))
            for batch in found:
                yield unit, batch
