"""Quality models: a text -> the probability that it is of the good kind.

A model is a folder that ``forge classify train`` wrote (model.safetensors, config.json), or a
fastText .bin or .ftz file, run by fasttext-predict, whose probability of one label is the score.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from corpusforge.errors import SpecError, nearest
from corpusforge.kernels import linear
from corpusforge.shard import join, write_bytes, write_json
from corpusforge.storage import need_local

FORMAT = "forge-linear-1"
WEIGHTS, CONFIG = "model.safetensors", "config.json"

_MAGIC, _VERSION = 793712314, 12  # of fastText files: dictionary and weights, newest version
_REMEDY = "name a folder of forge classify train, or a fastText .bin or .ftz file"

Scorer = Callable[[pa.StringArray], np.ndarray]


def save(root: str, weights: linear.F32, bias: float, config: dict[str, Any]) -> None:
    """Write a linear model into the folder ``root``; the same model gives the same bytes."""
    tensors = {"bias": np.array([bias]), "weights": weights}
    write_bytes(join(root, WEIGHTS), save_tensors(tensors))
    write_json(join(root, CONFIG), {"format": FORMAT, **config})


def score(model: str, label: str, text: pa.StringArray) -> pa.DoubleArray:
    """Return the score of every text, rounded to 1e-3; null for a null text.

    Raises SpecError for a model that cannot be read, and a label that it does not have.
    """
    values = _scorer(model, label, _stamp(model))(text)
    return pc.round(pa.array(values, pa.float64(), mask=np.isnan(values)), 3)


def digest(model: str) -> str:
    """Return the sha256 of a model's file, "" where ``model`` is empty; raises as ``score``."""
    return _digest(model, _stamp(model)) if model else ""


def _file(model: str) -> Path:
    path = Path(model)
    return path / WEIGHTS if path.is_dir() else path


def _stamp(model: str) -> tuple[int, int]:
    """What changes when a model's file does."""
    need_local(model)
    try:
        status = _file(model).stat()
    except OSError:
        raise SpecError("no such quality model", file=model, remedy=_REMEDY) from None
    return status.st_size, status.st_mtime_ns


@cache
def _digest(model: str, stamp: tuple[int, int]) -> str:
    with _file(model).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _scorer(model: str, label: str, stamp: tuple[int, int]) -> Scorer:
    file = _file(model)
    return _linear(file) if file.name == WEIGHTS else _fasttext(file, label)


def _linear(file: Path) -> Scorer:
    config = file.with_name(CONFIG)
    try:
        tensors = load_tensors(file.read_bytes())
        weights, (bias,) = tensors["weights"], tensors["bias"].tolist()
        known = json.loads(config.read_bytes())["format"] == FORMAT
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise SpecError(
            f"not a quality model: {type(error).__name__} {error}", file=str(file), remedy=_REMEDY
        ) from None
    size = len(weights) if weights.ndim == 1 else 0
    if not known or weights.dtype != np.float32 or size < 1 or size & (size - 1):
        raise SpecError(
            "not a quality model of this version",
            file=str(file),
            expected=f"{FORMAT}, a power of two of float32 weights",
            remedy="train it again",
        )
    if not np.isfinite(weights).all() or not np.isfinite(bias):
        raise SpecError("a weight is no number", file=str(file), remedy="train it again")
    return lambda text: linear.score(text, weights, float(bias))


def _fasttext(file: Path, label: str) -> Scorer:
    try:
        with file.open("rb") as opened:
            head = opened.read(8)
    except OSError as error:
        raise SpecError(
            f"cannot be read: {error.strerror}", file=str(file), remedy=_REMEDY
        ) from None
    magic, version = struct.unpack("<ii", head) if len(head) == 8 else (0, 0)
    if magic != _MAGIC or not 0 < version <= _VERSION:
        raise SpecError("not a fastText model", file=str(file), remedy=_REMEDY)
    import fasttext  # with its model it is loaded by the first text

    try:
        model = fasttext.load_model(str(file))
        labels = model.predict("", -1, -1.0)[0]
    except (ValueError, RuntimeError, MemoryError) as error:
        raise SpecError(f"not a fastText model: {error}", file=str(file), remedy=_REMEDY) from None
    if label not in labels:
        raise SpecError(
            f"the model has no label '{label}'",
            file=str(file),
            remedy=f"set quality.label: {nearest(label, labels)}",
        )

    def scores(text: pa.StringArray) -> np.ndarray:
        values = np.full(len(text), np.nan)
        for row, line in enumerate(pc.replace_substring(text, "\n", " ").to_pylist()):
            if line is not None:
                found = dict(zip(*model.predict(line, -1, -1.0), strict=True))
                values[row] = min(found[label], 1.0)  # fastText's sums may pass 1 by 1e-5
        return values

    return scores
