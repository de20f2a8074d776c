"""Orders of prediction against enumeration, and what the two streams can see of them."""

import math
from itertools import permutations, product

import numpy as np
import pytest
import torch
from tiny import of

from corpusforge.spec import ModelSpec
from corpusforge.tokenizer import Tokenizer
from corpusforge.train.losses import IGNORE
from corpusforge.train.objectives import objective, tensors
from corpusforge.train.objectives.draws import draws
from corpusforge.train.objectives.permutation import at_most, chosen, hidden, order
from corpusforge.train.trainer import training_rows
from corpusforge.train.two_stream import TwoStream


def model(vocabulary=40, sequence=64, layers=2):
    spec = ModelSpec(layers=layers, width=16, heads=2, norm="post", position="relative-xl")
    made = TwoStream(spec, vocabulary, sequence, 0).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0, 0.5, generator=torch.Generator().manual_seed(parameter.numel()))
    return made


@pytest.mark.parametrize("length", range(1, 6))
def test_masks_are_those_of_every_order(length):
    """For every order and every cut, a query sees the context and the targets before it."""
    for ranks in permutations(range(length)):
        for cut in range(length + 1):
            rank = np.array([ranks])
            target = rank >= cut
            want = [
                [ranks[key] >= cut and ranks[key] >= ranks[query] for key in range(length)]
                for query in range(length)
            ]
            assert hidden(rank, target)[0].tolist() == want


@pytest.mark.parametrize("length", range(1, 6))
def test_all_orders_are_drawn_evenly(length):
    """With spans of one token each of the n! orders comes equally often."""
    count = 400 * math.factorial(length)
    raw = draws(1, np.zeros(count, dtype=np.int64), np.arange(count), 2 * length)
    there = np.ones((count, length), dtype=bool)
    ranks = order(there, *np.split(raw, 2, axis=1), 1)
    found, times = np.unique(ranks, axis=0, return_counts=True)
    assert len(found) == math.factorial(length)
    assert (abs(times - 400) < 5 * 20).all()


@pytest.mark.parametrize(("length", "span"), list(product([1, 2, 7, 32, 33], [1, 3, 5])))
def test_spans_stay_together(length, span):
    """Ranks are a permutation, padding last; a span's tokens follow each other in text order."""
    there = np.arange(40)[None] < np.array([length] * 30)[:, None]
    raw = draws(2, np.zeros(30, dtype=np.int64), np.arange(30), 80)
    for rank in order(there, *np.split(raw, 2, axis=1), span):
        assert sorted(rank.tolist()) == list(range(40))
        assert (rank[:length] < length).all()
    lengths = np.array([[0, 2, 1, 4] + [0] * 36], dtype=np.uint64)  # spans of 1, 3, 2, 5 with 5
    keys = np.arange(40, 0, -1, dtype=np.uint64)[None]
    rank = order(np.arange(40)[None] < 11, lengths, keys, 5)[0, :11]
    assert rank.tolist() == [10, 7, 8, 9, 5, 6, 0, 1, 2, 3, 4]


@pytest.mark.parametrize(("length", "predict", "count"), [
    (1, 6, 0), (2, 6, 1), (5, 6, 1), (12, 6, 2), (13, 6, 2), (35, 6, 5), (5, 1, 4), (4, 2, 2),
])  # fmt: skip
def test_the_tail_is_predicted(length, predict, count):
    """One token in ``predict``, one at least, never all: the last in rank."""
    rank = np.random.default_rng(0).permuted(np.tile(np.arange(length), (9, 1)), axis=1)
    target = chosen(np.ones_like(rank, dtype=bool), rank, predict)
    assert (target.sum(axis=1) == count).all()
    assert np.array_equal(target, rank >= length - count)
    places, real = at_most(target, max(count, 1))
    assert real.sum() == target.sum()
    for row in range(9):
        assert places[row][real[row]].tolist() == np.flatnonzero(target[row]).tolist()


