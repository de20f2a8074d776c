"""Evaluation of models and predictions: data, metrics, tests of significance, results.

What a model says of a text comes from ``train/eval``; everything here runs without torch. (The
evaluation sets that a clean run keeps out of a corpus are ``corpusforge/evaluation.py``.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from corpusforge import spec as specs

if TYPE_CHECKING:
    from corpusforge.manifest import Manifest


def evaluate(
    paths: Sequence[str],
    output: str = "run/eval",
    spec: specs.EvalSpec | None = None,
    *,
    compare: bool = False,
    workers: int | None = None,
    fresh: bool = False,
    quiet: bool = True,
) -> Manifest:
    """Evaluate models, or predictions that were written before; returns the Manifest.

    ``paths`` are models (train and fine-tuning runs, folders of transformers) and what they are
    evaluated on: files of texts, choices or answers, clean runs, token folders; without any, what
    the first model held out. Without a model they are files of predictions. ``compare`` tests
    whether two models, or two files of predictions, differ.
    """
    from corpusforge import api
    from corpusforge.eval import job
    from corpusforge.run import check_workers

    done = job.evaluate(
        list(paths), output, spec or specs.EvalSpec(), lambda: api.load_part("train.eval"),
        compare=compare, workers=check_workers(workers), fresh=fresh, quiet=quiet,
    )  # fmt: skip
    return api._reported(output, done)


def make_choices(
    kind: str, paths: Sequence[str], output: str, spec: specs.EvalSpec | None = None
) -> dict[str, Any]:
    """Write a cloze or sentence-order set, made from texts by a seed, to a JSONL file.

    ``paths`` are files of text, clean runs or token folders; beside models, what these held out.
    """
    from corpusforge.eval import make

    return make.make(kind, paths, output, spec or specs.EvalSpec())
