"""A whole fine-tuning run: the locked run folder around the tuner, and what it leaves.

OUT/checkpoints/step-N   the model with its adapters merged, as ``forge train`` leaves one
    head.safetensors     the task's head, if it has one    adapter.safetensors  adapters alone
    task.json            labels    predictions.jsonl  held-out rows    metrics.jsonl    tokenizer/
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from corpusforge import manifest
from corpusforge.errors import InputError, RunError
from corpusforge.run import RunFolder
from corpusforge.spec.finetune import FinetuneSpec

from .. import checkpoint, lora, metrics
from ..interrupt import Interrupt
from ..machine import threads
from ..run_train import progress
from . import base as bases
from . import check, fits, predict
from .base import Base, plain
from .rows import Row, read, split
from .task import Task
from .tuner import FOLDER, Tuner, build

PREDICTIONS, ADAPTER = "predictions.jsonl", "adapter.safetensors"


def run_finetune(
    model: str,
    data: str,
    output: str,
    spec: FinetuneSpec,
    *,
    workers: int,
    fresh: bool,
    quiet: bool,
) -> manifest.Manifest:
    """Fine-tune ``model`` on ``data`` in ``output``; see ``corpusforge.api.finetune``."""
    check(spec)
    base = bases.load(model)
    task = fits(spec, base)(spec, base, None)
    rows = _rows(data, spec)
    files = [data, *([spec.data.heldout] if isinstance(spec.data.heldout, str) else [])]
    parents = [{"path": str(Path(model).resolve()), "content": base.content}]
    parents += [{"path": str(Path(file).resolve()), "content": _sha256(file)} for file in files]
    task.learn(rows[0] if isinstance(spec.data.heldout, str) else [*rows[0], *rows[1]])
    task.weights(rows[0])
    items = task.encode(rows[0], True), task.encode(rows[1], True) if rows[1] else []
    tuned = build(spec, base, task)  # all that can be wrong is, before there is a folder
    calm = threads(spec.run.threads or workers)
    with RunFolder(output, "finetune", spec, fresh=fresh) as run, calm:
        contents = [parent["content"] for parent in parents]
        if manifest.finished(run.root):
            return _finished(run, contents)
        run.remove("report.html")
        digest = hashlib.sha256("".join(contents).encode()).hexdigest()
        with Interrupt() as interrupt:
            report = _silent if quiet else progress
            tuner = Tuner(Path(run.root), spec, tuned, task, items, rows[1], digest, report)
            try:
                tuner.run(interrupt)
            finally:
                tuner.metrics.close()
        facts = _leave(Path(run.root), tuner, base, task, rows)
        done = _manifest(run, spec, parents, facts)
        run.remove(FOLDER)
        return done


def _rows(data: str, spec: FinetuneSpec) -> tuple[list[Row], list[Row]]:
    rows = read(data, spec.data.columns)
    if isinstance(spec.data.heldout, str):
        return rows, read(spec.data.heldout, spec.data.columns)
    return split(rows, spec.data.heldout, spec.data.seed)


def _finished(run: RunFolder, contents: Sequence[str]) -> manifest.Manifest:
    done = manifest.read(run.root, "finetune")
    if [parent["content"] for parent in done.facts["parents"]] != contents:
        raise RunError(
            "this model was made of another model or other rows", file=run.root,
            remedy="choose another -o, or --fresh to start anew",
        )  # fmt: skip
    manifest.check_whole(run.root, done)
    run.remove(FOLDER)  # of one that was killed just before it did
    return done


def _leave(
    root: Path, tuner: Tuner, base: Base, task: Task, rows: tuple[list[Row], list[Row]]
) -> dict[str, Any]:
    """Write the best weights as a model folder, and the predictions; returns the run's facts."""
    step, model = tuner.restore_best(), tuner.model.to("cpu").eval()
    parameters = list(model.parameters())
    facts: dict[str, Any] = {
        "task": tuner.spec.task,
        "rows": len(rows[0]),
        "heldout_rows": len(rows[1]),
        "labels": task.labels,
        "rows_cut": task.cut,
        "parameters": sum(p.numel() for p in parameters),
        "trained_parameters": sum(p.numel() for p in parameters if p.requires_grad),
        "steps": tuner.step,
        "best_step": step,
        "stopped_early": tuner.stopped and tuner.step < tuner.steps,
        "tokens": tuner.tokens,
    }
    if tuner.spec.adapter.rank:
        _save(root / ADAPTER, lora.tensors(base.model), tuner.spec.adapter.model_dump())
        lora.merge(base.model)
    if model.head is not None:
        _save(root / predict.HEAD, model.head.state_dict(), {})
    base.tokenizer.save(str(root / "tokenizer"))
    task.keep(root / "tokenizer")
    memory = json.dumps(task.memory(), ensure_ascii=False, indent=1) + "\n"
    (root / predict.MEMORY).write_text(memory, encoding="utf-8")
    known = {"vocab_size": base.tokenizer.vocab_size, "eot": base.tokenizer.eot}
    values = base.spec.model_dump(mode="json", exclude={"inputs", "weights", "epochs"})
    state = {
        "version": 1, "step": step, "tokens": tuner.tokens, "spec": values,
        "tokenizer": {**known, "digest": base.tokenizer.digest},
    }  # fmt: skip
    tensors = plain(dict(model.state_dict()), "backbone.")
    made = checkpoint.save(root, step, tensors, {}, state, keep=1)
    facts["checkpoint"] = f"{checkpoint.FOLDER}/{made.path.name}"
    figures: dict[str, float] = {}
    if rows[1]:
        figures, found = predict.said_of(model, task, rows[1], tuner.held_items, True)
        predict.write(root / PREDICTIONS, rows[1], found, task)
    records = metrics.read(root)
    facts |= {"first_loss": records[0]["loss"], "last_loss": records[-1]["loss"]}
    return {**facts, "figures": figures}


def _manifest(
    run: RunFolder, spec: FinetuneSpec, parents: list[dict[str, str]], facts: dict[str, Any]
) -> manifest.Manifest:
    names = [f"tokenizer/{path.name}" for path in sorted(Path(run.root, "tokenizer").iterdir())]
    optional = (predict.HEAD, ADAPTER, predict.MEMORY, PREDICTIONS)
    names += [name for name in optional if Path(run.root, name).exists()]
    return manifest.close(
        run.root,
        "finetune",
        spec,
        content=[f"{facts['checkpoint']}/{name}" for name in checkpoint.FILES],
        others=[*names, "metrics.jsonl"],
        counts=manifest.all_kept(facts["rows"] + facts["heldout_rows"]),
        parents=parents,
        facts=facts,
    )


def _save(path: Path, tensors: dict[str, Any], facts: dict[str, Any]) -> None:
    """Write tensors with their facts in the header."""
    temporary = path.with_name(f"{path.name}.tmp")
    header = {key: json.dumps(value) for key, value in facts.items()}
    save_file({name: t.contiguous() for name, t in tensors.items()}, temporary, header)
    temporary.replace(path)


def _sha256(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", file=path) from None


def _silent(steps: int) -> Callable[[dict[str, Any]], None]:
    """Report nothing."""
    return lambda record: None
