"""What a signal is: its name, meaning and kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Signal:
    """One number of a text: a ``count`` is stored as int64, a ``share`` as float64."""

    name: str
    meaning: str
    kind: Literal["count", "share"]
