"""Specs as a folder's ``forge.toml`` and the command line give them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from corpusforge.errors import SpecError, nearest
from corpusforge.spec import (
    CleanSpec,
    EvalSpec,
    FinetuneSpec,
    SweepSpec,
    TokenizeSpec,
    TrainSpec,
    load,
)
from corpusforge.spec.model import Model

S = TypeVar("S", bound=Model)

TABLES: dict[str, type[Model]] = {
    "clean": CleanSpec,
    "tokenize": TokenizeSpec,
    "train": TrainSpec,
    "finetune": FinetuneSpec,
    "eval": EvalSpec,
    "sweep": SweepSpec,
}


def load_spec(kind: type[S], file: str | None = None, overrides: Iterable[str] = ()) -> S:
    """Read a spec: the folder's ``forge.toml``, over it ``file``, over it the overrides."""
    table = next(name for name, known in TABLES.items() if known is kind)
    base = tables().get(table, {})
    return load(kind, file=file, overrides=overrides, base=base)


def tables() -> dict[str, dict[str, Any]]:
    """Return the tables of the folder's ``forge.toml``, if there is one."""
    path = Path("forge.toml")
    if not path.exists():
        return {}
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"not a TOML file: {error}", file="forge.toml") from None
    known = (*TABLES, "beam")
    for name, table in found.items():
        if name not in known:
            raise SpecError(
                f"unknown table '[{name}]'", file="forge.toml", remedy=nearest(name, known)
            )
        if not isinstance(table, dict):
            raise SpecError(
                f"'{name}' = {table!r}", file="forge.toml", expected=f"a table [{name}]"
            )
    return found
