"""Token folders -> packed batches: one seeded order, exact state, every row traceable.

What a run reads at a position is a function of (data, plan, seed, position) alone, see `Order`.
So world size, threads, batch size and restarts cannot change it, the state is a few numbers, and
the documents of any step are recomputed instead of logged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from corpusforge.errors import InputError, RunError, SpecError, UsageError, nearest
from corpusforge.kernels.packing import Rows, best_fit, chop, fill
from corpusforge.manifest import canonical
from corpusforge.order import Order, shares
from corpusforge.shard import ShardWriter, join
from corpusforge.tokens import Tokens

VERSION = 1  # of states and of stored plans

_PLANNERS = {"chop": chop, "bestfit": best_fit}
_LATER = {"pairs": "masked", "spans": "encoder-decoder"}
_PIECE = pa.struct([("document", pa.int64()), ("start", pa.int64()), ("length", pa.int32())])


@dataclass(frozen=True)
class Batch:
    """Rows of one step, or of one rank's part of it: B rows of S tokens."""

    inputs: np.ndarray  # int64 [B, S], 0 where padded
    targets: np.ndarray  # int64 [B, S], -100 where padded or where the next piece begins
    positions: np.ndarray  # int32 [B, S], from 0 in each piece
    segments: np.ndarray  # int32 [B, S], number of the piece in its row, -1 where padded
    rows: np.ndarray  # int64 [B], rows of the plan, as `TokenLoader.documents` takes them
    epochs: np.ndarray  # int64 [B], epoch of each row: (seed, epoch, row) can key a counter RNG
    target_bytes: np.ndarray  # float64 [B], UTF-8 bytes of text that the targets stand for


