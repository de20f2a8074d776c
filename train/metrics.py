"""metrics.jsonl: one line a step, a function of the run alone but for rates; what losses mean."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

NAME = "metrics.jsonl"


class Metrics:
    """The metrics of a run; opening it at a step removes what a killed run wrote after it."""

    def __init__(self, root: Path, step: int, name: str = NAME) -> None:
        path = root / name
        kept = [line for line in read(root, name) if line["step"] <= step]
        temporary = path.with_suffix(".tmp")
        temporary.write_text("".join(map(_line, kept)), encoding="utf-8")
        temporary.replace(path)
        self._file = path.open("a", encoding="utf-8")

    def append(self, record: dict[str, Any]) -> None:
        """Add the line of one step."""
        self._file.write(_line(record))
        self._file.flush()

    def sync(self) -> None:
        """Make all lines durable: a checkpoint promises the lines up to its step."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class NoMetrics:
    """The metrics of a process that writes none."""

    def append(self, record: dict[str, Any]) -> None:
        """Add nothing."""

    def sync(self) -> None:
        """Promise nothing."""

    def close(self) -> None:
        """Close nothing."""


def read(root: Path, name: str = NAME) -> list[dict[str, Any]]:
    """Return the lines of a run's file in step order, up to the first one that a crash tore."""
    path = root / name
    if not path.exists():
        return []
    records = []
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            record = json.loads(line)
        except ValueError:
            break
        if not line.endswith(b"\n"):
            break
        records.append(record)
    return records


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record) + "\n"


def mean(name: str, value: float, count: int) -> float:
    """What a sum over ``count`` means: nats are a perplexity where the name says so."""
    if name.endswith("perplexity"):
        return perplexity(value, max(count, 1))
    return value / max(count, 1)


def perplexity(nats: float, targets: int) -> float:
    """Exponential of the mean negative log-likelihood of a target."""
    return math.exp(min(nats / targets, 700.0))


def bits_per_byte(nats: float, text_bytes: float) -> float:
    """Bits that the model needs for a UTF-8 byte of text; comparable across tokenizers."""
    return nats / math.log(2) / text_bytes
