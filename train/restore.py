"""A trained model from its folder: the newest checkpoint that verifies, and the spec it had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from corpusforge import spec as specs
from corpusforge.spec import TrainSpec

from . import checkpoint
from .model import Transformer
from .objectives import objective


def restore(root: Path) -> tuple[Transformer, TrainSpec, dict[str, Any]]:
    """Return model (evaluation mode), spec and state; raises RunError where there is none."""
    found = checkpoint.existing(root)
    state = found.state()
    spec = specs.parse(TrainSpec, state["spec"], str(found.path / "state.json"))
    model = objective(spec).build(state["tokenizer"]["vocab_size"])
    model.load_state_dict(found.model())
    model.eval()
    return model, spec, state
