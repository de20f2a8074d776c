"""The commands that look at a run or use it: explain, verify, export, report, generate, doctor."""

from __future__ import annotations

from typing import Any

import click

from .options import answer, common, refuse


@click.command()
@click.argument("run")
@click.argument("document", required=False)
@click.option("--step", type=int, metavar="N", help="The documents that training step N read.")
@click.option("--spikes", is_flag=True, help="The training steps whose loss stands out.")
@click.option("--html", metavar="FILE", help="A page of it too: its blocks kept and cut, its text.")
@common
def explain(
    run: str,
    document: str | None,
    step: int | None,
    spikes: bool,
    html: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Say why a document (URL, id or source id) is kept, dropped or failed, stage by stage.

    URLs need no scheme. Also: its surviving twin and how the two differ, where its text lies, and
    its token rows and training steps in the runs beside this one.

    Of a model: which training steps read it, what a step read, or its spikes.

    Example: forge explain run/clean https://a.b/c
    """
    refuse("explain", given)
    from corpusforge import api

    values, text = api.explain(run, document, step=step, spikes=spikes, html=html)
    answer(as_json, values, text)


@click.command()
@click.argument("run")
@common
def verify(run: str, as_json: bool, **given: Any) -> None:
    """Check every checksum, the accounting identity and the content digest of a run.

    Example: forge verify run/clean
    """
    refuse("verify", given)
    from corpusforge import api

    values = api.verify(run)
    answer(
        as_json, values, f"{run}: {values['shards']} files verified · content {values['content']}"
    )


@click.command()
@click.argument("run")
@click.option(
    "-o", "--output", metavar="FILE|DIR", help="FILE.jsonl[.gz], FILE.parquet or a folder."
)
@click.option(
    "--to", metavar="FORMAT DIR", nargs=2, help="hf, megatron, nanogpt or hf-dataset, and a folder."
)
@common
def export(
    run: str, output: str | None, to: tuple[str, str] | None, as_json: bool, **given: Any
) -> None:
    """Write a corpus as JSONL or Parquet, a tokenizer for Hugging Face, or tokens for a trainer.

    Example: forge export run/clean -o corpus.jsonl.gz
    """
    refuse("export", given)
    from corpusforge import api

    values = api.export(run, output, to=to)
    answer(as_json, values, f"wrote {values['rows']} rows to {values['output']}")


@click.command()
@click.argument("runs", nargs=-1, required=True)
@click.option(
    "--compare", multiple=True, metavar="TOKENIZER", help="Set a tokenize run beside this one."
)
@common
def report(runs: tuple[str, ...], compare: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Write report.html of one or several runs: funnel, drops by rule, histograms, loss.

    Of two runs of one kind, difference.html in the second one sets them side by side.

    Example: forge report run/tok --compare other/tokenizer.json
    """
    refuse("report", given)
    from corpusforge import api

    written = [api.report(run, compare) for run in runs]
    if len(runs) == 2 and all(api.kind(run) == "clean" for run in runs):
        written.append(api.compare(*runs))
    answer(as_json, {"reports": written}, "\n".join(written))


@click.command()
@click.argument("model")
@click.option("--prompt", required=True, help="Text to go on from.")
@click.option("--tokens", default=64, show_default=True, help="Tokens to sample.")
@click.option("--temperature", default=0.8, show_default=True, help="0 takes the likeliest.")
@click.option("--top-k", default=0, show_default=True, help="Of the likeliest K; 0: of all.")
@click.option("--top-p", default=1.0, show_default=True, help="Of the fewest that hold P.")
@click.option("--seed", default=0, show_default=True, help="Seed of the sampling.")
@common
def generate(
    model: str,
    prompt: str,
    tokens: int,
    temperature: float,
    top_k: int,
    top_p: float,
    seed: int,
    as_json: bool,
    **given: Any,
) -> None:
    """Sample a continuation from a trained model; it is printed as it comes.

    Example: forge generate run/model --prompt "The package"
    """
    refuse("generate", given)
    from corpusforge import api

    drawn = api.stream(
        model,
        prompt,
        tokens=tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
    )
    if as_json:
        text = "".join(drawn)
        answer(as_json, {"prompt": prompt, "text": text}, text)
        return
    for piece in drawn:
        click.echo(piece, nl=False)
    click.echo()


@click.command()
@common
def doctor(as_json: bool, **given: Any) -> None:
    """Compile the kernels ahead; report versions, free memory and disk, extras and runners.

    Example: forge doctor
    """
    refuse("doctor", given)
    from corpusforge import api
    from corpusforge import doctor as doctors

    values = api.doctor()
    answer(as_json, values, doctors.describe(values))