@pytest.mark.parametrize("length", range(2, 6))
def test_a_prediction_depends_on_what_it_may_see_alone(length):
    """Changing a token changes exactly the predictions whose order has it before them."""
    made = model()
    draw = np.random.default_rng(length)
    for _ in range(6):
        rank = draw.permutation(length)[None]
        target = chosen(np.ones_like(rank, dtype=bool), rank, 2)
        unseen = torch.from_numpy(hidden(rank, target))
        places = torch.from_numpy(np.flatnonzero(target[0])[None])
        tokens, types = torch.arange(1, length + 1)[None], torch.zeros(1, length)
        with torch.no_grad():
            before = made(tokens, types, unseen, places)[0]
            for change in range(length):
                other = tokens.clone()
                other[0, change] = 39
                moved = (made(other, types, unseen, places)[0] - before).abs().amax(1) > 0
                seen = [not target[0, change] or rank[0, change] < rank[0, at]
                        for at in places[0].tolist()]  # fmt: skip
                assert moved.tolist() == seen


def test_a_query_that_sees_nothing_learns_nothing():
    """Without context the first prediction is the same whatever the tokens are, and finite."""
    made, unseen = model(), torch.from_numpy(hidden(np.array([[0, 1, 2]]), np.ones((1, 3), bool)))
    places, types = torch.tensor([[0, 1, 2]]), torch.zeros(1, 3)
    with torch.no_grad():
        one = made(torch.tensor([[5, 6, 7]]), types, unseen, places)[0]
        other = made(torch.tensor([[8, 9, 10]]), types, unseen, places)[0]
    assert torch.equal(one[0], other[0]) and one.isfinite().all()
    assert not torch.equal(one[1], other[1])


@pytest.mark.parametrize("memory", [0, 7, 31])
@pytest.mark.parametrize("sequence", [32, 33])
def test_prepared_rows(tokens, memory, sequence):
    """Odd and even lengths, with and without memory: targets are the tokens at their places."""
    spec = of("permutation", corrupt__memory=memory, data__sequence=sequence, run__batch=64)
    goal = objective(spec, Tokenizer.load(f"{tokens}/tokenizer"))
    batch = next(training_rows([tokens], spec, None))
    made = goal.prepare(batch)
    now = batch.inputs[:, memory:]
    real = made["targets"] != IGNORE
    assert np.array_equal(made["inputs"], now)
    assert np.array_equal(np.take_along_axis(now, made["places"], 1)[real], made["targets"][real])
    there = (batch.segments[:, memory:] >= 0).sum(axis=1)
    want = np.minimum(np.maximum(there // 6, 1), np.maximum(there - 1, 0))
    assert real.sum(axis=1).tolist() == want.tolist()
    assert (made["segments"][real] >= 0).all()
    padded = batch.segments < 0
    assert made["unseen"].shape == (64, sequence - memory, sequence)
    assert made["unseen"][np.broadcast_to(padded[:, None], made["unseen"].shape)].all()
    assert not made["unseen"][:, :, :memory][
        np.broadcast_to(~padded[:, None, :memory], (64, sequence - memory, memory))
    ].any()
    built = goal.build(spec, goal.tokenizer.vocab_size).eval()
    rows = tensors(made, slice(None))
    scored = goal.losses(goal.heads(built, rows), rows)["targets"]
    assert scored.total.isfinite()


def test_documents_are_alone_with_a_document_mask(tokens):
    """With data.document_mask no key of another document is seen, in memory neither."""
    spec = of("permutation", corrupt__memory=9, data__document_mask=True, run__batch=64)
    goal = objective(spec, Tokenizer.load(f"{tokens}/tokenizer"))
    batch = next(training_rows([tokens], spec, None))
    other = batch.segments[:, 9:, None] != batch.segments[:, None, :]
    assert other.any() and goal.prepare(batch)["unseen"][other].all()


def test_memory_is_read_without_gradient():
    """What is remembered has no graph, and what stands in it reaches the prediction."""
    made, types = model(), torch.zeros(1, 4)
    unseen = torch.zeros(1, 4, 4, dtype=torch.bool)
    past = made.read(torch.tensor([[1, 2, 3, 4]]), types, unseen)
    assert len(past) == 2 and not any(part.requires_grad for part in past)
    found = []
    for token in (4, 5):
        past = made.read(torch.tensor([[1, 2, 3, token]]), types, unseen)
        wide = torch.zeros(1, 4, 8, dtype=torch.bool)
        wide[0, 2, 6] = True
        text = torch.tensor([[6, 7, 8, 9]])
        found.append(made(text, types, wide, torch.tensor([[2]]), past, types))
    assert not torch.allclose(*found)
