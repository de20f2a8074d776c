"""The dedup index of a corpus: what later corpora are compared with, without its texts.

INDEX/ index.json       version, parameters, permutations, name, digests of the files
       documents.arrow  every signed document, by number: rank, sketch, whether it stayed, for what
       exact.arrow      exact keys, near.arrow  band keys: KEYED, sorted by key
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as ipc

from corpusforge import manifest
from corpusforge import spec as specs
from corpusforge.errors import RunError, UsageError
from corpusforge.external_sort import MEMORY
from corpusforge.kernels import minhash, priority
from corpusforge.kernels.dedup import KEYED, WIDTH, halves, sorted_keys
from corpusforge.numbered import EARLIER, FIELDS, SIGNALS, Stretch
from corpusforge.schema import REMOVED
from corpusforge.shard import ShardWriter, exists, join, read_batches, read_json, write_json
from corpusforge.spec import CleanSpec, Dedup
from corpusforge.storage import file_system

FORMAT = 1
SIGNED = ("id", "rank", "tie", "sketch", "shingles")
COLUMNS = (*SIGNED, *EARLIER)
DOCUMENTS = pa.schema([FIELDS[name] for name in COLUMNS])
ROWS = 1 << 16  # of a batch of keys


@dataclass(frozen=True)
class Index:
    """An index to compare with: where it lies, what its corpus is called, what it holds."""

    root: str
    name: str
    facts: dict[str, Any]  # index.json

    @property
    def rows(self) -> int:
        """Documents in it."""
        return int(self.facts["documents"])


def parameters(spec: Dedup) -> dict[str, Any]:
    """Return what two corpora must share to be compared, by spec key."""
    names = ["exact", "near"]
    if spec.near != "none":
        names += ["bands", "rows", "ngram", "seed", "verify"]
    return {f"dedup.{name}": getattr(spec, name) for name in names}


def build(root: str, out: str) -> dict[str, Any]:
    """Write the index of the finished clean run in ``root`` to the folder ``out``; returns facts.

    Raises RunError where ``out`` holds something else.
    """
    run = manifest.read(root, "clean")
    spec = specs.parse(CleanSpec, run.spec).dedup
    if not exists(out, "index.json"):
        fs, path = file_system(out)
        found = (
            [PurePosixPath(one).name for one in fs.ls(path, detail=False)]
            if fs.exists(path)
            else []
        )
        for one in found:
            if one.endswith(".tmp.arrow") and one.startswith(
                ("exact-", "near-")
            ):  # of a killed one
                fs.rm_file(join(path, one))
        if not all(one.startswith(("documents.arrow", "exact", "near")) for one in found):
            raise RunError(
                "this folder is not empty and is no index", file=out, remedy="choose another -o"
            )
    removed = _Removed(root)
    keys = {kind: _Keys(out, kind) for kind in KEYED if getattr(spec, kind) != "none"}
    rows = 0
    with ShardWriter(out, "documents.arrow", DOCUMENTS) as documents:
        for shard in run.in_folder("signals"):
            for batch in _signed(root, shard.name):
                gone = removed.of(batch.column("id"))
                batch = pa.record_batch(
                    [
                        *(batch.column(name) for name in SIGNED),
                        *(gone[name] for name in EARLIER),
                        pa.array(np.arange(rows, rows + batch.num_rows)),
                        *(batch.column(name) for name in ("exact", "bands")),
                    ],
                    names=[*COLUMNS, "number", "exact", "bands"],
                )
                documents.write(batch)
                if "exact" in keys:
                    keys["exact"].add(batch)
                if "near" in keys:
                    copy = pc.fill_null(batch.column("went_exact"), False)
                    keys["near"].add(batch.filter(pc.invert(copy)))
                rows += batch.num_rows
        files = [documents.close()]
    starts = {}
    for kind, collected in keys.items():
        shard, starts[kind] = collected.close()
        files.append(shard)
    a, b = minhash.permutations(spec.bands * spec.rows, spec.seed)
    facts = {
        "format": FORMAT,
        "version": minhash.VERSION,
        "parameters": parameters(spec),
        "permutations": {"a": a.tolist(), "b": b.tolist()},
        "content": run.content,
        "documents": rows,
        "survivors": rows - removed.count,
        "starts": starts,
        "files": [{"name": f.name, "bytes": f.bytes, "sha256": f.sha256} for f in files],
    }
    write_json(join(out, "index.json"), facts)
    return facts


def _signed(root: str, name: str) -> Iterator[pa.RecordBatch]:
    """Yield the documents that took part in deduplication."""
    names = [*SIGNED, "exact", "bands"]
    stored = [SIGNALS.get(name, name) for name in names]
    for batch in read_batches(root, name, [*stored, "candidate"]):
        yield batch.filter(batch.column("candidate")).select(stored).rename_columns(names)


class _Removed:
    """The removal table of a run beside its documents, both by number."""

    def __init__(self, root: str) -> None:
        self.batches = read_batches(root, "dedup/removed.arrow")
        self.held = REMOVED.empty_table()
        self.count = 0

    def of(self, ids: pa.Array) -> dict[str, pa.Array]:
        """Return the columns EARLIER of the next documents."""
        while len(self.held) < len(ids):
            batch = next(self.batches, None)
            if batch is None:
                break
            self.held = pa.concat_tables([self.held, pa.table(batch.cast(REMOVED))])
        head = self.held.slice(0, len(ids))
        place = pc.index_in(ids, value_set=head["id"])
        count = len(ids) - place.null_count
        self.held, self.count = self.held.slice(count).combine_chunks(), self.count + count
        found = {
            name: head[name].combine_chunks().take(place)
            for name in REMOVED.names
            if name not in ("id", "exact")
        }
        found["went_exact"] = head["exact"].combine_chunks().take(place)
        found["survivor"] = place.is_null()
        return found


class _Keys:
    """Collects KEYED rows and writes them sorted by key: by range of the key, range after range."""

    RANGES = 64

    def __init__(self, out: str, kind: str) -> None:
        self.out, self.kind = out, kind
        self.parts: list[tuple[np.ndarray, pa.Table]] = []
        self.spilled: list[list[str]] = [[] for _ in range(self.RANGES)]
        self.bytes = 0

    def add(self, documents: pa.RecordBatch) -> None:
        """Take the keys of documents."""
        tops, rows = sorted_keys(self.kind, documents)
        self.parts.append((tops, pa.table(rows)))
        self.bytes += len(tops) * WIDTH[self.kind]
        if self.bytes > MEMORY:
            self._spill()

    def _spill(self) -> None:
        for home in range(self.RANGES):
            tables = [t.slice(*_between(tops, home, self.RANGES)) for tops, t in self.parts]
            name = f"{self.kind}-{home:02d}-{len(self.spilled[home]):05d}.tmp.arrow"
            with ShardWriter(self.out, name, KEYED[self.kind], compress=False) as writer:
                for batch in pa.concat_tables(tables).combine_chunks().to_batches():
                    writer.write(batch)
                writer.close()
            self.spilled[home].append(name)
        self.parts, self.bytes = [], 0

    def close(self) -> tuple[Any, list[str]]:
        """Write the file; returns its shard, and the first key (hex of 64 bits) of each batch."""
        starts: list[str] = []
        fs, folder = file_system(self.out)
        with ShardWriter(self.out, f"{self.kind}.arrow", KEYED[self.kind]) as writer:
            for home in range(self.RANGES):
                tables = [t.slice(*_between(tops, home, self.RANGES)) for tops, t in self.parts]
                for name in self.spilled[home]:
                    tables += [pa.table(batch) for batch in read_batches(self.out, name)]
                    fs.rm_file(join(folder, name))
                table = pa.concat_tables([KEYED[self.kind].empty_table(), *tables])
                tops = _tops(self.kind, table["key"])
                order = np.argsort(tops, kind="stable")
                table = table.take(pa.array(order)).combine_chunks()
                for batch in table.to_batches(max_chunksize=ROWS):
                    starts.append(f"{int(_tops(self.kind, batch.column('key'))[0]):016x}")
                    writer.write(batch)
            return writer.close(), starts


def _tops(kind: str, keys: pa.Array | pa.ChunkedArray) -> np.ndarray:
    return halves(keys)[0] if kind == "exact" else np.asarray(keys.to_numpy())


def _between(tops: np.ndarray, home: int, ranges: int) -> tuple[int, int]:
    """Return start and length of range ``home`` in sorted ``tops``, as ``kernels.dedup`` cuts."""
    homes = ((tops >> np.uint64(32)) * np.uint64(ranges)) >> np.uint64(32)
    low, high = np.searchsorted(homes, [home, home + 1])
    return int(low), int(high - low)


# -- an index to compare with --------------------------------------------------------------------


def split_name(argument: str) -> tuple[str, str]:
    """Return (name, path) of ``name=path`` or a path, whose last part is the name."""
    name, separator, path = argument.partition("=")
    if separator and name and "/" not in name and ":" not in name:
        return name, path
    return PurePosixPath(argument.rstrip("/")).name or argument, argument


@dataclass(frozen=True)
class Earlier:
    """A corpus to compare with: an index, or a clean run; the first of several wins."""

    name: str
    path: str
    content: str  # digest of its run
    documents: int  # that took part in its deduplication, or a few more


def find(arguments: Sequence[str], spec: Dedup) -> list[Earlier]:
    """Look at indexes and clean runs that were named.

    Raises RunError for one that was made with other parameters, with their names.
    """
    if arguments and spec.exact == "none" and spec.near == "none":
        raise UsageError("--against without deduplication", remedy="set dedup.exact or dedup.near")
    found: list[Earlier] = []
    for argument in arguments:
        name, path = split_name(argument)
        if name in [one.name for one in found]:
            raise UsageError(
                f"two corpora are called '{name}'", remedy=f"give them names: first={path}"
            )
        facts = read_json(join(path, "index.json"))
        if facts is None:
            run = manifest.read(path, "clean")
            _match(path, parameters(specs.parse(CleanSpec, run.spec).dedup), spec)
            content, documents = run.content, sum(s.rows for s in run.in_folder("signals"))
        else:
            _match_definition(path, facts, spec)
            content, documents = facts["content"], facts["documents"]
        found.append(Earlier(name, path, content, documents))
    if len(found) >= priority.MOST_CORPORA:
        raise UsageError(
            f"{len(found)} corpora to compare with", expected=f"below {priority.MOST_CORPORA}"
        )
    return found


def open_all(earlier: Sequence[Earlier], spec: Dedup, scratch: str) -> list[Index]:
    """Open the indexes; those of clean runs are made in ``scratch``."""
    found = []
    for one in earlier:
        root = one.path
        if not exists(root, "index.json"):
            root = join(scratch, one.content[:32])
            if not exists(root, "index.json"):
                build(one.path, root)
        _match_definition(root, facts(root), spec)
        found.append(Index(root, one.name, facts(root)))
    return found


def _match(path: str, theirs: dict[str, Any], spec: Dedup) -> None:
    ours = parameters(spec)
    changed = [
        f"{key} ({theirs.get(key)!r} there, {ours.get(key)!r} here)"
        for key in sorted({*theirs, *ours})
        if theirs.get(key) != ours.get(key)
    ]
    if changed:
        raise RunError(
            f"this corpus was deduplicated with other settings: {', '.join(changed)}",
            file=path,
            remedy="set the same here, or clean it again with the new ones",
        )


def _match_definition(path: str, facts: Any, spec: Dedup) -> None:
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise RunError(
            "this is no index of this version", file=path, remedy="make it again: forge index RUN"
        )
    _match(path, facts["parameters"], spec)
    changed = []
    if facts["version"] != minhash.VERSION:
        changed.append(f"version ({facts['version']} there, {minhash.VERSION} here)")
    a, b = minhash.permutations(spec.bands * spec.rows, spec.seed)
    if facts["permutations"] != {"a": a.tolist(), "b": b.tolist()}:
        changed.append("permutations")
    if changed:
        raise RunError(
            f"this index is of another definition: {', '.join(changed)}",
            file=path,
            remedy="clean its corpus again with this version",
        )


def stretch(index: Index, place: int, first: int) -> Stretch:
    """The documents of the ``place``-th index to compare with."""

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        there = [name for name in names if name in COLUMNS]
        for batch in read_batches(index.root, "documents.arrow", there):
            yield _before(batch, place)

    return Stretch(first, index.rows, read)


def _before(batch: pa.RecordBatch | pa.Table, place: int) -> Any:
    """Give documents of an earlier corpus the ranks of one."""
    at = batch.schema.get_field_index("rank")
    if at < 0:
        return batch
    rank = priority.of_corpus(batch.column("rank").to_numpy(), place)
    return batch.set_column(at, "rank", pa.array(rank))


def facts(root: str) -> dict[str, Any]:
    """Return index.json of the index in ``root``."""
    return dict(read_json(join(root, "index.json")) or {})


def keys(
    root: str, facts: dict[str, Any], kind: str, number: int, ranges: int, place: int, first: int
) -> Iterator[pa.Table]:
    """Yield the KEYED rows of range ``number`` of ``ranges`` of the ``place``-th index.

    Their numbers start at ``first``.
    """
    starts = np.array([int(start, 16) for start in facts["starts"].get(kind, [])], np.uint64)
    low, high = (-(-(n << 32) // ranges) << 32 for n in (number, number + 1))
    begin = max(int(np.searchsorted(starts, np.uint64(low))) - 1, 0)
    end = len(starts)
    if number + 1 < ranges:
        end = int(np.searchsorted(starts, np.uint64(high)))
    if begin >= end:
        return
    fs, path = file_system(join(root, f"{kind}.arrow"))
    with fs.open(path, "rb") as file:
        reader = ipc.open_file(pa.PythonFile(file, mode="r"))
        for at in range(begin, end):
            batch = reader.get_batch(at)
            start, length = _between(_tops(kind, batch.column("key")), number, ranges)
            batch = _before(batch.slice(start, length), place)
            numbers = pa.array(batch.column("number").to_numpy() + first)
            yield pa.table(batch.set_column(3, "number", numbers))
