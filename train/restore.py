"""A trained model from its folder: the newest checkpoint that verifies, and the spec it had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from corpusforge import spec as specs
from corpusforge.spec import TrainSpec
from corpusforge.tokenizer import Tokenizer

from . import checkpoint
from .objectives import Objective, check, objective


def restore(root: Path) -> tuple[nn.Module, TrainSpec, dict[str, Any]]:
    """Return model (evaluation mode), spec and state; raises RunError where there is none."""
    found = checkpoint.existing(root)
    state = found.state()
    spec = specs.parse(TrainSpec, state["spec"], str(found.path / "state.json"))
    weights = found.model()  # imported ones may have more rows than the tokenizer has tokens
    model = check(spec).build(spec, len(weights["tokens.weight"]))
    model.load_state_dict(weights)
    model.eval()
    return model, spec, state


def goal(root: Path, spec: TrainSpec) -> Objective:
    """Return the objective of a model folder, with the tokenizer that is kept there."""
    return objective(spec, Tokenizer.load(str(root / "tokenizer")))
