"""Fine-tuning and its predictions as Python calls; `corpusforge.api` has both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corpusforge import spec as specs

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
