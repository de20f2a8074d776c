"""The commands that show rule sets: forge rules list, show, diff."""

from __future__ import annotations

from typing import Any

import click

from .options import answer, common, refuse


@click.group(name="rules", context_settings={"help_option_names": ["-h", "--help"]})
def rules_group() -> None:
    """Show the rule sets that are shipped, in every dialect, with their sources.

    Example: forge rules diff paper/fineweb datatrove/fineweb
    """


@rules_group.command("list")
@common
def list_sets(as_json: bool, **given: Any) -> None:
    """List the rule sets and the dialects that have them.

    Example: forge rules list
    """
    refuse("rules list", given)
    from corpusforge import rules

    sets = {name: list(rules.dialects(name)) for name in rules.names_of_sets()}
    width = max(map(len, sets))
    lines = [f"{name:<{width}}  {', '.join(found)}" for name, found in sets.items()]
    answer(as_json, {"sets": sets}, "\n".join(lines))


@rules_group.command()
@click.argument("rule_set", metavar="SET")
@click.option("--dialect", metavar="D", help="forge, paper, datatrove, ...; default: forge.")
@common
def show(rule_set: str, dialect: str | None, as_json: bool, **given: Any) -> None:
    """Show a set: SET, DIALECT/SET or a file; every rule with its threshold and source.

    Example: forge rules show gopher-quality --dialect datatrove
    """
    refuse("rules show", given)
    from corpusforge import rules

    found = rules.described(rules.named(rule_set, dialect))
    answer(as_json, found, rules.as_text(found))


@rules_group.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@common
def diff(before: str, after: str, as_json: bool, **given: Any) -> None:
    """Show in what two sets differ; A and B are DIALECT/SET, SET or a file.

    Example: forge rules diff forge/gopher-quality datatrove/gopher-quality
    """
    refuse("rules diff", given)
    from corpusforge import rules

    rows = rules.compared(rules.named(before), rules.named(after))
    lines = [
        f"{row['rule']}\n  {before}: {row['a'] or '-'}\n  {after}: {row['b'] or '-'}"
        for row in rows
    ]
    text = "\n".join(lines) if rows else f"{before} and {after} say the same"
    answer(as_json, {"a": before, "b": after, "differences": rows}, text)
