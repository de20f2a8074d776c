"""Where tensor parallel processes meet: f and g of Megatron-LM (Shoeybi et al. 2019, figure 3)."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from .cuts import bounds


class _Copied(torch.autograd.Function):
    """f: forward nothing, backward the sum of the processes' gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Any) -> Tensor:
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient, group=ctx.group)
        return gradient, None


class _Reduced(torch.autograd.Function):
    """g: forward the sum of what the processes have, backward nothing."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Any) -> Tensor:
        x = x.contiguous().clone()
        dist.all_reduce(x, group=group)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def copied(x: Tensor, group: Any) -> Tensor:
    """Enter the part of the model that is cut: x is the same in all processes."""
    out: Tensor = _Copied.apply(x, group)  # type: ignore[no-untyped-call]
    return out


def reduced(x: Tensor, group: Any) -> Tensor:
    """Leave the part of the model that is cut: x is a term of a sum in each process."""
    out: Tensor = _Reduced.apply(x, group)  # type: ignore[no-untyped-call]
    return out


def whole_last(x: Tensor, size: int, parts: int, group: Any) -> Tensor:
    """Put parts [..., n] of the last dimension together to [..., size], without gradient."""
    step = bounds(size, 0, parts)[1]
    padded = torch.nn.functional.pad(x, (0, step - x.shape[-1])).contiguous()
    found = [torch.empty_like(padded) for _ in range(parts)]
    dist.all_gather(found, padded, group=group)
    return torch.cat(found, dim=-1)[..., :size]