class TokenLoader:
    """Batches of token folders. Iterating is endless and goes on from ``position``."""

    def __init__(
        self, tokens: Tokens, plan: Rows, order: Order, *, name: str, sequence: int, batch: int
    ) -> None:
        """See ``open``; ``name`` says how ``plan`` was made."""
        self.tokens, self.plan, self.order, self.name = tokens, plan, order, name
        self.sequence, self.global_batch = sequence, batch
        self.position = 0  # rows that all ranks have read since the start of the run

    @classmethod
    def open(
        cls,
        folders: Sequence[str],
        *,
        sequence: int,
        batch: int,
        seed: int,
        packing: str = "bestfit",
        split: str = "train",
        heldout: float = 0.0,
        plan_folder: str | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> Self:
        """Map ``folders`` and plan the rows of ``split`` ("train" or "heldout").

        ``sequence`` is tokens a row, ``batch`` rows a step over all ranks, ``heldout`` a share of
        the documents. The plan is stored in, or found in, ``plan_folder`` if that is given.
        Without ``weights`` the folders are one corpus; with them (folder -> weight, all folders)
        each folder is a stream, read in these shares for as many epochs as that takes.
        Raises SpecError for another packing or wrong weights, InputError for an empty split, and
        what `Tokens.open` raises.
        """
        if packing not in _PLANNERS:
            later = _LATER.get(packing)
            why = f"comes with the {later} objective" if later else "is unknown"
            raise SpecError(
                f"data.packing '{packing}' {why}", remedy=f"use {' or '.join(_PLANNERS)}"
            )
        tokens = Tokens.open(folders)
        values = _weights(tokens.folders, weights) if weights else [1.0]
        key = {
            "version": VERSION,
            "data": tokens.data,
            "sequence": sequence,
            "packing": packing,
            "split": split,
            "heldout": heldout,
            "streams": tokens.bounds if weights else (0, tokens.bounds[-1]),
        }
        plan, bounds = _planned(key, tokens, plan_folder)
        name = f"{packing} {sequence} {split} {heldout}" + (f" {shares(values)}" if weights else "")
        order = Order(bounds, shares(values), seed)
        return cls(tokens, plan, order, name=name, sequence=sequence, batch=batch)

    @property
    def rows(self) -> int:
        """Rows of the plan: the length of an epoch, where the folders are one corpus."""
        return len(self.plan.offsets) - 1

    def batch(self, position: int, rank: int = 0, world: int = 1) -> Batch:
        """Part ``rank`` of ``world`` equal parts of the global batch that begins at ``position``.

        Slices of gradient accumulation are parts of a larger world. Raises UsageError where
        ``world`` does not divide the batch.
        """
        count, rest = divmod(self.global_batch, world)
        if rest:
            raise UsageError(
                f"a batch of {self.global_batch} rows cannot be cut into {world} equal parts",
                remedy="change run.batch, run.accumulate or the number of processes",
            )
        rows, epochs = self.order.at(position + rank * count, count)
        shape = (count, self.sequence)
        inputs, targets = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.int64)
        positions, segments = np.empty(shape, dtype=np.int32), np.empty(shape, dtype=np.int32)
        size = np.empty(count, dtype=np.float64)
        fill(self.tokens.shards, self.plan, rows, inputs, targets, positions, segments, size)
        return Batch(inputs, targets, positions, segments, rows, epochs, size)

    def __iter__(self) -> Self:
        """Return the loader itself."""
        return self

    def __next__(self) -> Batch:
        """Return the whole global batch at ``position`` and step over it."""
        batch = self.batch(self.position)
        self.position += self.global_batch
        return batch

    # -- state ---------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What `load_state` needs to go on from ``position``: constant size, fit for JSON."""
        return {
            "version": VERSION,
            "data": self.tokens.data,
            "plan": self.name,
            "seed": self.order.seed,
            "epoch": self.position // self.rows,
            "position": self.position,
            "batch": self.global_batch,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state`` was taken; with another batch size too, since the order is by row.

        Raises RunError where version, data, plan or seed is another, naming both.
        """
        for key, mine in self.state().items():
            if key not in state:
                raise RunError(f"this is no state of the loader: '{key}' is missing")
            if key in ("version", "data", "plan", "seed") and state[key] != mine:
                raise RunError(
                    f"the state was taken with {key} {state[key]}",
                    expected=str(mine),
                    remedy="give the token folders and data spec it was taken with, or start anew",
                )
        self.position = int(state["position"])

    # -- provenance ----------------------------------------------------------------------------

    def documents(self, rows: np.ndarray) -> pa.Table:
        """Pieces of plan rows (int64 [n]), row by row in the order given.

        Columns: row int64, piece int32 (as in ``segments``), of the document id, source,
        source_id, url, and of the piece start int64 and length int32 in tokens.
        """
        first = self.plan.offsets[rows]
        count = self.plan.offsets[rows + 1] - first
        piece = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        at = np.repeat(first, count) + piece
        found = self.tokens.documents(self.plan.document[at])
        columns = {
            "row": np.repeat(rows, count),
            "piece": piece.astype(np.int32),
            **dict(zip(found.schema.names, found.columns, strict=True)),
            "start": self.plan.start[at],
            "length": self.plan.length[at],
        }
        return pa.table(columns)

    def steps_of(self, document: bytes, steps: int) -> list[tuple[int, int]]:
        """(epoch, step) of each reading of a document (id, 16 bytes) in the steps [0, ``steps``).

        Empty for a document of the other split. Raises InputError where no folder holds it.
        """
        numbers = self.tokens.numbers(document)
        if not len(numbers):
            raise InputError(
                f"no token shard holds document {document.hex()}",
                remedy="ask `forge explain` of the clean run whether it was kept",
            )
        pieces = np.flatnonzero(np.isin(self.plan.document, numbers))
        rows = np.unique(np.searchsorted(self.plan.offsets, pieces, side="right") - 1)
        found = self.order.readings(rows, steps * self.global_batch)
        return sorted({(epoch, position // self.global_batch) for epoch, position in found})


def _weights(folders: Sequence[str], weights: Mapping[str, float]) -> list[float]:
    """Weight of each folder; raises SpecError unless each has one, over 0, and no other has."""
    given = {str(Path(folder)): weight for folder, weight in weights.items()}
    names = [str(Path(folder)) for folder in folders]
    for name, weight in given.items():
        if name not in names:
            raise SpecError(f"weights names '{name}', no input", remedy=nearest(name, names))
        if not weight > 0:
            raise SpecError(f"weight {weight} of '{name}'", expected="a number over 0")
    for name in names:
        if name not in given:
            raise SpecError(f"weights leaves out '{name}'", remedy="give every input a weight")
    return [given[name] for name in names]


# -- plans -------------------------------------------------------------------------------------


def _planned(
    key: Mapping[str, Any], tokens: Tokens, folder: str | None
) -> tuple[Rows, tuple[int, ...]]:
    """Return the plan of ``key`` and the rows at which its streams begin and end.

    A stored plan is an Arrow file, mapped: a row a row, the list of its pieces.
    """
    if folder is None:
        return _read_plan(_make_plan(key, tokens))
    name = f"plan-{hashlib.sha256(canonical(key).encode()).hexdigest()[:16]}.arrow"
    path = Path(join(folder, name))
    if not path.exists():
        plan = _make_plan(key, tokens)
        writer = ShardWriter(folder, name, plan.schema, compress=False)
        writer.write(plan)
        writer.close()
    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
            return _read_plan(reader.get_batch(0))
    except (OSError, pa.ArrowInvalid) as error:
        raise RunError(f"not a plan: {error}", file=str(path), remedy="delete it") from None


def _make_plan(key: Mapping[str, Any], tokens: Tokens) -> pa.RecordBatch:
    lengths = tokens.lengths(key["heldout"], key["split"])
    parts, bounds = [], [0]
    for low, high in pairwise(key["streams"]):
        part = _PLANNERS[key["packing"]](lengths[low:high], key["sequence"])
        if len(part.offsets) == 1:
            raise InputError(
                f"the {key['split']} split holds none of {high - low} documents",
                remedy="change data.heldout or tokenize more documents",
            )
        parts.append(part._replace(document=part.document + low))
        bounds.append(bounds[-1] + len(part.offsets) - 1)
    counts = np.concatenate([np.diff(part.offsets) for part in parts])
    columns = [np.concatenate([getattr(part, field.name) for part in parts]) for field in _PIECE]
    pieces = pa.StructArray.from_arrays([pa.array(one) for one in columns], fields=list(_PIECE))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    rows = pa.LargeListArray.from_arrays(pa.array(offsets), pieces)
    schema = pa.schema(
        [pa.field("pieces", rows.type)], {"key": canonical(key), "streams": json.dumps(bounds)}
    )
    return pa.RecordBatch.from_arrays([rows], schema=schema)


def _read_plan(plan: pa.RecordBatch) -> tuple[Rows, tuple[int, ...]]:
    column = plan.column("pieces")
    pieces = [column.values.field(index).to_numpy() for index in range(len(_PIECE))]
    return Rows(column.offsets.to_numpy(), *pieces), tuple(
        json.loads(plan.schema.metadata[b"streams"])
    )
