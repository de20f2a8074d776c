"""The command that keeps what later corpora are compared with: index."""

from __future__ import annotations

from typing import Any

import click

from .options import answer, common, refuse


@click.command()
@click.argument("run")
@click.option("-o", "--output", required=True, metavar="INDEX", help="Folder of the index.")
@common
def index(run: str, output: str, as_json: bool, **given: Any) -> None:
    """Write the dedup index of a clean run: what forge clean --against needs of it.

    Example: forge index run/clean -o indexes/2026-10
    """
    refuse("index", given)
    from corpusforge import api

    facts = api.index(run, output)
    text = f"{output}: {facts['documents']:,} documents, {facts['survivors']:,} of them kept"
    answer(as_json, {"output": output, **facts}, text)
