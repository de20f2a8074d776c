"""Where tensor parallel processes meet, forward and backward.

f and g of Megatron-LM are `copied` and `reduced` (Shoeybi et al. 2019, figure 3). In a stack,
between attention and feed-forward, each process has a part of the positions instead of a copy, and
f and g are an all-gather and a reduce-scatter: `gathered` and `scattered` (Korthikanti et al. 2022,
figure 5). Rows [B, S, D] are divided by S, padded with zeros where it does not divide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from .cuts import bounds


@dataclass(frozen=True)
class Peers:
    """The tensor processes; without a group this is one alone, which only sees what it needs."""

    rank: int
    parts: int
    group: Any

    def sum(self, x: Tensor) -> Tensor:
        """Add what the processes have."""
        x = x.contiguous().clone()
        if self.group is not None:
            dist.all_reduce(x, group=self.group)
        return x

    def all(self, x: Tensor) -> Tensor:
        """Positions of all processes: [B, S / parts, D] -> [B, S, D]."""
        x = x.contiguous()
        found = [torch.empty_like(x) for _ in range(self.parts)]
        if self.group is not None:
            dist.all_gather(found, x, group=self.group)
        return torch.cat(found, dim=1)

    def own(self, x: Tensor) -> Tensor:
        """Positions of this process: [B, S, D] -> [B, S / parts, D]."""
        size = x.shape[1] // self.parts
        return x[:, self.rank * size : (self.rank + 1) * size].clone()

    def own_sum(self, x: Tensor) -> Tensor:
        """Add what the processes have, each its positions."""
        parts = [part.contiguous() for part in x.chunk(self.parts, dim=1)]
        found = torch.empty_like(parts[0])
        if self.group is not None:
            dist.reduce_scatter(found, parts, group=self.group)
        return found


class _Meet(torch.autograd.Function):
    """One method of `Peers` forward and another one backward; "" is nothing."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, peers: Peers, forward: str, backward: str) -> Tensor:
        ctx.peers, ctx.backward_name = peers, backward
        out: Tensor = getattr(peers, forward)(x) if forward else x.view_as(x)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        name = ctx.backward_name
        return getattr(ctx.peers, name)(gradient) if name else gradient, None, None, None


def _meet(x: Tensor, peers: Peers, forward: str, backward: str) -> Tensor:
    out: Tensor = _Meet.apply(x, peers, forward, backward)  # type: ignore[no-untyped-call]
    return out


def copied(x: Tensor, peers: Peers) -> Tensor:
    """Enter a part of the model that is cut: x is the same in all processes."""
    return _meet(x, peers, "", "sum")


def reduced(x: Tensor, peers: Peers) -> Tensor:
    """Leave a part of the model that is cut: x is a term of a sum in each process."""
    return _meet(x, peers, "sum", "")


def gathered(x: Tensor, peers: Peers, length: int) -> Tensor:
    """Enter a part that is cut from one whose positions are divided; S is ``length``."""
    return _meet(x, peers, "all", "own_sum")[:, :length]


def scattered(x: Tensor, peers: Peers) -> Tensor:
    """Leave a part that is cut for one whose positions are divided."""
    return _meet(_padded(x, peers), peers, "own_sum", "all")


class Positions:
    """Where a stack's positions are divided and put together again; see ``Stack.divided``.

    What is drawn in between is each process's own; around it all draw alike.
    """

    def __init__(self, peers: Peers) -> None:
        self.peers, self.length = peers, 0

    def enter(self, x: Tensor) -> Tensor:
        """All positions -> this process's."""
        self.length = x.shape[1]
        if x.requires_grad and self.peers.group is not None:
            seed = int(torch.randint(1 << 62, ()))
            self.state = torch.get_rng_state()
            self.cuda = torch.cuda.get_rng_state() if x.is_cuda else None
            torch.manual_seed(seed + self.peers.rank)
        return _meet(_padded(x, self.peers), self.peers, "own", "all")

    def leave(self, x: Tensor) -> Tensor:
        """This process's positions -> all; what comes after has equal gradients in all."""
        if x.requires_grad and self.peers.group is not None:
            torch.set_rng_state(self.state)
            if self.cuda is not None:
                torch.cuda.set_rng_state(self.cuda)
        return _meet(x, self.peers, "all", "own")[:, : self.length]


def _padded(x: Tensor, peers: Peers) -> Tensor:
    missing = -x.shape[1] % peers.parts
    return torch.nn.functional.pad(x, (0, 0, 0, missing)) if missing else x


def whole_last(x: Tensor, size: int, peers: Peers) -> Tensor:
    """Put parts [..., n] of the last dimension together to [..., size], without gradient."""
    step = bounds(size, 0, peers.parts)[1]
    padded = torch.nn.functional.pad(x, (0, step - x.shape[-1])).contiguous()
    found = [torch.empty_like(padded) for _ in range(peers.parts)]
    dist.all_gather(found, padded, group=peers.group)
    return torch.cat(found, dim=-1)[..., :size]
