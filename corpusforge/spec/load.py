"""Specs in and out of TOML: ``load`` merges, ``parse`` refuses, ``digest`` names.

``load`` merges, from low to high: defaults, the named or given spec file, ``--set key=value``.
The digest of a spec decides whether a run folder may be continued.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import tomli_w
from pydantic import BaseModel, ValidationError

from corpusforge.errors import SpecError, nearest

from .model import Model

S = TypeVar("S", bound=Model)

_NAMED = {
    "CleanSpec": ("corpusforge.rules", "presets"),
    "TokenizeSpec": ("corpusforge.tokenizer_specs", ""),
    "TrainSpec": ("corpusforge.train", "specs"),
    "FinetuneSpec": ("corpusforge.train", "finetune_specs"),  # none yet
    "SweepSpec": ("corpusforge.train.sweeps", "specs"),
}


def parse(kind: type[S], values: Mapping[str, Any], file: str | None = None) -> S:
    """Validate ``values``; raises SpecError that names the key and the nearest known one."""
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        path = [str(part) for part in first["loc"] if not str(part).startswith("literal")]
        key = ".".join(path)
        if first["type"] == "extra_forbidden":
            known = _fields_at(kind, path[:-1])
            raise SpecError(
                f"unknown key '{key}'", file=file, remedy=nearest(path[-1], known)
            ) from None
        raise SpecError(
            f"'{key}' = {first['input']!r} is not allowed: {first['msg']}",
            file=file,
            remedy=f"change '{key}' in the spec or by --set {key}=VALUE",
        ) from None


def _fields_at(kind: type[BaseModel], path: Iterable[str]) -> list[str]:
    model: type[BaseModel] = kind
    for part in path:
        field = model.model_fields.get(part)
        if field is None or not isinstance(field.annotation, type):
            return list(model.model_fields)
        model = field.annotation
    return list(model.model_fields)


def load(
    kind: type[S],
    *,
    file: str | None = None,
    overrides: Iterable[str] = (),
    base: Mapping[str, Any] | None = None,
) -> S:
    """Read a spec: ``base`` values, over them ``file`` (a path or a shipped name), then overrides.

    ``overrides`` are ``key=value`` with dotted keys and TOML values; a bare word is a string.
    """
    return parse(kind, assemble(kind, file=file, overrides=overrides, base=base), file)


def assemble(
    kind: type[Model],
    *,
    file: str | None,
    overrides: Iterable[str],
    base: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the merged values of a spec, as ``load`` reads them, before they are validated."""
    values: dict[str, Any] = _deep(dict(base or {}))
    if file is not None:
        merge(values, read(kind, file))
    for item in overrides:
        key, separator, raw = item.partition("=")
        if not separator or not key.strip():
            raise SpecError(
                f"--set {item}", expected="key=value", remedy="e.g. --set dedup.near=none"
            )
        _assign(values, key.strip().split("."), _value(raw))
    return values


def read(kind: type[Model], name: str) -> dict[str, Any]:
    """Return the values of a TOML file or of a shipped spec."""
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():  # a folder may have the name of a spec
        if not path.exists():
            raise SpecError(
                "no such spec file", file=name, expected="a TOML file or a shipped name"
            )
        try:
            return tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise SpecError(f"not a TOML file: {error}", file=name) from None
    folder = shipped(kind)
    if name not in folder:
        known = nearest(name, folder) if folder else "give a TOML file"
        raise SpecError(f"no spec is called '{name}'", remedy=known)
    return tomllib.loads(folder[name])


def shipped(kind: type[Model]) -> dict[str, str]:
    """Return the text of every spec that the package ships for ``kind``, by name."""
    package, folder = _NAMED[kind.__name__]
    root = resources.files(package)
    root = root / folder if folder else root
    if not root.is_dir():
        return {}
    entries = sorted(root.iterdir(), key=lambda entry: entry.name)
    return {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in entries
        if entry.name.endswith(".toml")
    }


def _value(raw: str) -> Any:
    try:
        return tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return raw


def _assign(values: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        inner = values.setdefault(part, {})
        if not isinstance(inner, dict):
            raise SpecError(f"'{part}' in '{'.'.join(path)}' is a value, not a table")
        values = inner
    values[path[-1]] = value


def _deep(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _deep(value) if isinstance(value, dict) else value for key, value in values.items()
    }


def merge(values: dict[str, Any], over: Mapping[str, Any]) -> None:
    """Write ``over`` into ``values``, table by table."""
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(values.get(key), dict):
            merge(values[key], value)
        else:
            values[key] = _deep(dict(value)) if isinstance(value, Mapping) else value


def dump(spec: Model) -> str:
    """Return ``spec`` as TOML, every field written out; ``load`` of it gives an equal spec."""
    return tomli_w.dumps(spec.model_dump(mode="json"))


def digest(spec: Model) -> str:
    """Return the sha256 (hex) of the canonical JSON of ``spec``."""
    text = json.dumps(spec.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return dotted keys whose values differ, as ``key (old -> new)``."""
    found = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before or after, Mapping):  # a table on one side only
            before, after = before or {}, after or {}
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append(f"{prefix}{key} ({before!r} -> {after!r})")
    return found
