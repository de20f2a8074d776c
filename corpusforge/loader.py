"""Token folders -> packed batches: one seeded order, exact state, every row traceable.

What a run reads at a position is a function of (data, plan, seed, position) alone, see `Order`.
So world size, threads, batch size and restarts cannot change it, the state is a few numbers, and
the documents of any step are recomputed instead of logged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa

from corpusforge.errors import InputError, RunError, SpecError, UsageError
from corpusforge.kernels import pairing
from corpusforge.kernels.packing import Rows, fill
from corpusforge.manifest import canonical
from corpusforge.order import LAST, Order, shares
from corpusforge.row_plans import Plan, weighted, width
from corpusforge.shard import join
from corpusforge.tokens import Tokens

VERIFIED = "verified.json"  # in a folder of plans: the shards that were verified
VERSION = 3  # of states
_SCAN = 1 << 16  # rows that are looked at together


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
    follows: np.ndarray | None = None  # bool [B], of pairs: the second span follows the first

    def part(self, rows: slice) -> Self:
        """View some rows of the batch."""
        views: dict[str, Any] = {
            name: None if one is None else one[rows] for name, one in vars(self).items()
        }
        return type(self)(**views)


class TokenLoader:
    """Batches of token folders. Iterating is endless and goes on from ``position``."""

    def __init__(
        self,
        tokens: Tokens,
        plan: Plan,
        order: Order,
        rows: Rows,
        *,
        batch: int,
        mixed: str,
        around: tuple[int, int],
    ) -> None:
        """See ``open``; ``mixed`` stands for the streams and their shares."""
        self.tokens, self.plan, self.order, self.pieces = tokens, plan, order, rows
        self.sequence = width(plan.packing, plan.sequence)
        self.global_batch, self.around, self.mixed = batch, around, mixed
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
        epochs: Mapping[str, float] | None = None,
        by: str = "folder",
        block: int = 1,
        around: tuple[int, int] = (0, 0),
    ) -> Self:
        """Map ``folders`` and plan the rows of ``split`` ("train" or "heldout").

        ``sequence`` is tokens a row, ``batch`` rows a step over all ranks, ``heldout`` a share of
        the documents. The plan is stored in, or found in, ``plan_folder`` if that is given; then
        the shards are verified before, see `Tokens.verify`, which notes there what it has seen.

        Without ``weights`` the folders are one corpus; with them each folder, ``source`` or
        ``language`` (``by``) is a stream, read in these shares for as many epochs as that takes.
        ``epochs`` gives the shares the other way round: how often each stream is read while one
        with 1 is read once. ``block`` rows are read together, which storage that is slow at random
        access needs. ``around`` are the ids of [CLS] and [SEP] in rows of packing "pairs".

        Raises SpecError for settings out of range or wrong weights, InputError for an empty split,
        and what `Tokens.open` raises.
        """
        if weights and epochs:
            raise SpecError("both weights and epochs are given", remedy="leave one out")
        if batch < 1:
            raise SpecError(f"a batch of {batch} rows", expected="1 or more")
        tokens, given = Tokens.open(folders), weights or epochs
        names, values = weighted(tokens, by, given) if given else ((), [1.0])
        plan = Plan(
            data=tokens.data,
            sequence=sequence,
            packing=packing,
            split=split,
            heldout=heldout,
            by=by if names else "",
            names=names,
            block=block,
        )
        if plan_folder:  # a plan that is made of damaged shards would outlive them
            tokens.verify(join(plan_folder, VERIFIED))
        rows, bounds = plan.rows(tokens, plan_folder)
        if epochs:
            values = [v * n for v, n in zip(values, np.diff(bounds).tolist(), strict=True)]
        order = Order(bounds, shares(values), seed, block)
        streams = [] if by == "folder" else names  # folders are known by their data
        mixture = hashlib.sha256(canonical([streams, order.shares]).encode()).hexdigest()
        mixed = f" {by} {mixture[:16]}" if names else ""
        return cls(tokens, plan, order, rows, batch=batch, mixed=mixed, around=around)

    @property
    def rows(self) -> int:
        """Rows of the plan: the length of an epoch, where the folders are one corpus."""
        return len(self.pieces.offsets) - 1

    def batch(self, position: int, rank: int = 0, world: int = 1) -> Batch:
        """Part ``rank`` of ``world`` equal parts of the global batch that begins at ``position``.

        Slices of gradient accumulation are parts of a larger world. Raises UsageError where
        ``world`` does not divide the batch or has no such ``rank``.
        """
        if world < 1 or self.global_batch % world:
            raise UsageError(
                f"a batch of {self.global_batch} rows cannot be cut into {world} equal parts",
                remedy="change run.batch, run.accumulate or the number of processes",
            )
        if not 0 <= rank < world:
            raise UsageError(f"rank {rank}", expected=f"0 to {world - 1}")
        count = self.global_batch // world
        rows, epochs = self.order.at(position + rank * count, count)
        shape = (count, self.sequence)
        inputs, targets = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.int64)
        positions, segments = np.empty(shape, dtype=np.int32), np.empty(shape, dtype=np.int32)
        size = np.empty(count, dtype=np.float64)
        arrays = (inputs, targets, positions, segments, size)
        if self.plan.packing == "pairs":
            drawn = pairing.draw(self.pieces, rows, epochs, self.order.seed)
            pairing.fill_pairs(self.tokens.shards, self.pieces, rows, *drawn, *self.around, *arrays)
            return Batch(*arrays[:4], rows, epochs, size, drawn[0] == rows)
        fill(self.tokens.shards, self.pieces, rows, *arrays)
        return Batch(*arrays[:4], rows, epochs, size)

    def __iter__(self) -> Self:
        """Return the loader itself."""
        return self

    def __next__(self) -> Batch:
        """Return the whole global batch at ``position`` and step over it."""
        batch = self.batch(self.position)
        self.position += self.global_batch
        return batch

    @property
    def name(self) -> str:
        """What the rows and their shares are, in words; the data has its own digest."""
        plan = self.plan
        block = f" block {plan.block}" if plan.block > 1 else ""
        return f"{plan.packing} {plan.sequence} {plan.split} {plan.heldout}{block}{self.mixed}"

    def epochs(self) -> dict[str, float]:
        """How often each stream has been read at ``position``; "" is the one of no mixture."""
        read, sizes = self.order.read(self.position), np.diff(self.order.bounds).tolist()
        names = self.plan.names or ("",)
        return {name: n / size for name, n, size in zip(names, read, sizes, strict=True)}

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

        Raises RunError where version, data, plan or seed is another, naming both, and for a
        position that no run reaches.
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
        position = state["position"]
        if type(position) is not int or not 0 <= position <= LAST:
            raise RunError(f"the state has position {position!r}", expected=f"0 to {LAST}")
        self.position = position

    # -- provenance ----------------------------------------------------------------------------

    def read(self, batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pieces of a batch: place of each row's first one int64 [B], documents int64 [n], bytes.

        The piece of segment s of row r is ``first[r] + s``; its document is a number as `Tokens`
        counts them, and bytes float64 [n] is the text that its targets stand for.
        """
        of, _, document, _, length = self._pieces(batch.rows, batch.epochs)
        first = np.searchsorted(of, np.arange(len(batch.rows)))
        tokens, size = self.tokens.sizes(document)
        return first, document, (length - 1) / tokens * size

    def documents(self, rows: np.ndarray, epochs: np.ndarray) -> pa.Table:
        """Pieces of plan rows (int64 [n]) in their epochs (int64 [n]), row by row as given.

        Columns: row int64, piece int32 (as in ``segments``), of the document id, source,
        source_id, url, and of the piece start int64 and length int32 in tokens.
        """
        of, piece, document, start, length = self._pieces(rows, epochs)
        found = self.tokens.documents(document)
        columns = {
            "row": rows[of],
            "piece": piece.astype(np.int32),
            **dict(zip(found.schema.names, found.columns, strict=True)),
            "start": start,
            "length": length.astype(np.int32),
        }
        return pa.table(columns)

    def _pieces(self, rows: np.ndarray, epochs: np.ndarray) -> tuple[np.ndarray, ...]:
        """Index in ``rows``, number in the row, document, start and length of each piece."""
        plan = self.pieces
        if self.plan.packing == "pairs":
            partners, splits = pairing.draw(plan, rows, epochs, self.order.seed)
            follows = partners == rows
            rest = np.minimum(plan.length[partners], self.sequence - pairing.AROUND - splits)
            both = np.stack([rows, partners], axis=1).ravel()
            start = np.stack([plan.start[rows], plan.start[partners] + follows * splits], axis=1)
            second = np.where(follows, plan.length[rows] - splits, rest)
            length = np.stack([splits, second], axis=1).ravel()
            of, number = np.repeat(np.arange(len(rows)), 2), np.tile([0, 1], len(rows))
            there = length > 0
            pieces = (of, number, plan.document[both], start.ravel(), length)
            return tuple(one[there] for one in pieces)
        first = plan.offsets[rows]
        count = plan.offsets[rows + 1] - first
        number = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        at = np.repeat(first, count) + number
        of = np.repeat(np.arange(len(rows)), count)
        return of, number, plan.document[at], plan.start[at], plan.length[at]

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
        end = steps * self.global_batch
        if self.plan.packing == "pairs":  # who a row's partner is can only be drawn
            found: list[tuple[int, int]] = []
            for low in range(0, end, _SCAN):
                rows, epochs = self.order.at(low, min(_SCAN, end - low))
                of, _, read, _, _ = self._pieces(rows, epochs)
                at = np.unique(of[np.isin(read, numbers)])
                found += zip(epochs[at].tolist(), (low + at).tolist(), strict=True)
        else:
            pieces = np.flatnonzero(np.isin(self.pieces.document, numbers))
            rows = np.unique(np.searchsorted(self.pieces.offsets, pieces, side="right") - 1)
            found = self.order.readings(rows, end)
        return sorted({(epoch, position // self.global_batch) for epoch, position in found})
