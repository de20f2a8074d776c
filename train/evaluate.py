"""Held-out evaluation: perplexity of a target token, bits per byte of text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from corpusforge.errors import InputError
from corpusforge.loader import TokenLoader
from corpusforge.spec import TrainSpec

from . import metrics
from .attribution import Pieces
from .model import Transformer
from .objectives import Objective, Rows, objective
from .restore import restore


def heldout_loader(
    folders: Sequence[str], spec: TrainSpec, plan_folder: str | None = None
) -> TokenLoader:
    """Rows of the held-out documents, in batches of the size that training computes at once."""
    return TokenLoader.open(
        folders,
        sequence=spec.data.sequence,
        batch=spec.run.batch // spec.run.accumulate,
        seed=spec.data.seed,
        packing=spec.data.packing,
        split="heldout",
        heldout=spec.data.heldout,
        plan_folder=plan_folder,
    )


def heldout(model: Transformer, goal: Objective, loader: TokenLoader, rows: int) -> dict[str, Any]:
    """Evaluate ``model`` on the first ``rows`` rows (or all there are): always the same ones.

    Returns heldout_loss (nats a target), perplexity, bits_per_byte, heldout_targets, and
    by_source and by_language: {name: {perplexity, bits_per_byte, targets}}.
    """
    nats, targets, size, parts = 0.0, 0, 0.0, []
    device = next(model.parameters()).device
    rows = min(rows, loader.rows)
    training = model.training
    model.eval()
    with torch.no_grad():
        for position in range(0, rows, loader.global_batch):
            batch = loader.batch(position)
            part = slice(0, rows - position)
            inputs = Rows.of(batch, part, device)
            _, losses = goal.loss(model, inputs)
            nats += float(losses.sum(dtype=torch.float64))
            targets += goal.count(inputs)
            size += float(batch.target_bytes[part].sum())
            parts.append(Pieces.of(loader, batch.part(part), losses.float().cpu().numpy()))
    model.train(training)
    pieces = Pieces.joined(parts)
    return {
        "heldout_loss": nats / targets,
        "perplexity": metrics.perplexity(nats, targets),
        "bits_per_byte": metrics.bits_per_byte(nats, size),
        "heldout_targets": targets,
        **{f"by_{by}": pieces.figures(loader, by) for by in ("source", "language")},
    }


def evaluate(
    model_folder: str, folders: Sequence[str], *, rows: int | None = None
) -> dict[str, Any]:
    """Evaluate a trained model on the held-out documents of token folders, all rows by default.

    Raises InputError where the folders were not made with the model's tokenizer.
    """
    model, spec, state = restore(Path(model_folder))
    loader = heldout_loader(folders, spec)
    if dict(loader.tokens.tokenizer) != state["tokenizer"]:
        raise InputError(
            f"made with the tokenizer {loader.tokens.tokenizer['digest']}",
            file=", ".join(folders),
            expected=f"the model's, {state['tokenizer']['digest']}",
            remedy=f"tokenize with --tokenizer {model_folder}/tokenizer",
        )
    return heldout(model, objective(spec), loader, loader.rows if rows is None else rows)
