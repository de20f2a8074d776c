"""The commands that make a run: clean, tokenize, train, demo."""

from __future__ import annotations

from typing import Any

import click

from corpusforge.errors import UsageError

from .options import answer, common, refuse, runner_options


@click.command()
@click.argument("inputs", nargs=-1)
@click.option("-o", "--output", default="run/clean", show_default=True, help="Run folder.")
@click.option(
    "--max-failed-share", type=click.FloatRange(0, 1), metavar="X", help="Exit 4 above this share."
)
@click.option(
    "--against",
    multiple=True,
    metavar="RUN|INDEX",
    help="An earlier corpus, [name=]PATH: its documents win. Repeatable, the first is the best.",
)
@click.option("--plan", "only_plan", is_flag=True, help="Say what the run will take, and end.")
@click.option(
    "--assume-documents",
    type=click.FloatRange(1),
    metavar="N",
    help="With --plan: what so many documents like the inputs would take.",
)
@runner_options
@common
def clean(
    inputs: tuple[str, ...],
    output: str,
    max_failed_share: float | None,
    against: tuple[str, ...],
    only_plan: bool,
    assume_documents: float | None,
    runner: str,
    beam: tuple[str, ...],
    fresh: bool,
    part: str | None,
    finish: bool,
    spec_file: str | None,
    overrides: tuple[str, ...],
    workers: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Turn web pages and documents (files, folders, globs) into a corpus with its ledger.

    WARC, WET, JSONL, Parquet, Arrow and text files, plain or compressed.

    Example: forge clean pages.warc.gz more.jsonl.zst -o run/clean
    """
    from corpusforge import api
    from corpusforge import spec as specs

    spec = api.load_spec(specs.CleanSpec, spec_file, overrides)
    if assume_documents and not only_plan:
        raise UsageError("--assume-documents without --plan", remedy="add --plan")
    if only_plan:
        found = api.plan_clean(
            inputs, spec, workers=workers, against=against, assume_documents=assume_documents
        )
        answer(as_json, *found)
        return
    done = api.clean(
        inputs,
        output,
        spec,
        workers=workers,
        runner=runner,
        beam=beam,
        fresh=fresh,
        quiet=quiet,
        max_failed_share=max_failed_share,
        against=against,
        part=part,
        finish=finish,
    )
    n = done.counts
    answer(
        as_json,
        {"output": output, "content": done.content, "counts": n},
        f"in {n['in']} = kept {n['kept']} + dropped {n['dropped']} + failed {n['failed']}"
        f" · content {done.content}",
    )


@click.command()
@click.argument("inputs", nargs=-1)
@click.option("-o", "--output", default="run/tok", show_default=True, help="Run folder.")
@click.option("--algo", type=click.Choice(["bpe", "wordpiece", "unigram"]), help="Algorithm.")
@click.option("--vocab-size", type=int, metavar="N", help="Tokens in the vocabulary.")
@click.option("--tokenizer", metavar="PATH", help="Encode with this tokenizer instead of training.")
@runner_options
@common
def tokenize(
    inputs: tuple[str, ...],
    output: str,
    algo: str | None,
    vocab_size: int | None,
    tokenizer: str | None,
    runner: str,
    beam: tuple[str, ...],
    fresh: bool,
    part: str | None,
    finish: bool,
    spec_file: str | None,
    overrides: tuple[str, ...],
    workers: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train a tokenizer on a clean run (or plain corpus files) and encode it into token shards.

    Example: forge tokenize run/clean -o run/tok --algo bpe --vocab-size 32000
    """
    from corpusforge import api
    from corpusforge import spec as specs

    flags = [f'algo="{algo}"'] if algo else []
    flags += [f"vocab_size={vocab_size}"] if vocab_size is not None else []
    spec = api.load_spec(specs.TokenizeSpec, spec_file, (*flags, *overrides))
    done = api.tokenize(
        inputs,
        output,
        spec,
        tokenizer=tokenizer,
        workers=workers,
        runner=runner,
        beam=beam,
        fresh=fresh,
        quiet=quiet,
        part=part,
        finish=finish,
    )
    facts = done.facts
    ratio = facts["bytes"] / max(facts["tokens"], 1)
    answer(
        as_json,
        {
            "output": output,
            "content": done.content,
            "documents": done.counts["kept"],
            "counts": done.counts,
            "tokens": facts["tokens"],
            "bytes": facts["bytes"],
            "bytes_per_token": ratio,
            "vocab_size": facts["tokenizer"]["vocab_size"],
        },
        f"documents {done.counts['kept']}"
        + "".join(f" · {k} {done.counts[k]}" for k in ("dropped", "failed") if done.counts[k])
        + f" · vocabulary {facts['tokenizer']['vocab_size']} · "
        f"tokens {facts['tokens']} · {ratio:.2f} bytes/token · content {done.content}",
    )


@click.command()
@click.argument("inputs", nargs=-1)
@click.option("-o", "--output", default="run/model", show_default=True, help="Run folder.")
@click.option("--steps", type=int, metavar="N", help="Optimizer steps.")
@click.option("--plan", "only_plan", is_flag=True, help="Say what memory it needs, and end.")
@click.option("--fresh", is_flag=True, help="Start the output folder anew.")
@common
def train(
    inputs: tuple[str, ...],
    output: str,
    steps: int | None,
    only_plan: bool,
    fresh: bool,
    spec_file: str | None,
    overrides: tuple[str, ...],
    workers: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train a language model on one or several token folders; resumes where it was stopped.

    Example: forge train run/tok -o run/model --spec gpt-mini --steps 300
    """
    from corpusforge import api
    from corpusforge import spec as specs

    flags = [f"run.steps={steps}"] if steps is not None else []
    spec = api.load_spec(specs.TrainSpec, spec_file, (*flags, *overrides))
    if only_plan:
        answer(as_json, *api.plan_train(inputs, spec))
        return
    done = api.train(inputs, output, spec, workers=workers, fresh=fresh, quiet=quiet)
    facts = done.facts
    answer(
        as_json,
        {"output": output, "content": done.content, **facts},
        f"steps {facts['steps']} · loss {facts['first_loss']:.3f} -> {facts['last_loss']:.3f}"
        + (f" · held-out perplexity {facts['perplexity']:.2f}" if facts["perplexity"] else "")
        + f" · content {done.content}",
    )


@click.command()
@click.option("-o", "--output", default="run", show_default=True, help="Folder for the three runs.")
@common
def demo(output: str, workers: int | None, as_json: bool, quiet: bool, **given: Any) -> None:
    """Run clean, tokenize, train, explain and report on the packaged sample.

    Example: forge demo
    """
    refuse("demo", given)
    from corpusforge import api

    values, table = api.demo(output, workers=workers, quiet=quiet)
    answer(as_json, values, table)
