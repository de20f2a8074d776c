"""Rates of a run: tokens a second, and the share of the machine's arithmetic that they use."""

from __future__ import annotations

from collections.abc import Callable

import torch

from .model import Transformer

_SIZE = 1024  # of the square matrices that measure what the machine can do
_ROUNDS = 4

Clock = Callable[[], float]  # seconds, from any zero


def flops_of_a_token(model: Transformer, length: int) -> float:
    """Floating point operations of training on one token in rows of ``length``.

    6 a parameter of the matrices and 12 a layer, width and position of attention (Chowdhery et al.
    2022, "PaLM", appendix B); looking up an embedding is none, the vocabulary's product is.
    """
    tables = {id(model.tokens.weight)} | ({id(model.positions.weight)} if model.positions else set())
    matrices = sum(p.numel() for p in model.parameters() if p.dim() > 1 and id(p) not in tables)
    matrices += model.unembedding.numel() if model.head is None else 0
    return 6.0 * matrices + 12.0 * model.spec.layers * model.spec.width * length


def peak_flops(device: torch.device, dtype: torch.dtype, clock: Clock) -> float:
    """Floating point operations a second of a large matrix product, the fastest of four."""
    left = torch.ones(_SIZE, _SIZE, device=device, dtype=dtype)
    fastest = float("inf")
    for _ in range(_ROUNDS):
        start = clock()
        left @ left  # noqa: B018
        if device.type == "cuda":
            torch.cuda.synchronize()
        fastest = min(fastest, clock() - start)
    return 2.0 * _SIZE**3 / max(fastest, 1e-9)
