"""Held-out evaluation: perplexity of a target token, bits per byte of text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from corpusforge.errors import InputError
from corpusforge.loader import TokenLoader
from corpusforge.spec import TrainSpec

from . import metrics
from .attribution import Pieces
from .objectives import Objective, tensors
from .restore import goal, restore


def heldout_loader(
    folders: Sequence[str],
    spec: TrainSpec,
    plan_folder: str | None = None,
    around: tuple[int, int] = (0, 0),
    slices: int = 0,
) -> TokenLoader:
    """Rows of the held-out documents, in batches of the size that training computes at once."""
    return TokenLoader.open(
        folders,
        sequence=spec.data.sequence,
        batch=spec.run.batch // (slices or spec.run.accumulate),
        seed=spec.data.seed,
        packing=spec.data.packing,
        split="heldout",
        heldout=spec.data.heldout,
        plan_folder=plan_folder,
        around=around,
    )


def heldout(model: nn.Module, goal: Objective, loader: TokenLoader, rows: int) -> dict[str, Any]:
    """Evaluate ``model`` on the first ``rows`` rows (or all there are): always the same ones.

    Returns heldout_loss (nats a target, summed over the objective's labels), perplexity,
    heldout_targets, bits_per_byte where all text is a target, by_source and by_language: {name:
    {perplexity, bits_per_byte, targets}}, and the figures that the objective measures.
    """
    nats, targets = dict.fromkeys(goal.labels, 0.0), dict.fromkeys(goal.labels, 0)
    size, parts, measured = 0.0, [], dict[str, tuple[float, int]]()
    device = next(model.parameters()).device
    rows = min(rows, loader.rows)
    training = model.training
    model.eval()
    with torch.no_grad():
        for position in range(0, rows, loader.global_batch):
            batch = loader.batch(position).part(slice(0, rows - position))
            arrays = goal.prepare(batch)
            inputs = tensors(arrays, slice(None), device)
            heads = goal.heads(model, inputs)
            scored = goal.losses(heads, inputs)
            for label, count in goal.count(inputs).items():
                nats[label] += float(scored[label].nll.sum(dtype=torch.float64))
                targets[label] += count
            size += float(batch.target_bytes.sum())
            losses = scored[goal.labels[0]].nll.float().cpu().numpy()
            parts.append(Pieces.of(loader, batch, arrays, losses))
            for name, (value, count) in goal.measure(model, heads, inputs).items():
                before = measured.get(name, (0.0, 0))
                measured[name] = before[0] + value, before[1] + count
    model.train(training)
    pieces, main = Pieces.joined(parts), goal.labels[0]
    return {
        "heldout_loss": sum(nats[label] / max(targets[label], 1) for label in goal.labels),
        "perplexity": metrics.perplexity(nats[main], max(targets[main], 1)),
        **({"bits_per_byte": metrics.bits_per_byte(nats[main], size)} if goal.whole else {}),
        "heldout_targets": targets[main],
        **{name: metrics.mean(name, *sums) for name, sums in measured.items()},
        **{f"by_{by}": pieces.figures(loader, by, goal.whole) for by in ("source", "language")},
    }


def evaluate(
    model_folder: str, folders: Sequence[str], *, rows: int | None = None
) -> dict[str, Any]:
    """Evaluate a trained model on the held-out documents of token folders, all rows by default.

    Raises InputError where the folders were not made with the model's tokenizer.
    """
    model, spec, state = restore(Path(model_folder))
    objective = goal(Path(model_folder), spec)
    loader = heldout_loader(folders, spec, around=objective.around)
    if dict(loader.tokens.tokenizer) != state["tokenizer"]:
        raise InputError(
            f"made with the tokenizer {loader.tokens.tokenizer['digest']}",
            file=", ".join(folders),
            expected=f"the model's, {state['tokenizer']['digest']}",
            remedy=f"tokenize with --tokenizer {model_folder}/tokenizer",
        )
    return heldout(model, objective, loader, loader.rows if rows is None else rows)
