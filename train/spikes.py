"""Spikes: steps whose loss or gradient norm is far above those before, with their documents."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import metrics

NAME = "spikes.jsonl"
WINDOW = 64  # steps that a step is compared with
ENOUGH = 16  # of them, before anything is called a spike
LIMIT = 6.0  # robust standard deviations above the median
DOCUMENTS = 20  # of a spike, those of the highest loss

_SIGMA = 1.4826  # of a normal distribution, in median absolute deviations


class History:
    """Losses and gradient norms of the last steps: [(loss, norm), ...]."""

    def __init__(self, steps: Iterable[tuple[float, float]] = ()) -> None:
        self.steps = deque(((float(a), float(b)) for a, b in steps), maxlen=WINDOW)

    def add(self, loss: float, norm: float) -> dict[str, float]:
        """Remember a step; returns its robust z-scores where one is over LIMIT, else nothing."""
        found = {}
        if len(self.steps) >= ENOUGH:
            scores = [
                robust_z(value, [step[index] for step in self.steps])
                for index, value in enumerate((loss, norm))
            ]
            if max(scores) > LIMIT:
                found = {"loss_z": round(scores[0], 3), "gradient_norm_z": round(scores[1], 3)}
        self.steps.append((loss, norm))
        return found


def robust_z(value: float, others: list[float]) -> float:
    """Return (value - median) / (1.4826 MAD) of ``others`` (Iglewicz and Hoaglin 1993)."""
    middle = statistics.median(others)
    spread = statistics.median(abs(other - middle) for other in others)
    return (value - middle) / max(_SIGMA * spread, 1e-3 * abs(middle), 1e-12)


def read(run: str) -> list[dict[str, Any]]:
    """Return the spikes of a model folder in step order."""
    return metrics.read(Path(run), NAME)
