"""Spans cut out for T5: what was cut and what is left make the text again; lengths as in T5."""

import collections

import numpy as np
import pytest
from tiny import T5, of, texts, write_tokens

from corpusforge.kernels.packing import raw_length
from corpusforge.tokenizer import Tokenizer
from corpusforge.train.losses import IGNORE
from corpusforge.train.objectives import objective, tensors
from corpusforge.train.objectives.draws import draws
from corpusforge.train.objectives.spans import divide, longest, shares, spans_of
from corpusforge.train.trainer import training_rows


def put_back(read, written, sentinels):
    """The text again: each sentinel in ``read`` replaced by what ``written`` has after it."""
    spans, now = {}, None
    for token in written:
        if token in sentinels:
            now = spans.setdefault(token, [])
        else:
            now.append(token)
    return [one for token in read for one in spans.get(token, [token])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A token folder with 100 sentinels."""
    special = (*T5[:-1], *(f"<extra_id_{number}>" for number in range(9, 20)), "</s>")
    root = tmp_path_factory.mktemp("spans")
    return write_tokens(root / "tok", texts(200, seed=4), special=special)


@pytest.mark.parametrize("sequence", [8, 16, 33, 128])
def test_the_text_comes_back(folder, sequence):
    """Inputs and targets together hold each token of the row once, in order."""
    spec = of("spans", run__batch=64, data__sequence=sequence)
    goal = objective(spec, Tokenizer.load(f"{folder}/tokenizer"))
    batch = next(training_rows([folder], spec, None, goal.around))
    made = goal.prepare(batch)
    assert made["inputs"].shape == (64, sequence)
    sentinels = goal.sentinels.tolist()
    for row in range(64):
        text = batch.inputs[row][batch.segments[row] >= 0].tolist()
        read = made["inputs"][row][made["mask"][row]].tolist()
        written = made["targets"][row][made["targets"][row] != IGNORE].tolist()
        assert read.pop() == goal.end
        if not written:
            assert read == text and len(text) < 2
            continue
        assert written.pop() == goal.end
        assert [token for token in read if token in sentinels] == sentinels[: shares(len(text))[1]]
        assert put_back(read, written, sentinels) == text
        cut = [token for token in written if token not in sentinels]
        assert len(cut) == shares(len(text))[0]
        of_token = made["segments"][row][: len(written) + 1]
        assert (np.diff(of_token) >= 0).all() and of_token[0] >= 0
    given = goal.given(tensors(made, slice(None))["targets"]).numpy()
    assert (given[:, 0] == goal.pad).all()
    kept = made["targets"][:, :-1] != IGNORE
    assert np.array_equal(given[:, 1:][kept], made["targets"][:, :-1][kept])


@pytest.mark.parametrize("sequence", [8, 16, 33, 64, 128, 512, 1024])
def test_lengths_are_those_of_the_plan(sequence):
    """Rows of the plan `spans` are as long as the objective reckons: 568 for 512, as in T5."""
    assert longest(sequence) == raw_length(sequence)
    if sequence == 512:
        noise, spans = shares(568)
        assert (noise, spans, noise + spans + 1) == (85, 28, 114)


@pytest.mark.parametrize("length", range(1, 60))
def test_shares_of_a_text(length):
    """15 % is cut out, in spans of 3 on average, the text first and a span last."""
    for row in draws(3, np.zeros(20, dtype=np.int64), np.arange(20), 2 * length):
        cut = spans_of(length, row)
        noise, spans = shares(length)
        assert cut.sum() == noise == (0 if length == 1 else max(1, round(0.15 * length)))
        assert (np.diff(cut.astype(int)) == 1).sum() == spans
        if length > 1:
            assert cut[-1] and not cut[0]


def test_every_division_comes_equally_often():
    """The 20 ways to divide 7 into 4 parts, each within five standard deviations."""
    raw = draws(0, np.zeros(8000, dtype=np.int64), np.arange(8000), 7)
    found = collections.Counter(tuple(divide(7, 4, row).tolist()) for row in raw)
    assert len(found) == 20
    assert all(sum(parts) == 7 and min(parts) > 0 for parts in found)
    assert max(abs(times - 400) for times in found.values()) < 5 * 20
    assert divide(1, 1, raw[0]).tolist() == [1]
