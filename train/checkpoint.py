"""Checkpoints: a folder that exists whole or not at all, in safetensors and JSON, never pickle.

checkpoints/step-000100/
  model.safetensors  optim.safetensors  state.json   written first, made durable
  manifest.json                                      sizes and sha256 of the three, written last
The folder is ``step-000100.tmp`` until all of it is durable. Nothing in it depends on time or host,
so equal runs write equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from corpusforge.errors import RunError

from . import safetensors_stream
from .safetensors_stream import Entry

FOLDER = "checkpoints"
FILES = ("model.safetensors", "optim.safetensors", "state.json")
_NAME = re.compile(r"step-(\d{6,})")


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint on disk."""

    path: Path
    step: int  # optimizer steps that it holds

    def model(self) -> dict[str, Tensor]:
        """Parameters by name."""
        return load_file(self.path / "model.safetensors")

    def optimizer(self) -> dict[str, Tensor]:
        """Optimizer state as ``optim.state_by_name`` gave it."""
        return load_file(self.path / "optim.safetensors")

    def state(self) -> dict[str, Any]:
        """What else the run needs to go on."""
        state: dict[str, Any] = json.loads((self.path / "state.json").read_text(encoding="utf-8"))
        return state


def save(
    root: Path,
    step: int,
    model: Mapping[str, Tensor | Entry],
    optimizer: Mapping[str, Tensor | Entry],
    state: Mapping[str, Any],
    *,
    keep: int,
    best: int | None = None,
) -> Checkpoint:
    """Write the checkpoint of ``step`` under ``root``, then remove all but the newest ``keep``.

    That of step ``best`` stays too.
    """
    folder = root / FOLDER
    path = at(root, step).path
    temporary = folder / f"{path.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name, tensors in zip(FILES, (model, optimizer), strict=False):
        safetensors_stream.write(temporary / name, _entries(tensors))
    _write_json(temporary / "state.json", state)
    _write_json(temporary / "manifest.json", {name: _seal(temporary / name) for name in FILES})
    _sync(temporary)
    shutil.rmtree(path, ignore_errors=True)  # only one that did not verify can stand here
    temporary.rename(path)
    _sync(folder)
    for old in _steps(folder)[keep:]:
        if old.name != f"step-{best or 0:06d}":
            shutil.rmtree(old)
    return Checkpoint(path, step)


def at(root: Path, step: int) -> Checkpoint:
    """Return the checkpoint of ``step``, of which it is known that it verifies."""
    return Checkpoint(root / FOLDER / f"step-{step:06d}", step)


def newest(root: Path) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest checkpoint that verifies, and what was wrong with newer ones."""
    problems: list[str] = []
    for path in _steps(root / FOLDER):
        problem = _problem(path)
        if problem is None:
            return Checkpoint(path, int(path.name.removeprefix("step-"))), problems
        problems.append(f"{FOLDER}/{path.name} is passed over: {problem}")
    return None, problems


def sweep(root: Path) -> None:
    """Remove what a killed run left half-written."""
    for path in (root / FOLDER).glob("step-*.tmp"):
        shutil.rmtree(path)


def existing(root: Path) -> Checkpoint:
    """Return the newest checkpoint that verifies; raises RunError where there is none."""
    found, problems = newest(root)
    if found is None:
        raise RunError(
            "; ".join(["this folder holds no checkpoint that can be used", *problems]),
            file=str(root),
            remedy="run: forge train ... -o this folder",
        )
    return found


def _steps(folder: Path) -> list[Path]:
    """Checkpoint folders, newest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")), reverse=True)


def _problem(path: Path) -> str | None:
    try:
        seals = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return f"manifest.json: {error}"
    if sorted(seals) != sorted(FILES):
        return f"manifest.json names {sorted(seals)}"
    for name, seal in seals.items():
        file = path / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != seal["bytes"] or _sha256(file) != seal["sha256"]:
            return f"{name} is not as its manifest says"
    return None


def _entries(tensors: Mapping[str, Tensor | Entry]) -> dict[str, Entry]:
    return {
        name: tensor if isinstance(tensor, Entry) else Entry.of(tensor)
        for name, tensor in tensors.items()
    }


def _write_json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    _sync(path)


def _seal(path: Path) -> dict[str, Any]:
    _sync(path)
    return {"bytes": path.stat().st_size, "sha256": _sha256(path)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Make a file, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
