"""Figures of a finished run, and what its model makes of held-out text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import checkpoint, metrics
from .examples import examples

if TYPE_CHECKING:
    from .trainer import Trainer

CONTINUATIONS = 3


def result(trainer: Trainer) -> dict[str, Any]:
    """Figures of the finished run, the same however often it was stopped."""
    assert trainer.checkpoint is not None
    records = metrics.read(trainer.root)
    last = records[-1]
    return {
        "steps": trainer.step,
        "tokens": trainer.tokens,
        "parameters": trainer.parameters,
        "first_loss": records[0]["loss"],
        "last_loss": last["loss"],
        "heldout_loss": last.get("heldout_loss"),
        "perplexity": last.get("perplexity"),
        "bits_per_byte": last.get("bits_per_byte"),
        "epochs": trainer.loader.epochs(),
        "vectors_found": trainer.found,
        "checkpoint": f"{checkpoint.FOLDER}/{trainer.checkpoint.path.name}",
        "continuations": _continuations(trainer),
    }


def _continuations(trainer: Trainer) -> list[str]:
    """What the model makes of the first rows of held-out text, in its objective's way."""
    loader = trainer.heldout or trainer.loader
    model = trainer.model
    if not trainer.placement.entire:
        model = trainer.objective.build(trainer.spec, loader.tokens.tokenizer["vocab_size"])
        assert trainer.checkpoint is not None
        model.load_state_dict(trainer.checkpoint.model())
    return examples(
        trainer.objective, model.to("cpu"), loader, CONTINUATIONS, trainer.spec.run.seed
    )
