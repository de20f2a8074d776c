"""Low-rank adapters (Hu et al. 2021, "LoRA"): W x + alpha / rank * up(down(x)), W as it was.

``up`` starts at zero, so an adapted model begins as the model it adapts; ``merge`` adds the product
to W, which makes a model of the old shape again.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from corpusforge.errors import SpecError, nearest
from corpusforge.spec.finetune import AdapterSpec


class Adapted(nn.Module):
    """A linear layer [out, in] with ``down`` [rank, in] and ``up`` [out, rank] beside it."""

    def __init__(self, base: nn.Linear, spec: AdapterSpec, draw: torch.Generator) -> None:
        super().__init__()
        self.base, self.scale = base, spec.alpha / spec.rank
        self.dropout = nn.Dropout(spec.dropout)
        down = torch.randn(spec.rank, base.in_features, generator=draw) * base.in_features**-0.5
        self.down = nn.Parameter(down)
        self.up = nn.Parameter(torch.zeros(base.out_features, spec.rank))

    def forward(self, x: Tensor) -> Tensor:
        """x [..., in] -> [..., out]."""
        low = nn.functional.linear(self.dropout(x), self.down)
        out: Tensor = self.base(x) + self.scale * nn.functional.linear(low, self.up)
        return out

    def merged(self) -> nn.Linear:
        """The layer with the product added to its weight."""
        with torch.no_grad():
            self.base.weight += self.scale * (self.up @ self.down)
        return self.base


def adapt(model: nn.Module, spec: AdapterSpec, seed: int) -> None:
    """Put adapters beside the ``spec.targets`` of all blocks; nothing else is trained any more.

    Raises SpecError for a target that no block has.
    """
    layers = {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and "blocks." in name
    }
    known = {name.rpartition(".")[2] for name in layers}
    for target in spec.targets:
        if target not in known:
            raise SpecError(
                f"no linear layer of the blocks is called '{target}'",
                remedy=f"adapter.targets: {nearest(target, known)}",
            )
    if not spec.targets:
        raise SpecError("adapter.targets is empty", expected="some of " + ", ".join(sorted(known)))
    model.requires_grad_(False)
    draw = torch.Generator().manual_seed(seed)
    for name, layer in layers.items():
        if name.rpartition(".")[2] in spec.targets:
            _replace(model, name, Adapted(layer, spec, draw))


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """The adapters alone, by layer: ``blocks.0.attention.query.down`` and ``.up``."""
    return {
        f"{name}.{part}": getattr(layer, part).detach()
        for name, layer in model.named_modules()
        if isinstance(layer, Adapted)
        for part in ("down", "up")
    }


def merge(model: nn.Module) -> None:
    """Put each adapted layer's sum in its place: the model has its old shape again."""
    for name, layer in list(model.named_modules()):
        if isinstance(layer, Adapted):
            _replace(model, name, layer.merged())


def _replace(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)
