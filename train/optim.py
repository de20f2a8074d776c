"""Optimizers from torch.optim, their parameter groups, clipping, and their state by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from corpusforge.spec import OptimSpec


def build(model: nn.Module, spec: OptimSpec) -> Optimizer:
    """Optimizer over all parameters: matrices decay, norms and biases do not."""
    return over([(p, p.dim() >= 2) for p in model.parameters() if p.requires_grad], spec)


def over(parameters: Sequence[tuple[nn.Parameter, bool]], spec: OptimSpec) -> Optimizer:
    """Optimizer over parameters, of each of which it is said whether it decays."""
    groups = [
        {"params": [p for p, decays in parameters if decays], "weight_decay": spec.weight_decay},
        {"params": [p for p, decays in parameters if not decays], "weight_decay": 0.0},
    ]
    rate = spec.learning_rate
    if spec.name == "adafactor":
        return torch.optim.Adafactor(groups, lr=rate)
    kind = torch.optim.AdamW if spec.name == "adamw" else torch.optim.Adam
    return kind(groups, lr=rate, betas=spec.betas, fused=True)


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def clip(parameters: Iterable[nn.Parameter], limit: float) -> Tensor:
    """Scale all gradients so that their global 2-norm is at most ``limit`` (0: leave them).

    Returns the norm before scaling, a scalar (Pascanu et al. 2013).
    """
    held = [p for p in parameters if p.grad is not None]
    norm = nn.utils.get_total_norm([p.grad for p in held if p.grad is not None])
    if limit:
        nn.utils.clip_grads_with_norm_(held, limit, norm)
    return norm


def state_by_name(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """Return every state tensor as ``<parameter>/<state>``; independent of groups and order."""
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state[parameter].items()
    }


def load_state(model: nn.Module, optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give ``optimizer`` the state that ``state_by_name`` returned."""
    parameters = dict(model.named_parameters())
    for path, value in tensors.items():
        name, _, key = path.rpartition("/")
        parameter = parameters[name]
        optimizer.state[parameter][key] = value.to(parameter.device)
