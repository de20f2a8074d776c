"""Start weights: a function of the spec and a seed, drawn parameter by parameter in name order."""

from __future__ import annotations

import math

import torch
from torch import nn

from corpusforge.spec import ModelSpec

_RESIDUAL = (
    ".attention.out.weight",
    ".cross_attention.out.weight",
    ".feed_forward.down.weight",
)


def initialize(model: nn.Module, spec: ModelSpec, seed: int) -> None:
    """Fill all parameters in place.

    ``normal``: N(0, 0.02), matrices that write into the residual stream scaled by 1/sqrt(2 layers)
    (Radford et al. 2019). ``xavier``: uniform for matrices (Glorot and Bengio 2010), embeddings
    N(0, 1/width) so that tied logits start at unit scale (Vaswani et al. 2017). Norms are 1, biases
    0.
    """
    generator = torch.Generator().manual_seed(seed)
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.dim() < 2:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
            elif spec.init == "normal":
                scale = math.sqrt(2 * spec.layers) if name.endswith(_RESIDUAL) else 1.0
                parameter.normal_(0.0, 0.02 / scale, generator=generator)
            elif id(parameter) in embeddings:
                parameter.normal_(0.0, spec.width**-0.5, generator=generator)
            else:
                nn.init.xavier_uniform_(parameter, generator=generator)
