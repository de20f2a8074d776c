"""What a model makes of held-out text, in its objective's way: during a run and at its end."""

from __future__ import annotations

from torch import nn

from corpusforge.loader import TokenLoader

from .objectives import Objective
from .seeds import key


def examples(
    goal: Objective, model: nn.Module, loader: TokenLoader, count: int, seed: int
) -> list[str]:
    """Show the first ``count`` rows of ``loader``: always the same ones, with the same draws."""
    training = model.training
    model.eval()
    said = [
        goal.example(model, loader.batch(number).part(slice(0, 1)), key(seed, number))
        for number in range(min(count, loader.rows))
    ]
    model.train(training)
    return said
