"""The commands of quality models: classify train."""

from __future__ import annotations

from typing import Any

import click

from .options import answer, common, refuse


@click.group()
def classify() -> None:
    """Train a model whose score a rule may judge by, as quality_score.

    Example: forge classify train good.jsonl.gz bad.jsonl.gz -o run/quality
    """


@classify.command()
@click.argument("good")
@click.argument("bad")
@click.option("-o", "--output", default="run/quality", show_default=True, help="Model folder.")
@click.option(
    "--keep",
    default=0.1,
    show_default=True,
    metavar="X",
    help="Report the threshold that lets this share of BAD pass.",
)
@common
def train(
    good: str,
    bad: str,
    output: str,
    keep: float,
    workers: int | None,
    as_json: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Train a linear model on two piles of text: clean runs, or files, folders, globs of text.

    BAD is best a plain sample of what will be judged.

    Example: forge classify train good.jsonl.gz run/clean -o run/quality --keep 0.1
    """
    refuse("classify train", given)
    from corpusforge import api

    config = api.classify(good, bad, output, keep=keep, workers=workers)
    texts, found = config["texts"], config["held_out"]
    lines = [
        f"learnt from {texts['learnt']['good']:,} good and {texts['learnt']['bad']:,} bad texts;"
        f" held out {texts['held_out']['good']:,} and {texts['held_out']['bad']:,};"
        f" AUC {found['auc']:.4f}, rank correlation with length {found['length_bias']:+.2f}",
        f"{'threshold':>9} {'bad kept':>9} {'good kept':>9} {'precision':>9}",
    ]
    for row in (*found["by_share_of_bad"].values(), found["at_half"]):
        lines.append(
            f"{row['threshold']:>9.3f} {row['bad']:>9.1%} {row['recall']:>9.1%}"
            f" {row['precision']:>9.1%}"
        )
    lines.append(
        f"wrote {output}; use it: --set quality.model={output}, and a rule that keeps"
        f" quality_score >= {found['threshold']}"
    )
    answer(as_json, {"output": output, **config}, "\n".join(lines))
