"""The command that measures models and predictions."""

from __future__ import annotations

import click

from .options import answer, common


@click.command(name="eval")
@click.argument("paths", nargs=-1, metavar="[MODEL]... [DATA]...")
@click.option("-o", "--output", default="run/eval", show_default=True, help="Run folder.")
@click.option("--compare", is_flag=True, help="Test whether the two models differ, item by item.")
@click.option("--fresh", is_flag=True, help="Start the output folder anew.")
@common
def evaluate(
    paths: tuple[str, ...],
    output: str,
    compare: bool,
    fresh: bool,
    spec_file: str | None,
    overrides: tuple[str, ...],
    workers: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure models on held-out text, multiple choice or prompts; or predictions in files.

    Perplexity and bits per byte, accuracy, F1, exact match, BLEU, ROUGE, each with its interval.
    MODEL is a run or a folder of transformers; docs/evaluation.md has the fields of DATA. Without
    DATA, the text that the model did not learn from.

    Example: forge eval run/model test.jsonl -o run/eval
    """
    from corpusforge import api
    from corpusforge import spec as specs
    from corpusforge.eval.tables import describe

    spec = api.load_spec(specs.EvalSpec, spec_file, overrides)
    done = api.evaluate(
        paths, output, spec, compare=compare, workers=workers, fresh=fresh, quiet=quiet
    )
    values = {name: value for name, value in done.facts.items() if name != "parents"}
    text = f"{describe(values)}\nitems {values['items']} · content {done.content}"
    answer(as_json, {"output": output, "content": done.content, **values}, text)
