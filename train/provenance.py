"""From a training step to the documents it read: recomputed from spec and plan, never logged."""

from __future__ import annotations

from typing import Any

from corpusforge import manifest
from corpusforge.errors import RunError, UsageError
from corpusforge.loader import TokenLoader
from corpusforge.spec import TrainSpec, parse

from .trainer import PLANS, training_rows


def documents_of_step(root: str, step: int) -> list[dict[str, Any]]:
    """Pieces that optimizer step ``step`` (from 1) of a finished model read, row by row.

    Each is {row, piece, id (hex), source, source_id, url, start, length}.
    """
    run = manifest.read(root, "train")
    spec = parse(TrainSpec, run.spec, file=root)
    if not 1 <= step <= spec.run.steps:
        raise UsageError(
            f"--step {step}", expected=f"1 to {spec.run.steps}", remedy="name a step of this run"
        )
    for parent in run.facts["parents"]:
        now = manifest.read(parent["path"], "tokenize").content
        if now != parent["content"]:
            raise RunError(
                f"this token folder now holds other data, content {now[:12]}…",
                file=parent["path"],
                expected=f"{parent['content'][:12]}…, which the model was trained on",
                remedy="make it again as it was, or train on what it holds now",
            )
    folders = [parent["path"] for parent in run.facts["parents"]]
    loader = training_rows(folders, spec, f"{root}/{PLANS}")
    loader.load_state(_state_before(loader, step))
    pieces = loader.documents(next(loader).rows)
    return [{**row, "id": row["id"].hex()} for row in pieces.to_pylist()]


def _state_before(loader: TokenLoader, step: int) -> dict[str, Any]:
    state = loader.state()
    return {**state, "position": (step - 1) * loader.global_batch}
