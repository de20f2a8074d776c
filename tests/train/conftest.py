"""What the trainer's tests share."""

import pytest
import torch
from tiny import texts, write_tokens


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors on busy machines: threads would wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokens(tmp_path_factory):
    """A token folder of 120 documents, about 300 rows of 33 tokens."""
    return write_tokens(tmp_path_factory.mktemp("data") / "tok", texts(120))
