"""The command that measures models and predictions."""

from __future__ import annotations

import click

from corpusforge.errors import UsageError

from .options import answer, common


@click.command(name="eval")
@click.argument("paths", nargs=-1, metavar="[MODEL]... [DATA]...")
@click.option("-o", "--output", metavar="DIR|FILE", help="Run folder.  [default: run/eval]")
@click.option("--compare", is_flag=True, help="Test whether the two models differ, item by item.")
@click.option(
    "--make",
    type=click.Choice(["cloze", "order"]),
    help="Write multiple choice made of DATA's text to the file -o, and end.",
)
@click.option("--fresh", is_flag=True, help="Start the output folder anew.")
@common
def evaluate(
    paths: tuple[str, ...],
    output: str | None,
    compare: bool,
    make: str | None,
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
    if make is not None:
        if output is None or compare or fresh:
            raise UsageError(
                "--make writes a file",
                expected="-o FILE.jsonl, and no --compare or --fresh",
                remedy=f"e.g. forge eval run/model run/clean --make {make} -o {make}.jsonl",
            )
        values = api.make_choices(make, paths, output, spec)
        answer(as_json, values, f"wrote {values['items']} items to {output}")
        return
    output = output or "run/eval"
    done = api.evaluate(
        paths, output, spec, compare=compare, workers=workers, fresh=fresh, quiet=quiet
    )
    values = {name: value for name, value in done.facts.items() if name != "parents"}
    text = f"{describe(values)}\nitems {values['items']} · content {done.content}"
    answer(as_json, {"output": output, "content": done.content, **values}, text)
