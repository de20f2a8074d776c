"""The command that adjusts a model to a task."""

from __future__ import annotations

import click

from corpusforge.errors import UsageError

from .options import answer, common


@click.command()
@click.argument("model")
@click.argument("data")
@click.option("-o", "--output", metavar="DIR", help="Run folder.  [default: run/tuned]")
@click.option("--task", metavar="NAME", help="What is learnt, e.g. sequence-classification.")
@click.option("--predict", metavar="FILE", help="MODEL is fine-tuned: write what it says of DATA.")
@click.option("--fresh", is_flag=True, help="Start the output folder anew.")
@common
def finetune(
    model: str,
    data: str,
    output: str | None,
    task: str | None,
    predict: str | None,
    fresh: bool,
    spec_file: str | None,
    overrides: tuple[str, ...],
    workers: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Fine-tune a model (a run, or a folder of transformers) on labelled rows.

    DATA is a JSONL, CSV or Parquet file; docs/finetuning.md has the columns of each task.

    Example: forge finetune run/model reviews.jsonl --task sequence-classification -o run/tuned
    """
    from corpusforge import api
    from corpusforge import spec as specs

    if predict is not None:
        if output or task or spec_file or overrides or fresh:
            raise UsageError(
                "--predict takes task and settings from MODEL",
                expected="no -o, --task, --spec, --set or --fresh beside it",
            )
        values = api.predict(model, data, predict)
        answer(as_json, values, f"wrote {values['rows']} rows to {predict}" + _figures(values))
        return
    flags = [f'task="{task}"'] if task is not None else []
    spec = api.load_spec(specs.FinetuneSpec, spec_file, (*flags, *overrides))
    output = output or "run/tuned"
    done = api.finetune(model, data, output, spec, workers=workers, fresh=fresh, quiet=quiet)
    facts = done.facts
    early = f" (stopped early, best {facts['best_step']})" if facts["stopped_early"] else ""
    answer(
        as_json,
        {"output": output, "content": done.content, **facts},
        f"rows {facts['rows']} · steps {facts['steps']}{early} · loss {facts['first_loss']:.3f} -> "
        f"{facts['last_loss']:.3f}"
        + (f" · held-out rows {facts['heldout_rows']}" if facts["figures"] else "")
        + _figures(facts["figures"])
        + f" · content {done.content}",
    )


def _figures(values: dict[str, float]) -> str:
    names = [name for name, value in values.items() if isinstance(value, float)]
    return "".join(f" · {name.replace('_', ' ')} {values[name]:.4f}" for name in names)
