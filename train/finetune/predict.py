"""A fine-tuned folder on new rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from corpusforge import manifest
from corpusforge import spec as specs
from corpusforge.errors import UsageError
from corpusforge.spec.finetune import FinetuneSpec

from . import base, fits
from .base import Tuned
from .rows import Row, read
from .task import Item, Task
from .tuner import evaluate, outputs_of

MEMORY, HEAD = "task.json", "head.safetensors"


def load(folder: str) -> tuple[Tuned, Task]:
    """Read a finished fine-tuning run; RunError for what is none."""
    done = manifest.read(folder, "finetune")
    spec = specs.parse(FinetuneSpec, done.spec, f"{folder}/manifest.json")
    found = base.load(folder)
    known = json.loads(Path(folder, MEMORY).read_text(encoding="utf-8"))
    task = fits(spec, found)(spec, found, known)
    model = Tuned(found.model, task.outputs, 0)
    if model.head is not None:
        model.head.load_state_dict(load_file(Path(folder, HEAD)))
    return model.eval(), task


def predict(folder: str, data: str, output: str) -> dict[str, Any]:
    """Write a prediction a row of ``data`` to the JSONL file ``output``.

    Returns {"rows", "output"}, and the task's figures where all rows have labels.
    """
    model, task = load(folder)
    if Path(output).is_dir():
        raise UsageError(f"{output} is a folder", expected="a JSONL file to write")
    rows = read(data, task.spec.data.columns)
    gold = all(task.labelled(row) for row in rows)
    items = task.encode(rows, gold)
    figures, found = said_of(model, task, rows, items, gold)
    write(Path(output), rows, found, task)
    return {"rows": len(rows), "output": output, **figures}


def said_of(
    model: Tuned, task: Task, rows: Sequence[Row], items: Sequence[Item], gold: bool
) -> tuple[dict[str, float], list[Any]]:
    """Figures, of labelled rows alone, and a prediction a row; answers are written out."""
    size = task.spec.run.batch
    bf16 = task.spec.run.precision == "bf16"
    where = next(model.parameters()).device.type
    precision = torch.autocast(where, torch.bfloat16, enabled=bf16)
    figures: dict[str, float] = {}
    found: list[Any] = []
    if gold:
        figures, found = evaluate(model, task, rows, items, size, precision)
    elif not task.writes:
        said = [
            one
            for outputs, part, _ in outputs_of(model, task, items, size, precision)
            for one in task.choose(outputs, part)
        ]
        found = task.join(rows, items, said)
    if task.writes:
        found = task.write(model, rows, items)
        figures |= task.written(rows, found) if gold else {}
    return figures, found


def write(path: Path, rows: Sequence[Row], found: Sequence[Any], task: Task) -> None:
    """Write row number, prediction and, where there is one, what was wanted; atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        for row, one in zip(rows, found, strict=True):
            wanted = {"expected": task.wanted(row)} if task.labelled(row) else {}
            line = {"file": Path(row.file).name, "row": row.number, **one, **wanted}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    temporary.replace(path)
