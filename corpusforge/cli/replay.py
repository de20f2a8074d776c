"""The command that judges a finished run anew: replay."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from .options import answer, common


@click.command()
@click.argument("run")
@click.option("-o", "--output", metavar="NEWRUN", help="Write the run that the settings give.")
@click.option("--limit", default=20, show_default=True, metavar="N", help="Documents listed.")
@click.option("--changes", metavar="FILE", help="All documents that change sides, as JSONL.")
@click.option("--fresh", is_flag=True, help="Start the output folder anew.")
@common
def replay(
    run: str,
    output: str | None,
    limit: int,
    changes: str | None,
    fresh: bool,
    spec_file: str | None,
    overrides: tuple[str, ...],
    workers: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Say what a clean run would keep with other rules, languages or similarity, in seconds.

    Nothing is read or extracted again: the run stored all that its verdicts rest on.

    Example: forge replay run/clean --set rules.gopher-quality.min_words=30
    """
    from corpusforge import api
    from corpusforge.replay import describe
    from corpusforge.shard import write_bytes

    spec = api.replay_spec(run, spec_file, overrides)
    found, done = api.replay(run, output, spec, workers=workers, fresh=fresh, quiet=quiet)
    values: dict[str, Any] = found.to_json()
    text = describe(found, limit)
    if changes is not None:
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in found.documents())
        write_bytes(changes, "".join(lines).encode())
        print(f"wrote {len(found.changes)} documents to {changes}", file=sys.stderr)
    elif as_json:
        values["documents"] = list(found.documents())
    if done is not None:
        values |= {"output": output, "content": done.content, "counts": done.counts}
        n = done.counts
        text += (
            f"\n\n{output}: in {n['in']} = kept {n['kept']} + dropped {n['dropped']}"
            f" + failed {n['failed']} · content {done.content}"
        )
    answer(as_json, values, text)
