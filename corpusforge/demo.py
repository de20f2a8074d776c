"""The demo: the real commands, one after the other, on the packaged sample; then one table."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

from corpusforge import explain, manifest
from corpusforge.errors import ForgeError
from corpusforge.schema import LEDGER
from corpusforge.shard import read_batches


def demo(output: str, workers: int | None, quiet: bool) -> tuple[dict[str, Any], str]:
    """Run clean, tokenize, train, explain and report; returns the figures and their table."""
    sample = str(resources.files("corpusforge.sample_data"))
    clean, tok, model = (f"{output}/{name}" for name in ("clean", "tok", "model"))
    shared = ["--quiet"] if quiet else []
    shared += ["--workers", str(workers)] if workers is not None else []

    bare = output == "run"  # then each command finds by itself what the one before it left
    _forge(["clean", sample, *([] if bare else ["-o", clean]), *shared])
    _forge(["tokenize", *([] if bare else [clean, "-o", tok]), "--algo", "bpe", *shared])
    _forge(["train", *([] if bare else [tok, "-o", model]), *shared])
    for document in _examples(clean):
        _forge(["explain", clean, document])
    _forge(["explain", model, "--step", "1"])
    _forge(["report", clean, tok, model])
    return _table(clean, tok, model)


def _forge(arguments: list[str]) -> None:
    shown = [os.path.relpath(a) if Path(a).is_absolute() else a for a in arguments]
    print(f"\n$ forge {' '.join(shown)}", file=sys.stderr, flush=True)
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", "corpusforge", *arguments]
    result = subprocess.run(command, env=environment, stdout=sys.stderr, check=False)
    if result.returncode:
        failed = ForgeError(
            f"forge {arguments[0]} ended with exit code {result.returncode}",
            remedy="see its own line above",
        )
        failed.exit_code = result.returncode
        raise failed


def _examples(clean: str) -> list[str]:
    """Ids of one duplicate and one document that rules dropped, the first of each."""
    found: dict[str, str] = {}
    for shard in manifest.read(clean, "clean").in_folder("ledger"):
        for batch in read_batches(clean, shard.name, LEDGER.names):
            for stage, id_ in zip(
                batch.column("stage").to_pylist(), batch.column("id").to_pylist(), strict=True
            ):
                found.setdefault(stage or "kept", id_.hex())
    return [found[stage] for stage in ("dedup", "rules") if stage in found]


def _table(clean: str, tok: str, model: str) -> tuple[dict[str, Any], str]:
    counts = manifest.read(clean, "clean").counts
    tokens = manifest.read(tok, "tokenize").facts
    trained = manifest.read(model, "train").facts
    values = {
        "counts": counts,
        "tokens": tokens["tokens"],
        "bytes_per_token": tokens["bytes"] / max(tokens["tokens"], 1),
        "first_loss": trained["first_loss"],
        "last_loss": trained["last_loss"],
        "perplexity": trained["perplexity"],
        "continuations": trained["continuations"],
        "reports": [f"{root}/report.html" for root in (clean, tok, model)],
    }
    rows = [
        ("documents in", f"{counts['in']:,}"),
        ("  kept", f"{counts['kept']:,}"),
        ("  dropped", f"{counts['dropped']:,}"),
        ("  failed", f"{counts['failed']:,}"),
        ("tokens", f"{values['tokens']:,}"),
        ("bytes per token", f"{values['bytes_per_token']:.2f}"),
        ("training loss, start", f"{values['first_loss']:.3f}"),
        ("training loss, end", f"{values['last_loss']:.3f}"),
        ("held-out perplexity", f"{values['perplexity'] or float('nan'):.1f}"),
    ]
    for number, text in enumerate(values["continuations"][:3], 1):
        rows.append((f"continuation {number}", explain.one_line(str(text), 90)))
    rows += [("report" if i == 0 else "", name) for i, name in enumerate(values["reports"])]
    return values, "\n" + "\n".join(f"{name:<22} {value}" for name, value in rows)
