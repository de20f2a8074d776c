"""What the trainer's tests share."""

import pytest
import torch
from tiny import BERT, T5, of, small, texts, write_tokens

from corpusforge.train.trainer import train


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors on busy machines: threads would wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokens(tmp_path_factory):
    """A token folder of 120 documents, about 300 rows of 33 tokens."""
    return write_tokens(tmp_path_factory.mktemp("data") / "tok", texts(120))


@pytest.fixture(scope="session")
def folders(tmp_path_factory, tokens):
    """Token folders by objective, each with the special tokens that it needs."""
    root = tmp_path_factory.mktemp("objectives")
    masked = write_tokens(root / "masked", texts(120), special=BERT)
    spans = write_tokens(root / "spans", texts(120), special=T5)
    return {"masked": masked, "permutation": tokens, "spans": spans}


@pytest.fixture(scope="session")
def bases(tokens, folders, tmp_path_factory):
    """A causal, a masked and an encoder-decoder model, little trained."""
    root = tmp_path_factory.mktemp("bases")
    train([tokens], str(root / "causal"), small(run__steps=2, data__sequence=64))
    for name in ("masked", "spans"):
        train([folders[name]], str(root / name), of(name, run__steps=2, data__sequence=64))
    return {name: str(root / name) for name in ("causal", "masked", "spans")}
