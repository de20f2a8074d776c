"""Report: one self-contained HTML page of a finished run, without script and without network."""

from __future__ import annotations

from collections.abc import Sequence

from corpusforge import lookup, manifest
from corpusforge.errors import UsageError
from corpusforge.manifest import Manifest
from corpusforge.report import (
    clean,
    difference,
    finetune,
    page,
    plots,
    provenance,
    sweep,
    tokens,
    train,
)
from corpusforge.report import eval as evaluation
from corpusforge.shard import exists, join, write_bytes

SECTIONS = {
    "clean": clean.sections,
    "tokenize": tokens.sections,
    "train": train.sections,
    "finetune": finetune.sections,
    "sweep": sweep.sections,
    "eval": evaluation.sections,
}


def write(root: str, others: Sequence[str] = ()) -> str:
    """Write ``root/report.html`` atomically from the files of the run; returns its path.

    A tokenize run is compared with the tokenizers ``others`` (folders or files).

    The page is a function of these files alone: no clock, no host. Raises RunError where ``root``
    holds no finished run.
    """
    run = manifest.read(root, *SECTIONS)
    name = root.rstrip("/").rpartition("/")[2] or root
    if others and run.kind != "tokenize":
        raise UsageError(f"--compare of a {run.kind} run", expected="a tokenize run")
    made = tokens.sections(root, run, others) if others else SECTIONS[run.kind](root, run)
    parts = [*made, *provenance.sections(run)]
    text = page.page(f"{name} · forge {run.kind}", parts, "" if plots.installed() else plots.NOTE)
    path = join(root, "report.html")
    write_bytes(path, text.encode())
    return path


def compare(first: str, second: str) -> str:
    """Write ``second/difference.html``: two finished runs of one kind; returns its path.

    Raises RunError where one of them holds no finished run, or one of another kind.
    """
    kind = manifest.read(first, *SECTIONS).kind
    runs = manifest.read(first, kind), manifest.read(second, kind)
    names = [root.rstrip("/").rpartition("/")[2] or root for root in (first, second)]
    parts = difference.sections((first, second), runs)
    path = join(second, "difference.html")
    write_bytes(path, page.page(f"{names[0]} and {names[1]} · forge {kind}", parts).encode())
    return path


def complete(root: str, run: Manifest) -> None:
    """Write the report of a run that has none yet, and of a clean run what explain looks up."""
    if run.kind == "clean":
        lookup.write(root, run)
    if not exists(root, "report.html"):
        write(root)
