"""Pairs of spans for next-sentence prediction: a row is a function of (seed, epoch, row).

A row of the plan is a chunk of one document. When it is read, a counter generator splits the chunk
into two spans and, in half of the rows, puts the beginning of another document's chunk in the place
of the second (Devlin et al. 2019, "BERT", arXiv 1810.04805, section 3.1).
"""

from __future__ import annotations

import numpy as np

from corpusforge.kernels.feistel import GOLDEN, finalize
from corpusforge.kernels.jit import kernel
from corpusforge.kernels.packing import IGNORED, Rows, Shards

AROUND = 3  # special tokens of a row: [CLS] first [SEP] second [SEP]
_TRIES = 16  # draws of a partner until one is of another document

_HALF = np.uint64(63)


def pairs(lengths: np.ndarray, sequence: int) -> Rows:
    """Cut documents of ``lengths`` (int64 [documents], tokens) into chunks of ``sequence - 3``.

    A row is one piece. Where a document would leave a chunk of one token, which cannot be split,
    the chunk before it gives one up.
    """
    return Rows(*_pairs(lengths, sequence - AROUND))


@kernel
def _pairs(
    lengths: np.ndarray, capacity: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rows = 0
    for size in lengths:
        rows += (size + capacity - 1) // capacity
    document = np.empty(rows, dtype=np.int64)
    start = np.empty(rows, dtype=np.int64)
    length = np.empty(rows, dtype=np.int32)
    row = 0
    for number in range(len(lengths)):
        at, size = 0, lengths[number]
        while at < size:
            count = min(capacity, size - at)
            if size - at - count == 1 and count > 2:
                count -= 1
            document[row], start[row], length[row] = number, at, count
            at += count
            row += 1
    return np.arange(rows + 1), document, start, length


def draw(
    plan: Rows, rows: np.ndarray, epochs: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return partner and split, int64 [n] each, of ``rows`` int64 [n] in ``epochs`` int64 [n].

    The first span are the first ``split`` tokens of the chunk; the second begins the chunk of row
    ``partner``, or goes on in the same chunk where the partner is the row itself. A chunk of one
    token always takes a partner; in a corpus of one document there is none.
    """
    partners, splits = np.empty(len(rows), dtype=np.int64), np.empty(len(rows), dtype=np.int64)
    _draw(plan, rows, epochs, np.uint64(seed & (1 << 64) - 1), partners, splits)
    return partners, splits


@kernel
def _draw(
    plan: Rows,
    rows: np.ndarray,
    epochs: np.ndarray,
    seed: np.uint64,
    partners: np.ndarray,
    splits: np.ndarray,
) -> None:
    count = np.uint64(len(plan.offsets) - 1)
    for i in range(len(rows)):
        row = rows[i]
        state = finalize(finalize(seed + GOLDEN) ^ np.uint64(epochs[i])) ^ np.uint64(row)
        state = finalize(state + GOLDEN)
        size = plan.length[row]
        splits[i] = 1
        if size > 1:
            splits[i] += np.int64(finalize(state) % np.uint64(size - 1))
        partners[i] = row
        state += GOLDEN
        if size > 1 and finalize(state) >> _HALF:
            continue
        for _ in range(_TRIES):
            state += GOLDEN
            other = np.int64(finalize(state) % count)
            if plan.document[other] != plan.document[row]:
                partners[i] = other
                break


@kernel
def fill_pairs(
    shards: Shards,
    plan: Rows,
    rows: np.ndarray,
    partners: np.ndarray,
    splits: np.ndarray,
    first: int,
    between: int,
    inputs: np.ndarray,
    targets: np.ndarray,
    positions: np.ndarray,
    segments: np.ndarray,
    target_bytes: np.ndarray,
) -> None:
    """Write pairs into the arrays of ``packing.fill``: [CLS] first span [SEP] second span [SEP].

    ``first`` and ``between`` are the ids of [CLS] and [SEP]. Segments are 0 and 1, the special
    tokens included; there are no targets; target_bytes are the text bytes of both spans.
    """
    sequence = inputs.shape[1]
    for r in range(len(rows)):
        inputs[r] = 0
        targets[r] = IGNORED
        positions[r] = 0
        segments[r] = -1
        target_bytes[r] = 0.0
        inputs[r, 0], column = first, 1
        for part in range(2):
            row = rows[r] if part == 0 else partners[r]
            skip = splits[r] if part == 1 and row == rows[r] else 0
            left = plan.length[row] - skip
            count = min(left, splits[r] if part == 0 else sequence - 1 - column)
            document = plan.document[row]
            s = np.searchsorted(shards.first, document, side="right") - 1
            local = document - shards.first[s]
            at = shards.offsets_at[s] + local
            begin = shards.offsets[at]
            tokens = shards.offsets[at + 1] - begin
            target_bytes[r] += count / tokens * shards.bytes[shards.bytes_at[s] + local]
            begin += shards.ids_at[s] + plan.start[row] + skip
            for j in range(count):
                inputs[r, column + j] = shards.ids[begin + j]
            inputs[r, column + count] = between
            low = 0 if part == 0 else column
            column += count + 1
            segments[r, low:column] = part
        for j in range(column):
            positions[r, j] = j
