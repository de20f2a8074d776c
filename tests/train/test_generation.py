"""Sampling: the cache changes nothing, the filters keep what they promise, seeds decide."""

import collections

import pytest
import torch
from tiny import small

from corpusforge.errors import ForgeError, UsageError
from corpusforge.spec import ModelSpec
from corpusforge.train.cache import KeyValueCache
from corpusforge.train.generate import choose, generate, sample, stream, until
from corpusforge.train.model import Transformer
from corpusforge.train.trainer import train

V, S = 60, 16
SHAPES = [
    {"position": "rope", "kv_heads": 2, "norm_kind": "rmsnorm", "activation": "swiglu"},
    {"position": "learned", "norm": "post", "tied": False},
]


def build(**fields):
    model = Transformer(ModelSpec(layers=2, width=32, heads=4, **fields), V, S, 0).eval()
    with torch.no_grad():  # far from uniform, so that a wrong state shows
        for parameter in model.parameters():
            parameter.mul_(6 if parameter.dim() == 2 else 1)
    return model


@pytest.mark.parametrize("fields", SHAPES)
@pytest.mark.parametrize("settings", [{"temperature": 0}, {"top_k": 20, "top_p": 0.9, "seed": 5}])
def test_cached_equals_uncached(fields, settings):
    """Token by token, also past the model's longest row."""
    model = build(**fields)
    cached = list(sample(model, [1, 2, 3], tokens=40, **settings))
    assert cached == list(sample(model, [1, 2, 3], tokens=40, cached=False, **settings))
    assert len(set(cached)) > 1


@pytest.mark.parametrize("fields", SHAPES)
def test_cached_logits(fields):
    """Read in parts or at once, hidden states are the same."""
    model, tokens = build(**fields), torch.arange(12)[None]
    cache = KeyValueCache(model)
    with torch.no_grad():
        whole = model(tokens, causal=True)
        parts = [model(tokens[:, :5], causal=True, cache=cache)]
        parts += [model(tokens[:, i : i + 1], causal=True, cache=cache) for i in range(5, 12)]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-4, atol=1e-5)


def test_seeds_decide():
    """Equal seeds give equal tokens, others do not; a longer run begins like a shorter one."""
    model = build(position="rope")
    one, same = (list(sample(model, [4], tokens=12, seed=1)) for _ in range(2))
    assert one == same
    assert one != list(sample(model, [4], tokens=12, seed=2))
    assert one[:5] == list(sample(model, [4], tokens=5, seed=1))


def draws(scores, count=3000, **settings):
    generator = torch.Generator().manual_seed(0)
    values = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, **settings}
    scores = torch.tensor(scores).log()
    return collections.Counter(choose(scores, generator=generator, **values) for _ in range(count))


def test_filters():
    """Shares of draws from 0.5, 0.3, 0.15, 0.05 under each setting."""
    shares = [0.05, 0.5, 0.15, 0.3]
    free = draws(shares)
    assert all(abs(free[i] / 3000 - share) < 0.04 for i, share in enumerate(shares))
    assert set(draws(shares, top_k=2)) == {1, 3}
    assert set(draws(shares, top_p=0.8)) == {1, 3}
    assert set(draws(shares, top_p=0.81)) == {1, 2, 3}
    assert set(draws(shares, top_p=1e-9)) == {1}
    assert set(draws(shares, count=1, temperature=0)) == {1}
    cold = draws(shares, temperature=0.5)[1] / 3000
    assert abs(cold - 0.25 / (0.25 + 0.09 + 0.0225 + 0.0025)) < 0.04


def test_until_the_end_of_text():
    """The end token and what follows are left out."""
    assert until(0, iter([5, 6, 0, 7])) == [5, 6]
    assert until(0, iter([5, 6])) == [5, 6]


@pytest.mark.parametrize("settings", [{"top_p": 0.0}, {"temperature": -1.0}, {"tokens": 0}])
def test_settings_out_of_range(settings, tmp_path):
    """Impossible settings are a usage error."""
    with pytest.raises(UsageError, match="expected temperature >= 0"):
        generate(str(tmp_path), "a", **settings)


def test_a_folder_without_a_model(tmp_path):
    """A folder without a checkpoint is an error that says what to run."""
    with pytest.raises(ForgeError, match=r"holds no checkpoint.*run: forge train"):
        generate(str(tmp_path), "a")


def test_pieces_are_the_whole(tokens, tmp_path):
    """Streamed text is that of one call, and no piece ends inside of a character."""
    train([tokens], str(tmp_path / "out"), small(run__steps=3))
    settings = {"tokens": 200, "temperature": 3.0, "seed": 5}
    pieces = list(stream(str(tmp_path / "out"), "the", **settings))
    assert "".join(pieces) == generate(str(tmp_path / "out"), "the", **settings)
    assert len(pieces) > 5
