"""Cross entropy over the vocabulary in chunks: the logits [N, V] never exist whole.

The gradients are computed in the forward pass, chunk by chunk, and only scaled in the backward
pass; so a step holds one chunk of logits, the gradient of the hidden states and that of the matrix.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .classes import EVERY, Classes

IGNORE = -100  # a target that counts nowhere
CHUNK = 512  # rows of logits at a time


def cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    smoothing: float = 0.0,
    focal: float = 0.0,
    z_loss: float = 0.0,
    chunk: int = CHUNK,
    classes: Classes = EVERY,
) -> tuple[Tensor, Tensor]:
    """Sum of the cross entropy of ``hidden @ weight.T`` over the targets that are not IGNORE.

    Equals ``F.cross_entropy(..., reduction="sum", label_smoothing=smoothing)`` in value and
    gradient. Under autocast the two products run in its dtype, everything else in float32.

    Args:
        hidden: [..., D]. weight: [V, D]. targets: int64 [...].
        smoothing: share of the target spread over the vocabulary (Szegedy et al. 2016).
        focal: gamma of (1 - p)^gamma, which scales the target's own term (Lin et al. 2017).
        z_loss: weight of the squared log of the softmax's denominator (Chowdhery et al. 2022).
        classes: which of the V are here.

    Returns:
        The sum (float32 scalar, differentiable) and the negative log-likelihoods of the targets,
        float32 [...], 0 where ignored, without smoothing and without gradient.
    """
    total, nll = _ChunkedCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden.reshape(-1, hidden.shape[-1]),
        weight,
        targets.reshape(-1),
        smoothing,
        focal,
        z_loss,
        chunk,
        classes,
    )
    return total, nll.view(targets.shape)


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Forward returns (sum, nll) and keeps the gradients; backward scales them."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        smoothing: float,
        focal: float,
        z_loss: float,
        chunk: int,
        classes: Classes,
    ) -> tuple[Tensor, Tensor]:
        device = hidden.device.type
        dtype = hidden.dtype
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        kept = (targets != IGNORE).nonzero().squeeze(1)
        every = len(kept) == len(targets)
        h = (hidden if every else hidden[kept]).to(dtype)
        t = targets if every else targets[kept]
        w = weight.to(dtype)
        needs_hidden, needs_weight = ctx.needs_input_grad[:2]
        grad_hidden = torch.empty_like(h) if needs_hidden else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if needs_weight else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        nll = torch.empty(len(t), dtype=torch.float32, device=hidden.device)
        with torch.autocast(device, enabled=False):
            for start in range(0, len(t), chunk):
                part = slice(start, start + chunk)
                logits = (h[part] @ w.t()).float()
                log_z = classes.log_z(logits) if z_loss else None
                log_p = classes.log_softmax(logits)
                losses = classes.picked(log_p, t[part]).neg_()
                nll[part] = losses
                own, pull = _focal(losses, focal) if focal else (losses, torch.ones_like(losses))
                if smoothing:
                    total += ((1 - smoothing) * own - smoothing * classes.mean(log_p)).sum()
                else:
                    total += own.sum()
                if log_z is not None:
                    total += z_loss * log_z.square().sum()
                if grad_hidden is None and grad_weight is None:
                    continue
                # d loss / d logits = a softmax - b onehot - smoothing / V, where without focal and
                # z-loss a = 1 and b = 1 - smoothing
                pull = (1 - smoothing) * pull
                slope = log_p.exp_()
                if focal or log_z is not None:
                    scale = pull + smoothing
                    if log_z is not None:
                        scale = scale + 2 * z_loss * log_z
                    slope *= scale[:, None]
                if smoothing:
                    slope -= smoothing / classes.count(weight)
                classes.add_at(slope, t[part], -pull)
                slope = slope.to(dtype)
                if grad_hidden is not None:
                    torch.mm(slope, w, out=grad_hidden[part])
                if grad_weight is not None:
                    if dtype == torch.float32:
                        grad_weight.addmm_(slope.t(), h[part])
                    else:
                        grad_weight += slope.t() @ h[part]
        if grad_hidden is not None:
            grad_hidden = classes.added(grad_hidden)
        if grad_hidden is not None and not every:
            grad_hidden = torch.zeros_like(hidden, dtype=dtype).index_copy_(0, kept, grad_hidden)
        if not every:
            nll = torch.zeros_like(targets, dtype=torch.float32).index_copy_(0, kept, nll)
        ctx.save_for_backward(grad_hidden, grad_weight)
        ctx.dtypes = hidden.dtype, weight.dtype
        ctx.mark_non_differentiable(nll)
        return total, nll

    @staticmethod
    def backward(ctx: Any, grad_total: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden, grad_weight = ctx.saved_tensors
        hidden_dtype, weight_dtype = ctx.dtypes
        if grad_hidden is not None:
            grad_hidden = (grad_hidden * grad_total).to(hidden_dtype)
        if grad_weight is not None:
            grad_weight = (grad_weight * grad_total).to(weight_dtype)
        return grad_hidden, grad_weight, None, None, None, None, None, None


def _focal(losses: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """Focal losses (1 - p)^gamma losses, and what scales softmax - onehot in their gradient."""
    p = torch.exp(-losses)
    rest = (1 - p).clamp_min(1e-12)  # its power below 1 has no slope at 0
    weight = rest**gamma
    return weight * losses, weight + gamma * rest ** (gamma - 1) * p * losses
