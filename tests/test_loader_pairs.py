"""Rows of pairs and of spans: what stands in them, where it is from, the same after a restart."""

import numpy as np
import pytest
from token_folders import EOT, load, same, take, write

from corpusforge.kernels.packing import IGNORED, raw_length

CLS, SEP = 60_001, 60_002
LENGTHS = np.maximum(1, np.random.default_rng(7).lognormal(3, 1, 200)).astype(np.int64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """200 documents; every id but the end-of-text is another."""
    return write(tmp_path_factory.mktemp("pairs"), "tok", LENGTHS)


def test_pairs_hold_two_spans(folder):
    """[CLS] first [SEP] second [SEP]; the second goes on where it follows, else is another's."""
    loader = load(folder, packing="pairs", around=(CLS, SEP))
    first = np.concatenate([[1], 1 + np.cumsum(LENGTHS)])
    for batch in take(loader, 10):
        pieces = loader.documents(batch.rows, batch.epochs).to_pylist()
        for place in range(len(batch.rows)):
            ids, of = batch.inputs[place], batch.segments[place]
            assert ids[0] == CLS and (batch.targets[place] == IGNORED).all()
            ends = np.flatnonzero(ids == SEP)
            used = (of >= 0).sum()
            assert len(ends) == 2 and ends[1] == used - 1
            assert (of[: ends[0] + 1] == 0).all() and (of[ends[0] + 1 : used] == 1).all()
            assert np.array_equal(batch.positions[place][:used], np.arange(used))
            spans = [ids[1 : ends[0]], ids[ends[0] + 1 : ends[1]]]
            two, pieces = pieces[:2], pieces[2:]
            for span, piece in zip(spans, two, strict=True):
                number = int(piece["source_id"].split("/")[1])
                expected = first[number] + piece["start"] + np.arange(piece["length"])
                if piece["start"] + piece["length"] == LENGTHS[number]:
                    expected[-1] = EOT
                assert span.tolist() == expected.tolist()
            one, other = two
            assert batch.follows[place] == (one["id"] == other["id"])
            if batch.follows[place]:
                assert other["start"] == one["start"] + one["length"]


def test_half_of_the_pairs_follow(folder):
    """Half of the second spans go on in the document; each epoch draws anew."""
    loader = load(folder, packing="pairs", around=(CLS, SEP), batch=1)
    loader.global_batch = 10 * loader.rows
    batch = next(loader)
    long = (batch.segments >= 0).sum(axis=1) > 4
    assert abs(batch.follows[long].mean() - 0.5) < 4 * 0.5 / np.sqrt(long.sum())
    by_row = {}
    for row, follows in zip(batch.rows.tolist(), batch.follows.tolist(), strict=True):
        by_row.setdefault(row, set()).add(follows)
    assert sum(len(seen) == 2 for seen in by_row.values()) > 0.9 * long.mean() * len(by_row)


def test_pairs_do_not_depend_on_ranks_or_restarts(folder):
    """A pair is keyed by seed, epoch and row alone."""
    loader = load(folder, packing="pairs", around=(CLS, SEP))
    position = loader.rows - 5  # over an epoch boundary
    whole = loader.batch(position)
    parts = [loader.batch(position, rank, 3) for rank in range(3)]
    for name, value in vars(whole).items():
        assert np.array_equal(np.concatenate([getattr(part, name) for part in parts]), value)
    loader.position = position
    again = load(folder, packing="pairs", around=(CLS, SEP))
    again.load_state(loader.state())
    assert same(next(again), whole)
    other = load(folder, packing="pairs", around=(CLS, SEP), seed=6)
    assert not np.array_equal(other.batch(0).follows, loader.batch(0).follows)


def test_one_document_has_no_partner(tmp_path):
    """In a corpus of one document every second span follows."""
    loader = load(write(tmp_path, "one", [90], shards=1), packing="pairs", around=(CLS, SEP))
    assert all(batch.follows.all() for batch in take(loader, 3))


def test_spans_hold_what_corruption_will_shorten(folder):
    """Rows hold the tokens that become an input of the sequence length, each token once."""
    loader = load(folder, packing="spans")
    loader.global_batch = loader.rows
    batch = next(loader)
    assert batch.inputs.shape[1] == raw_length(32) > 32
    ids = batch.inputs[batch.segments >= 0]
    assert len(ids) == LENGTHS.sum()
    assert len(np.unique(ids[ids != EOT])) == LENGTHS.sum() - len(LENGTHS)


@pytest.mark.parametrize(("sequence", "raw"), [(512, 568), (128, 141), (1024, 1137)])
def test_raw_lengths_are_those_of_t5(sequence, raw):
    """512 is T5's own example (568); the others follow from the paper's formula."""
    assert raw_length(sequence) == raw
    noise = round(raw * 0.15)
    assert raw - noise + round(noise / 3) + 1 <= sequence
