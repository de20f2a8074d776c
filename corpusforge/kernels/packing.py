"""Rows of a fixed number of tokens from documents, planned from their lengths alone, and filled.

A row holds ``sequence + 1`` tokens: inputs are all but the last, targets all but the first.
``chop`` cuts the concatenated documents; rows overlap by one token, so that every token but the
first is a target once. ``best_fit`` keeps a document whole where it fits in a row (Ding et al.
2024, "Fewer Truncations Improve Language Modeling"), and every token stands in one row once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from corpusforge.kernels.jit import kernel

IGNORED = -100  # a target that no loss counts


class Rows(NamedTuple):
    """Pieces of documents row by row: row r holds pieces ``offsets[r]`` to ``offsets[r + 1]``."""

    offsets: np.ndarray  # int64 [rows + 1]
    document: np.ndarray  # int64 [pieces]
    start: np.ndarray  # int64 [pieces], first token of the piece inside its document
    length: np.ndarray  # int32 [pieces], tokens


class Shards(NamedTuple):
    """Mapped record batches of token shards; entry s of an int64 array is about batch s.

    ``ids``, ``offsets`` and ``bytes`` each span all batches: ``*_at`` say where one begins.
    """

    first: np.ndarray  # int64 [shards + 1], number of the batch's first document; last: documents
    ids: np.ndarray  # uint16 or uint32, token ids
    ids_at: np.ndarray
    offsets: np.ndarray  # int64, of a document's first token in the ids of its batch
    offsets_at: np.ndarray
    bytes: np.ndarray  # int32, UTF-8 bytes of a document's text
    bytes_at: np.ndarray


def chop(lengths: np.ndarray, sequence: int) -> Rows:
    """Cut documents of ``lengths`` (int64 [documents], tokens) every ``sequence`` tokens.

    The last row may be short. A document of length 0 has no piece.
    """
    return Rows(*_chop(lengths, sequence))


def best_fit(lengths: np.ndarray, sequence: int) -> Rows:
    """Best-fit decreasing into rows of ``sequence + 1`` tokens; ``lengths`` int64 [documents].

    A longer document fills rows of its own and its rest is packed like a document, which is as
    few cuts as there can be. Ties go to the lower document, and to the row that was used last.
    """
    return Rows(*_best_fit(lengths, sequence + 1))


def raw_length(sequence: int, density: float = 0.15, span: float = 3.0) -> int:
    """Most tokens that span corruption turns into an input of at most ``sequence`` tokens.

    Of n tokens round(n density) are noise in round(noise / span) spans, each replaced by one
    sentinel, and an end mark follows (Raffel et al. 2020, "T5", JMLR 21/140, section 3.1.4).
    """
    tokens = 1
    while True:
        noise = min(max(round((tokens + 1) * density), 1), tokens)
        if tokens + 1 - noise + max(round(noise / span), 1) + 1 > sequence:
            return tokens
        tokens += 1


@kernel
def _chop(
    lengths: np.ndarray, sequence: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    total, documents = 0, 0
    for size in lengths:
        total += size
        documents += size > 0
    rows = max(1, (total - 1 + sequence - 1) // sequence) if total > 0 else 0
    offsets = np.zeros(rows + 1, dtype=np.int64)
    # One piece a document, and at most two more where a row ends: its two sides and the overlap.
    document = np.empty(documents + 2 * rows, dtype=np.int64)
    start = np.empty(documents + 2 * rows, dtype=np.int64)
    length = np.empty(documents + 2 * rows, dtype=np.int32)
    pieces, current, begin = 0, 0, 0  # `begin`: where `current` starts in the concatenation
    for row in range(rows):
        at, end = row * sequence, min((row + 1) * sequence + 1, total)
        while at < end:
            while begin + lengths[current] <= at:
                begin += lengths[current]
                current += 1
            stop = min(begin + lengths[current], end)
            document[pieces], start[pieces], length[pieces] = current, at - begin, stop - at
            pieces += 1
            at = stop
        offsets[row + 1] = pieces
    return offsets, document[:pieces].copy(), start[:pieces].copy(), length[:pieces].copy()


@kernel
def _best_fit(
    lengths: np.ndarray, capacity: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    # Documents by the length of their rest: those of rest r are order[first[r] : first[r + 1]].
    first = np.zeros(capacity + 1, dtype=np.int64)
    full = 0
    for size in lengths:
        full += size // capacity
        if size % capacity:
            first[size % capacity + 1] += 1
    for size in range(capacity):
        first[size + 1] += first[size]
    rests = first[capacity]
    order = np.empty(rests, dtype=np.int64)
    cursor = first.copy()
    for number in range(len(lengths)):
        rest = lengths[number] % capacity
        if rest:
            order[cursor[rest]] = number
            cursor[rest] += 1

    # Rows with `free` places left are a stack: `top[free]`, then `below[row]`.
    top = np.full(capacity + 1, -1, dtype=np.int64)
    below = np.empty(rests, dtype=np.int64)
    row_of = np.empty(rests, dtype=np.int64)
    rows = 0
    for size in range(capacity - 1, 0, -1):
        free, most = size, capacity - size  # no open row has more than `most` places
        for i in range(first[size], first[size + 1]):
            while free <= most and top[free] < 0:
                free += 1
            if free > most:
                row, left = rows, capacity - size
                rows += 1
            else:
                row, left = top[free], free - size
                top[free] = below[row]
            row_of[i] = row
            if left:
                below[row] = top[left]
                top[left] = row
            if left >= size:
                free = min(free, left)  # nothing between `size` and the old `free` was open

    offsets = np.zeros(full + rows + 1, dtype=np.int64)
    offsets[1 : full + 1] = 1
    for i in range(rests):
        offsets[full + row_of[i] + 1] += 1
    for row in range(full + rows):
        offsets[row + 1] += offsets[row]
    document = np.empty(full + rests, dtype=np.int64)
    start = np.empty(full + rests, dtype=np.int64)
    length = np.empty(full + rests, dtype=np.int32)
    piece = 0
    for number in range(len(lengths)):
        for part in range(lengths[number] // capacity):
            document[piece], start[piece], length[piece] = number, part * capacity, capacity
            piece += 1
    cursor = offsets[full:].copy()
    for size in range(capacity - 1, 0, -1):
        for i in range(first[size], first[size + 1]):
            piece = cursor[row_of[i]]
            cursor[row_of[i]] += 1
            document[piece], start[piece] = order[i], lengths[order[i]] - size
            length[piece] = size
    return offsets, document, start, length


@kernel
def fill(
    shards: Shards,
    plan: Rows,
    rows: np.ndarray,
    inputs: np.ndarray,
    targets: np.ndarray,
    positions: np.ndarray,
    segments: np.ndarray,
    target_bytes: np.ndarray,
) -> None:
    """Write the rows ``rows`` (int64 [B]) of ``plan`` into the arrays that follow.

    inputs, targets int64 [B, S]; positions, segments int32 [B, S]; target_bytes float64 [B]: the
    text bytes of the row's targets, a document's bytes being spread evenly over its tokens.
    """
    sequence = inputs.shape[1]
    for r in range(len(rows)):
        row_in, row_out, row_at, row_of = inputs[r], targets[r], positions[r], segments[r]
        column, size = 0, 0.0
        first = plan.offsets[rows[r]]
        for piece in range(first, plan.offsets[rows[r] + 1]):
            document, length = plan.document[piece], int(plan.length[piece])
            s = np.searchsorted(shards.first, document, side="right") - 1
            local = document - shards.first[s]
            at = shards.offsets_at[s] + local
            begin = shards.offsets[at]
            tokens = shards.offsets[at + 1] - begin
            size += (length - 1) / tokens * shards.bytes[shards.bytes_at[s] + local]
            begin += shards.ids_at[s] + plan.start[piece]
            # Slices, so that indices run from 0 and the loops become vector instructions.
            last = min(length, sequence - column)  # the row's last token is no input
            ids, place = shards.ids[begin : begin + last], row_in[column : column + last]
            for j in range(last):
                place[j] = ids[j]
            ids, place = shards.ids[begin + 1 : begin + length], row_out[column:]
            for j in range(length - 1):
                place[j] = ids[j]
            count = row_at[column : column + last]
            for j in range(last):
                count[j] = j
            row_of[column : column + last] = piece - first
            column += length
            if column <= sequence:
                row_out[column - 1] = IGNORED
        row_in[column:] = 0
        row_out[column:] = IGNORED
        row_at[column:] = 0
        row_of[column:] = -1
        target_bytes[r] = size
