"""What is hidden of a row for BERT: shares within binomial bounds, whole words, two documents."""

import numpy as np
import pytest
from tiny import of

from corpusforge.tokenizer import Tokenizer
from corpusforge.train import provenance
from corpusforge.train.losses import IGNORE
from corpusforge.train.objectives import objective
from corpusforge.train.objectives.draws import below, draws, uniform
from corpusforge.train.objectives.masked import choose, choose_words, wanted
from corpusforge.train.run_train import run_train
from corpusforge.train.trainer import training_rows


def rows(folder, count=400, **changes):
    """The objective, the first ``count`` rows, and what it makes of them."""
    spec = of("masked", run__batch=count, **changes)
    goal = objective(spec, Tokenizer.load(f"{folder}/tokenizer"))
    batch = next(training_rows([folder], spec, None, goal.around))
    return goal, batch, goal.prepare(batch)


def within(hits, of, share):
    """Whether a count lies within four standard deviations of a binomial's mean."""
    return abs(hits - of * share) < 4 * np.sqrt(of * share * (1 - share))


def test_shares(folders):
    """15 % of each row's tokens; of these 80 % [MASK], 10 % another, 10 % as they were."""
    goal, batch, made = rows(folders["masked"], 2000)
    special = np.isin(batch.inputs, goal.ordinary, invert=True) | (batch.segments < 0)
    chosen = made["targets"] != IGNORE
    tokens = (~special).sum(axis=1)
    assert np.array_equal(chosen.sum(axis=1), np.maximum(1, np.rint(0.15 * tokens)))
    assert not (chosen & special).any()
    assert np.array_equal(made["targets"][chosen], batch.inputs[chosen])
    assert np.array_equal(made["inputs"][~chosen], batch.inputs[~chosen])
    now, before, total = made["inputs"][chosen], batch.inputs[chosen], chosen.sum()
    assert within((now == goal.mask).sum(), total, 0.8)
    same = 0.1 + 0.1 / len(goal.ordinary)
    assert within((now == before).sum(), total, same)
    other = now[(now != goal.mask) & (now != before)]
    assert within(len(other), total, 1 - 0.8 - same)
    assert np.isin(other, goal.ordinary).all()
    # every place of a full row is as likely as another
    full = tokens == tokens.max()
    places = (chosen & full[:, None]).sum(axis=0)[1:-1]
    assert abs(places - places.mean()).max() < 5 * np.sqrt(places.mean())


def test_pairs_labels_and_types(folders):
    """Half of the second spans are another document's; label 1 says so; types are the spans."""
    _, batch, made = rows(folders["masked"], 2000)
    long = (batch.segments >= 0).sum(axis=1) > 4
    assert within(made["order"][long].sum(), long.sum(), 0.5)
    assert np.array_equal(made["order"] == 0, batch.follows)
    assert np.array_equal(made["types"], np.maximum(batch.segments, 0))


def test_a_random_partner_is_another_document(folders, tmp_path):
    """`explain --step` names both documents of every row, and they differ where order is 1."""
    folder, spec = folders["masked"], of("masked", run__steps=6, data__heldout=0.0)
    run_train([folder], str(tmp_path / "m"), spec, workers=1, fresh=False, quiet=True)
    goal = objective(spec, Tokenizer.load(f"{folder}/tokenizer"))
    loader = training_rows([folder], spec, None, goal.around)
    two = 0
    for step in range(1, 7):
        batch = next(loader)
        made = goal.prepare(batch)
        told = provenance.documents_of_step(str(tmp_path / "m"), step)
        for row, order in zip(batch.rows.tolist(), made["order"].tolist(), strict=True):
            pieces = [piece for piece in told if piece["row"] == row]
            ids = {piece["id"] for piece in pieces}
            assert len(pieces) == 2
            assert len(ids) == 1 + order
            two += order
    assert 10 < two < 38


def test_words_are_whole(folders):
    """A chosen token's word is chosen whole; a word that would be too many is passed over."""
    goal, batch, made = rows(folders["masked"], corrupt__whole_words=True)
    words = np.isin(batch.inputs, goal.ordinary) & (batch.segments >= 0)
    chosen = made["targets"] != IGNORE
    begins = goal.tokenizer.starts[batch.inputs] | ~np.pad(words[:, :-1], ((0, 0), (1, 0)))
    inside = words & ~begins
    assert inside.sum() > 1000
    row, place = np.nonzero(inside)
    assert np.array_equal(chosen[row, place], chosen[row, place - 1])
    assert not (chosen & ~words).any()
    assert (chosen.sum(axis=1) <= np.maximum(wanted(words), 7)).all()
    share = chosen.sum() / words.sum()
    assert 0.1 < share < 0.16


def test_word_starts():
    """WordPiece marks what goes on; byte-level and SentencePiece vocabularies mark spaces."""
    text = '{"model": {"type": "%s", %s "vocab": {%s}}, "added_tokens": []}'
    vocab = ", ".join(f'"{token}": {i}' for i, token in enumerate(["play", "##ing", ",", "##s"]))
    word = text % ("WordPiece", '"continuing_subword_prefix": "##",', vocab)
    assert Tokenizer(word.encode()).starts.tolist() == [True, False, True, False]
    vocab = ", ".join(f'"{token}": {i}' for i, token in enumerate(["Ġplay", "ing", ",", "▁a", "Ã"]))
    assert Tokenizer((text % ("BPE", '"merges": [],', vocab)).encode()).starts.tolist() == [
        True, False, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize("length", range(1, 12))
def test_choosing_by_hand(length):
    """The lowest keys win; padding never does; words in order of their first token's key."""
    draw = np.random.default_rng(length)
    keys = draw.integers(0, 1 << 62, (50, length)).astype(np.uint64)
    candidates = draw.random((50, length)) < 0.7
    number = wanted(candidates)
    for row, chosen in enumerate(choose(candidates, keys)):
        order = sorted(np.flatnonzero(candidates[row]), key=lambda i, row=row: keys[row, i])
        assert set(np.flatnonzero(chosen)) == set(order[: number[row]])
    single = choose_words(candidates, np.ones_like(candidates), keys)
    assert np.array_equal(single, choose(candidates, keys))


def test_draws_are_a_counters():
    """Each number is of its seed, epoch, row and place alone; the stream is numpy's Philox."""
    one = draws(5, np.array([0, 1, 0]), np.array([3, 3, 4]), 9)
    assert np.array_equal(draws(5, np.array([0]), np.array([4]), 4)[0], one[2, :4])
    assert len(np.unique(one)) == one.size
    assert one[0, 0] == np.random.Philox(key=5, counter=[0, 0, 3, 0]).random_raw()
    many = draws(0, np.zeros(1000, dtype=np.int64), np.arange(1000), 64)
    assert abs(uniform(many).mean() - 0.5) < 0.005
    counts = np.bincount(below(many, 7).ravel(), minlength=7)
    assert (abs(counts - counts.mean()) < 5 * np.sqrt(counts.mean())).all()


def test_a_row_without_words():
    """Rows of special tokens alone have no target."""
    none = np.zeros((2, 8), dtype=bool)
    assert not choose(none, np.zeros((2, 8), dtype=np.uint64)).any()
    assert not choose_words(none, ~none, np.zeros((2, 8), dtype=np.uint64)).any()
