"""Where a kept document went on: its rows in token folders, the training steps that read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from corpusforge import explain, manifest
from corpusforge.errors import ForgeError


def add(run: str, row: dict[str, Any], steps_of: Callable[[str, str], Any]) -> None:
    """Add ``tokens`` and ``trained`` to a ledger row: the runs beside ``run`` that hold it.

    ``steps_of`` (model folder, id in hex) returns the steps that read it.
    """
    row["tokens"], row["trained"] = [], []
    if row["outcome"] != "kept":
        return
    for folder in explain.children(run, manifest.read(run, "clean"), "tokenize"):
        row["tokens"] += explain.token_rows(folder, row["id"])
        for model in explain.children(folder, manifest.read(folder, "tokenize"), "train"):
            try:
                steps = steps_of(model, row["id"].hex())
            except ForgeError:  # its token folder has moved, or there is no torch here
                continue
            row["trained"].append({"model": model, "steps": steps})
