"""The command that tries settings of training."""

from __future__ import annotations

from typing import Any

import click

from corpusforge.errors import UsageError

from .options import answer, common


@click.command()
@click.argument("spec", metavar="SPEC")
@click.argument("inputs", nargs=-1, metavar="[TOK]...")
@click.option("-o", "--output", default="run/sweep", show_default=True, help="Run folder.")
@click.option("--fresh", is_flag=True, help="Start the output folder anew.")
@common
def sweep(
    spec: str,
    inputs: tuple[str, ...],
    output: str,
    fresh: bool,
    spec_file: str | None,
    overrides: tuple[str, ...],
    workers: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train many times with settings drawn from the ranges of SPEC; goes on where it was stopped.

    SPEC is a TOML file or a shipped name. best.toml of the run folder is ready for forge train.

    Example: forge sweep sweep-mini run/tok -o run/sweep --workers 2
    """
    if spec_file is not None:
        raise UsageError("forge sweep takes its spec as its first word", expected="no --spec")
    from corpusforge import api, trials

    loaded = api.sweep_spec(spec, overrides)
    done = api.sweep(inputs, output, loaded, workers=workers, fresh=fresh, quiet=quiet)
    found = trials.read(output)
    facts: dict[str, Any] = done.facts
    answer(
        as_json,
        {
            "output": output,
            "content": done.content,
            "counts": done.counts,
            "trials": done.counts["in"],
            "complete": done.counts["kept"],
            "pruned": done.counts["dropped"],
            "failed": done.counts["failed"],
            **{name: facts[name] for name in ("objective", "best", "value", "settings")},
            "importance": facts["importance"],
            "spec": f"{output}/best.toml",
        },
        trials.describe(found, done, output),
    )
