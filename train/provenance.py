"""From a training step to its documents and back: recomputed from spec and plan, never logged."""

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
    loader, steps = _loader(root)
    if not 1 <= step <= steps:
        raise UsageError(
            f"--step {step}", expected=f"1 to {steps}", remedy="name a step of this run"
        )
    batch = loader.batch((step - 1) * loader.global_batch)
    pieces = loader.documents(batch.rows, batch.epochs)
    return [{**row, "id": row["id"].hex()} for row in pieces.to_pylist()]


def steps_of_document(root: str, key: str) -> dict[str, Any]:
    """The optimizer steps (from 1) of a finished model that read a document, by epoch.

    ``key`` is its id (hex), source id or URL; {id, source, source_id, url, heldout, steps}, steps
    as [{epoch, step}]. Raises InputError where no token folder of the model holds it.
    """
    loader, steps = _loader(root)
    found = loader.tokens.find(key)
    read = loader.steps_of(found["id"], steps)
    return {
        **found,
        "id": found["id"].hex(),
        "steps": [{"epoch": epoch, "step": step + 1} for epoch, step in read],
    }


def _loader(root: str) -> tuple[TokenLoader, int]:
    """The training rows of a finished model, which must still be there, and its steps."""
    run = manifest.read(root, "train")
    spec = parse(TrainSpec, run.spec, file=root)
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
    return training_rows(folders, spec, f"{root}/{PLANS}"), spec.run.steps
