"""Plans: which pieces of documents stand in which row, made from lengths alone and stored.

A stored plan is an Arrow file, mapped: a row a row, the list of its pieces. Its name is a digest of
all that it depends on, so a plan is found again or made anew, never wrong.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash

from corpusforge.errors import InputError, RunError, SpecError, nearest
from corpusforge.kernels.packing import Rows, best_fit, chop, raw_length
from corpusforge.kernels.pairing import pairs
from corpusforge.manifest import canonical
from corpusforge.shard import ShardWriter, join
from corpusforge.tokens import Tokens

VERSION = 3  # of stored plans
_LONGEST = 1 << 24  # tokens of a row: planning takes tables of that many entries
_HEAVIEST = 1e18  # weight: times a number of rows it is still a number

_PIECE = pa.struct([("document", pa.int64()), ("start", pa.int64()), ("length", pa.int32())])


def _spans(lengths: np.ndarray, sequence: int) -> Rows:
    return best_fit(lengths, sequence - 1)  # all of a row is input


_PLANNERS: dict[str, Callable[[np.ndarray, int], Rows]] = {
    "chop": chop,
    "bestfit": best_fit,
    "pairs": pairs,
    "spans": _spans,
}
_SPLITS = ("train", "heldout")
_STREAMS = ("", "folder", "source", "language")


def width(packing: str, sequence: int) -> int:
    """Tokens of a row's arrays: more than ``sequence`` where spans of it will be cut out.

    Raises SpecError for an unknown ``packing`` or a ``sequence`` that it cannot fill.
    """
    if packing not in _PLANNERS:
        raise SpecError(f"data.packing '{packing}'", remedy=nearest(packing, _PLANNERS))
    least = 8 if packing in ("pairs", "spans") else 1
    if not least <= sequence <= _LONGEST:
        raise SpecError(f"data.sequence = {sequence}", expected=f"{least} to {_LONGEST} tokens")
    return raw_length(sequence) if packing == "spans" else sequence


@dataclass(frozen=True)
class Plan:
    """All that the rows of a run depend on."""

    data: str  # digest of the tokens
    sequence: int
    packing: str
    split: str = "train"
    heldout: float = 0.0
    by: str = ""  # what makes a document's stream: "folder", "source", "language"; "": one stream
    names: tuple[str, ...] = ()  # of the streams
    block: int = 1  # rows read together: they are packed from documents that lie together

    def __post_init__(self) -> None:
        """Raise SpecError for settings by which no plan can be made."""
        width(self.packing, self.sequence)
        for name, value, known in (("split", self.split, _SPLITS), ("by", self.by, _STREAMS)):
            if value not in known:
                raise SpecError(f"data.{name} = '{value}'", remedy=nearest(value, known))
        if not 0 <= self.heldout < 1:
            raise SpecError(f"data.heldout = {self.heldout}", expected="at least 0 and below 1")
        if self.block < 1:
            raise SpecError(f"data.block = {self.block}", expected="1 or more rows")

    def rows(self, tokens: Tokens, folder: str | None) -> tuple[Rows, tuple[int, ...]]:
        """Return the rows and where each stream begins and ends in them.

        They are stored in, or found in, ``folder`` if that is given. Raises InputError for a
        stream without documents in the split.
        """
        if folder is None:
            return _read(self._make(tokens))
        # A folder is known by its data, wherever it lies.
        names = len(self.names) if self.by == "folder" else self.names
        key = canonical({"version": VERSION, **asdict(self), "names": names})
        name = f"plan-{hashlib.sha256(key.encode()).hexdigest()[:16]}.arrow"
        path = Path(join(folder, name))
        if not path.exists():
            plan = self._make(tokens)
            with ShardWriter(folder, name, plan.schema, compress=False) as writer:
                writer.write(plan)
                writer.close()
        try:
            with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
                return _read(reader.get_batch(0))
        except (OSError, TypeError, ValueError, KeyError, pa.ArrowException) as error:
            raise RunError(f"not a plan: {error}", file=str(path), remedy="delete it") from None

    def _make(self, tokens: Tokens) -> pa.RecordBatch:
        lengths = tokens.lengths(self.heldout, self.split)
        stream = tokens.streams(self.by, self.names) if self.by else None
        parts, bounds = [], [0]
        for index in range(max(1, len(self.names))):
            mine = None if stream is None else np.flatnonzero(stream == index)
            sizes = lengths if mine is None else lengths[mine]
            if not sizes.any():
                where = f" of {self.names[index]}" if self.names else ""
                raise InputError(
                    f"the {self.split} split holds none of the documents{where}",
                    remedy="change data.heldout or tokenize more documents",
                )
            part = self._packed(sizes)
            if mine is not None:
                part = part._replace(document=mine[part.document])
            parts.append(part)
            bounds.append(bounds[-1] + len(part.offsets) - 1)
        rows = _joined(parts)
        columns = [pa.array(getattr(rows, field.name)) for field in _PIECE]
        pieces = pa.StructArray.from_arrays(columns, fields=list(_PIECE))
        lists = pa.LargeListArray.from_arrays(pa.array(rows.offsets), pieces)
        about = {"streams": json.dumps(bounds), "checksum": _checksum(rows)}
        schema = pa.schema([pa.field("pieces", lists.type)], about)
        return pa.RecordBatch.from_arrays([lists], schema=schema)

    def _packed(self, lengths: np.ndarray) -> Rows:
        """Pack documents; with blocks, those of about one block of rows at a time."""
        planner = _PLANNERS[self.packing]
        if self.block == 1 or self.packing not in ("bestfit", "spans"):
            return planner(lengths, width(self.packing, self.sequence))
        size = self.block * width(self.packing, self.sequence)
        ends = np.searchsorted(np.cumsum(lengths), np.arange(size, lengths.sum() + size, size))
        parts, low = [], 0
        for high in (*(ends[:-1] + 1).tolist(), len(lengths)):
            if high > low:
                part = planner(lengths[low:high], width(self.packing, self.sequence))
                parts.append(part._replace(document=part.document + low))
            low = max(low, high)
        return _joined(parts)


def _joined(parts: Sequence[Rows]) -> Rows:
    counts = np.concatenate([np.diff(part.offsets) for part in parts])
    columns = [np.concatenate([getattr(part, field.name) for part in parts]) for field in _PIECE]
    return Rows(np.concatenate([[0], np.cumsum(counts)]), *columns)


def _read(plan: pa.RecordBatch) -> tuple[Rows, tuple[int, ...]]:
    """Rows and streams of a plan; ValueError where its bytes are not those that were written."""
    column, about = plan.column("pieces"), plan.schema.metadata or {}
    pieces = [column.values.field(index).to_numpy() for index in range(len(_PIECE))]
    rows = Rows(column.offsets.to_numpy(), *pieces)
    if about[b"checksum"].decode() != _checksum(rows):
        raise ValueError("the checksum is off")
    return rows, tuple(json.loads(about[b"streams"]))


def _checksum(rows: Rows) -> str:
    """Xxh3-128 (hex): a kernel trusts what it finds in a plan, and reads it at memory speed."""
    checksum = xxhash.xxh3_128()
    for column in rows:
        checksum.update(np.ascontiguousarray(column).data)
    return checksum.hexdigest()


def weighted(
    tokens: Tokens, by: str, weights: Mapping[str, float]
) -> tuple[tuple[str, ...], list[float]]:
    """Return the streams that ``weights`` names and their weights, in an order not the user's.

    Folders come as `Tokens` orders them. Raises SpecError for a weight that is not over 0, and for
    a folder without a weight or a weight without its folder.
    """
    for name, weight in weights.items():
        if not 0 < weight <= _HEAVIEST:
            raise SpecError(f"weight {weight} of '{name}'", expected=f"over 0, to {_HEAVIEST:g}")
    if by != "folder":
        names = tuple(sorted(weights))
        return names, [weights[name] for name in names]
    named = {Path(name).resolve(): name for name in weights}
    folders = [Path(folder).resolve() for folder in tokens.folders]
    for path, name in sorted(named.items()):
        if path not in folders:
            raise SpecError(
                f"weights names '{name}', no input", remedy=nearest(name, tokens.folders)
            )
    for path, folder in zip(folders, tokens.folders, strict=True):
        if path not in named:
            raise SpecError(f"weights leaves out '{folder}'", remedy="give every input a weight")
    return tokens.folders, [weights[named[path]] for path in folders]
