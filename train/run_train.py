"""A whole train run: the locked run folder around the trainer, and its manifest."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from corpusforge import manifest
from corpusforge.errors import RunError
from corpusforge.run import RunFolder
from corpusforge.spec import TrainSpec
from corpusforge.tokenizer import Tokenizer

from . import checkpoint
from .objectives import objective
from .parallel import Layout, joined
from .trainer import TOKENIZER, train


def run_train(
    folders: Sequence[str],
    output: str,
    spec: TrainSpec,
    *,
    workers: int,
    fresh: bool,
    quiet: bool,
    report: Callable[[dict[str, Any]], None] | None = None,
) -> manifest.Manifest:
    """Train in ``output``; see ``corpusforge.api.train``.

    ``report`` takes the place of progress on stderr; an error that it raises ends the run.
    Of several processes the first returns the manifest, the others end.
    """
    with joined(spec) as layout:
        spec, parents = _settled(folders, spec)
        if not layout.first:
            if layout.tell(0):  # the first process has the run folder, and it is not finished
                train(folders, output, spec, layout=layout)
            raise SystemExit(0)
        told = report or (None if quiet else progress(spec.run.steps))
        return _first(
            folders, output, spec, parents, layout, workers=workers, fresh=fresh, report=told
        )


def _settled(folders: Sequence[str], spec: TrainSpec) -> tuple[TrainSpec, list[dict[str, str]]]:
    """Return the spec as it is kept, and what the run reads; raises what does not fit."""
    if spec.data.by == "folder":  # as the manifest names them, wherever it will be read
        named = {
            key: {str(Path(name).resolve()): value for name, value in getattr(spec, key).items()}
            for key in ("weights", "epochs")
        }
        spec = spec.model_copy(update=named)
    parents = [
        {"path": str(Path(folder).resolve()), "content": manifest.read(folder, "tokenize").content}
        for folder in folders
    ]
    check(folders, spec)
    return spec.model_copy(update={"inputs": []}), parents


def _first(
    folders: Sequence[str],
    output: str,
    spec: TrainSpec,
    parents: list[dict[str, str]],
    layout: Layout,
    *,
    workers: int,
    fresh: bool,
    report: Callable[[dict[str, Any]], None] | None,
) -> manifest.Manifest:
    """Do what one process of a run does: it holds the folder and writes all that is in it."""
    with RunFolder(output, "train", spec, fresh=fresh) as run:
        if manifest.finished(run.root):
            done = manifest.read(run.root, "train")
            before = sorted(parent["content"] for parent in done.facts["parents"])
            if before == sorted(parent["content"] for parent in parents):
                manifest.check_whole(run.root, done)
                layout.tell(0)
                return done
            raise RunError(
                "this model was trained on other token folders",
                file=run.root,
                remedy="choose another -o, or --fresh to start anew",
            )
        run.remove("report.html")
        layout.tell(1)
        facts = train(
            folders,
            run.root,
            spec,
            workers=workers,
            clock=time.monotonic,
            progress=report,
            layout=layout,
        )
        return _manifest(run, spec, parents, facts)


def check(folders: Sequence[str], spec: TrainSpec) -> None:
    """Raise the error of a spec that its objective, or the tokenizer of the data, does not fit."""
    tokenizer = Tokenizer.load(str(Path(folders[0], TOKENIZER)))
    goal = objective(spec, tokenizer)
    with torch.device("meta"):
        goal.build(spec, tokenizer.vocab_size)


def _manifest(
    run: RunFolder, spec: TrainSpec, parents: list[dict[str, str]], facts: dict[str, Any]
) -> manifest.Manifest:
    names = [f"tokenizer/{path.name}" for path in sorted(Path(run.root, "tokenizer").iterdir())]
    return manifest.close(
        run.root,
        "train",
        spec,
        content=[f"{facts['checkpoint']}/{name}" for name in checkpoint.FILES],
        others=[*names, "metrics.jsonl"],
        counts=manifest.all_kept(facts["tokens"]),
        parents=parents,
        facts=facts,
    )


def progress(steps: int) -> Callable[[dict[str, Any]], None]:
    """Show step, loss, tokens/s and the time left on stderr: a bar, or a line now and then."""
    start = time.monotonic()
    first: dict[str, int] = {}
    shown = 0.0

    def show(record: dict[str, Any]) -> None:
        nonlocal shown
        if "message" in record:
            print(f"train: {record['message']}", file=sys.stderr, flush=True)
            return
        now = time.monotonic()
        if not first:
            first.update(step=record["step"] - 1, tokens=0)
            first["tokens"] = record["tokens"] // record["step"] * (record["step"] - 1)
        done = record["step"] - first["step"]
        rate = (record["tokens"] - first["tokens"]) / max(now - start, 1e-9)
        left = (steps - record["step"]) * (now - start) / done
        text = (
            f"train: step {record['step']}/{steps} · loss {record['loss']:.3f} · "
            f"{rate:,.0f} tokens/s · ETA {left:,.0f} s"
        )
        if "perplexity" in record:
            text += f" · held-out perplexity {record['perplexity']:.1f}"
        live = sys.stderr.isatty()
        if live or "perplexity" in record or record["step"] in (1, steps) or now - shown > 10:
            shown = now
            width = os.get_terminal_size(sys.stderr.fileno()).columns if live else len(text)
            end = "\n" if not live or "perplexity" in record else ""
            print(("\r" if live else "") + text[:width].ljust(width), end=end, file=sys.stderr)
            sys.stderr.flush()

    return show
