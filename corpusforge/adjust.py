"""Fine-tuning, its predictions and sweeps as Python calls; `corpusforge.api` has them all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from corpusforge import spec as specs
from corpusforge.spec.folder import tables

if TYPE_CHECKING:
    from corpusforge.manifest import Manifest


def finetune(
    model: str,
    data: str,
    output: str = "run/tuned",
    spec: specs.FinetuneSpec | None = None,
    *,
    workers: int | None = None,
    fresh: bool = False,
    quiet: bool = True,
) -> Manifest:
    """Fine-tune a model folder on labelled rows; resumes where it was stopped.

    ``model`` is a train or fine-tuning run, or a folder of Hugging Face transformers; ``data`` a
    JSONL, CSV or Parquet file with the columns of ``spec.task``.
    """
    from corpusforge import api
    from corpusforge.run import check_workers

    job = api.load_part("train.finetune.run_finetune", model, data, output)
    done: Manifest = job.run_finetune(
        model, data, output, spec or specs.FinetuneSpec(),
        workers=check_workers(workers), fresh=fresh, quiet=quiet,
    )  # fmt: skip
    return api._reported(output, done)


def predict(run: str, data: str, output: str) -> dict[str, Any]:
    """Write what a fine-tuning run says of the rows of ``data`` to the JSONL file ``output``.

    Returns rows, output and, where all rows have labels, the figures of the task.
    """
    from corpusforge import api

    job = api.load_part("train.finetune.predict", run, data, output)
    found: dict[str, Any] = job.predict(run, data, output)
    return found


def sweep_spec(file: str | None = None, overrides: Iterable[str] = ()) -> specs.SweepSpec:
    """Read a sweep spec as ``load_spec`` reads others; its base is read too."""
    return specs.load_sweep(file, overrides, tables().get("sweep", {}))


def sweep(
    inputs: Sequence[str],
    output: str,
    spec: specs.SweepSpec,
    *,
    workers: int | None = None,
    fresh: bool = False,
    quiet: bool = True,
) -> Manifest:
    """Train ``spec`` many times with fields drawn from its ranges; goes on where it was stopped.

    ``workers`` takes the place of ``spec.sweep.workers``. The best spec is ``output/best.toml``.
    """
    from corpusforge import api

    chosen = list(inputs) or spec.inputs or spec.train.inputs or ["run/tok"]
    job = api.load_part("train.sweeps.run_sweep", *chosen, output)
    done: Manifest = job.run_sweep(chosen, output, spec, workers=workers, fresh=fresh, quiet=quiet)
    return api._reported(output, done)
