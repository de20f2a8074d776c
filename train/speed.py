"""Rates of a run: tokens a second, and the share of the machine's arithmetic that they use."""

from __future__ import annotations

from collections.abc import Callable

import torch

from .model import Transformer

_SIZE = 1024  # of the square matrices that measure what the machine can do
_ROUNDS = 4

Clock = Callable[[], float]  # seconds, from any zero


class Rates:
    """Tokens a second since the last record, and their share of the measured peak (MFU)."""

    def __init__(
        self,
        model: Transformer,
        device: torch.device,
        dtype: torch.dtype,
        clock: Clock,
        processes: int = 1,
    ) -> None:
        self.clock, self.tokens = clock, -1
        peak = processes * peak_flops(device, dtype, clock)
        self.share = flops_of_a_token(model, model.sequence) / peak
        self.time = clock()

    def since(self, tokens: int) -> dict[str, float]:
        """Rates up to ``tokens`` of the whole run; none at the first call, which is the start."""
        now = self.clock()
        before, self.tokens = self.tokens, tokens
        spent, self.time = now - self.time, now
        if before < 0:
            return {}
        rate = (tokens - before) / max(spent, 1e-9)
        return {"tokens_per_second": rate, "mfu": rate * self.share}


def flops_of_a_token(model: Transformer, length: int) -> float:
    """Floating point operations of training on one token in rows of ``length``.

    6 a parameter of the matrices and 12 a layer, width and position of attention (Chowdhery et al.
    2022, "PaLM", appendix B); looking up an embedding is none, the vocabulary's product is.
    """
    tables = {id(model.tokens.weight)} | (
        {id(model.positions.weight)} if model.positions else set()
    )
    matrices = sum(p.numel() for p in model.parameters() if p.dim() > 1 and id(p) not in tables)
    matrices += model.unembedding.numel() if model.head is None else 0
    return 6.0 * matrices + 12.0 * model.spec.layers * model.spec.width * length


def peak_flops(device: torch.device, dtype: torch.dtype, clock: Clock) -> float:
    """Floating point operations a second of a large matrix product, the fastest of four."""
    left = torch.ones(_SIZE, _SIZE, device=device, dtype=dtype)
    fastest = float("inf")
    for _ in range(_ROUNDS):
        start = clock()
        left @ left
        if device.type == "cuda":
            torch.cuda.synchronize()
        fastest = min(fastest, clock() - start)
    return 2.0 * _SIZE**3 / max(fastest, 1e-9)
