"""Plans hold every token once and cut no more than they must; filled rows equal plain Python."""

import gzip
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.kernels.packing import IGNORED, Shards, best_fit, chop, fill

LENGTHS = st.lists(st.integers(0, 40), max_size=30).map(lambda x: np.array(x, dtype=np.int64))
SEQUENCE = st.integers(1, 20)
SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "text_sample.jsonl.gz"


def rows_of(plan):
    """Each row as a list of its tokens (document, place in it)."""
    return [
        [
            (int(plan.document[p]), int(plan.start[p]) + place)
            for p in range(plan.offsets[r], plan.offsets[r + 1])
            for place in range(plan.length[p])
        ]
        for r in range(len(plan.offsets) - 1)
    ]


def stream_of(lengths):
    """All tokens (document, place in it) in order."""
    return [(d, place) for d, size in enumerate(lengths) for place in range(size)]


@settings(max_examples=150, deadline=None)
@given(LENGTHS, SEQUENCE)
def test_chop_cuts_the_stream(lengths, sequence):
    """Row i is tokens [i S, i S + S] of the concatenation: each but the first a target once."""
    stream, rows = stream_of(lengths), rows_of(chop(lengths, sequence))
    assert rows == [stream[i * sequence : (i + 1) * sequence + 1] for i in range(len(rows))]
    assert sorted(token for row in rows for token in row[1:]) == stream[1:]
    assert (len(rows) == 0) == (len(stream) == 0)


@settings(max_examples=150, deadline=None)
@given(LENGTHS, SEQUENCE)
def test_best_fit_holds_each_token_once(lengths, sequence):
    """No row is over-full or empty; a document is cut only where it is longer than a row."""
    plan, room = best_fit(lengths, sequence), sequence + 1
    rows = rows_of(plan)
    assert sorted(token for row in rows for token in row) == stream_of(lengths)
    assert all(1 <= len(row) <= room for row in rows)
    pieces = np.bincount(plan.document, minlength=len(lengths))
    assert np.array_equal(pieces, -(-lengths // room))


@settings(max_examples=150, deadline=None)
@given(LENGTHS, SEQUENCE)
def test_best_fit_is_the_textbook_algorithm(lengths, sequence):
    """The same fill of rows as scanning all open rows for the tightest one, longest piece first."""
    room, free = sequence + 1, []
    for size in sorted((size % room for size in lengths.tolist() if size % room), reverse=True):
        fits = [place for place in range(len(free)) if free[place] >= size]
        if not fits:
            fits, free = [len(free)], [*free, room]
        free[min(fits, key=free.__getitem__)] -= size
    fills = [len(row) for row in rows_of(best_fit(lengths, sequence))]
    assert sorted(fills) == sorted([room] * int((lengths // room).sum()) + [room - f for f in free])


def shards_of(lengths, cuts, dtype):
    """Documents of consecutive ids, cut into shards after the documents ``cuts``."""
    bounds = np.array([0, *cuts, len(lengths)])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    offsets = [starts[a : b + 1] - starts[a] for a, b in pairwise(bounds)]
    return Shards(
        first=bounds,
        ids=np.arange(starts[-1]).astype(dtype),
        ids_at=starts[bounds[:-1]],
        offsets=np.concatenate(offsets),
        offsets_at=np.cumsum([0, *(len(part) for part in offsets[:-1])]),
        bytes=(np.arange(len(lengths)) + 7).astype(np.int32),
        bytes_at=bounds[:-1],
    )


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
@settings(max_examples=60, deadline=None)
@given(LENGTHS.filter(lambda x: x.sum() > 0), SEQUENCE, st.booleans(), st.data())
def test_filled_rows(dtype, lengths, sequence, whole, data):
    """Every array of a batch against a row built token by token."""
    cut = data.draw(st.integers(0, len(lengths)))
    shards = shards_of(lengths, [cut], dtype)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    plan = best_fit(lengths, sequence) if whole else chop(lengths, sequence)
    count = len(plan.offsets) - 1
    rows = np.arange(count)[::-1].copy()
    long, short = np.int64, np.int32
    inputs, targets, positions, segments = (
        np.full((count, sequence), 99, dtype=kind) for kind in (long, long, short, short)
    )
    size = np.empty(count)
    fill(shards, plan, rows, inputs, targets, positions, segments, size)
    for place, row in enumerate(rows.tolist()):
        tokens, weight = [], 0.0
        for number, p in enumerate(range(plan.offsets[row], plan.offsets[row + 1])):
            document, length = plan.document[p], int(plan.length[p])
            weight += (document + 7) * (length - 1) / lengths[document]
            first = starts[document] + plan.start[p]
            tokens += [(first + j, j, number) for j in range(length)]
        tokens += [(0, 0, -1)] * (sequence + 1 - len(tokens))
        follows = [
            after[0] if after[1] > 0 and after[2] == before[2] >= 0 else IGNORED
            for before, after in pairwise(tokens)
        ]
        assert targets[place].tolist() == follows
        found = zip(inputs[place], positions[place], segments[place], strict=True)
        assert list(found) == tokens[:-1]
        assert size[place] == pytest.approx(weight)


@pytest.mark.skipif(not SAMPLE.exists(), reason="shared/data is not beside the repository")
def test_padding_on_real_lengths():
    """At 1,024 tokens under 0.1 % is empty; three bytes a token, as an 8k BPE has on these."""
    with gzip.open(SAMPLE, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    lengths = np.array([len(text.encode()) // 3 + 1 for text in texts], dtype=np.int64)
    rows = len(best_fit(lengths, 1024).offsets) - 1
    assert 0 <= 1 - lengths.sum() / (rows * 1025) <= 0.001
