"""The learning rate as a closed form of the step, so that a resumed run needs no state of it."""

from __future__ import annotations

import math

from corpusforge.spec import OptimSpec


def learning_rate(step: int, steps: int, spec: OptimSpec) -> float:
    """Rate of ``step`` (0 ... steps - 1).

    Rises linearly to ``spec.learning_rate`` over the first ``warmup`` share, which it reaches with
    the last warmup step; then falls as ``spec.schedule`` says, to the ``final`` share at the last
    step. "warmup-stable-decay" holds it up to the last ``decay`` share and falls linearly in
    that (Hu et al. 2024, "MiniCPM").
    """
    warmup = round(spec.warmup * steps)
    if step < warmup:
        return spec.learning_rate * (step + 1) / warmup
    if spec.schedule == "constant":
        return spec.learning_rate
    if spec.schedule == "warmup-stable-decay":
        falling = min(max(round(spec.decay * steps), 1), steps - warmup)
        if step < steps - falling:
            return spec.learning_rate
        warmup = steps - falling
    progress = (step - warmup + 1) / (steps - warmup)
    if spec.schedule == "cosine":
        progress = (1 - math.cos(math.pi * progress)) / 2
    return spec.learning_rate * (1 - (1 - spec.final) * progress)
