"""What a run computes on: the device and the number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from corpusforge.errors import SpecError


def device(name: str) -> torch.device:
    """Return the device of that name, "auto" a GPU where there is one; SpecError without it."""
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise SpecError(
            "run.device = 'cuda', but torch finds no GPU", remedy="use --set run.device=cpu"
        )
    return torch.device("cuda" if found and name != "cpu" else "cpu")


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Run torch with ``number`` threads (0: as it is) while the block runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
