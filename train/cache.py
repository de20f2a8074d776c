"""Keys and values of the positions already read, so that generation computes each once."""

from __future__ import annotations

import torch
from torch import Tensor

from .model import Transformer


class KeyValueCache:
    """Room for ``model.sequence`` positions of ``rows`` rows; ``length`` of them are filled."""

    def __init__(self, model: Transformer, rows: int = 1) -> None:
        spec = model.spec
        heads, size = spec.kv_heads or spec.heads, spec.width // spec.heads
        weight = model.tokens.weight
        shape = (spec.layers, rows, heads, model.sequence, size)
        self.keys = torch.empty(shape, dtype=weight.dtype, device=weight.device)
        self.values = torch.empty_like(self.keys)
        self.length = 0

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store [B, G, S, E] of one layer; returns all positions so far. The model moves length."""
        end = self.length + keys.shape[2]
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]
