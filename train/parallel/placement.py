"""What one process holds of parameters, gradients and optimizer, and how a step uses it.

A checkpoint knows nothing of that: `Placement.parameters` and `Placement.state` give whole tensors
by name, each put together on the first process when its turn comes, and `Placement.load` takes of
whole tensors what this process holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from safetensors import safe_open
from torch import Tensor, nn

from corpusforge.spec import TrainSpec

from .. import optim
from ..checkpoint import Checkpoint
from ..classes import EVERY, Classes
from ..safetensors_stream import Entry
from .cuts import Cuts
from .exchange import Exchange
from .layout import Layout


class Placement:
    """Every data process holds all (of its tensor part): one process alone, or data parallelism.

    Data parallelism ends in the bits of one process that accumulates the same slices.
    """

    def __init__(
        self,
        model: nn.Module,
        spec: TrainSpec,
        layout: Layout,
        cuts: Cuts,
        vocabulary: Classes = EVERY,
    ) -> None:
        self.model, self.spec, self.layout, self.cuts = model, spec, layout, cuts
        self.vocabulary = vocabulary
        self.arrange()

    @property
    def entire(self) -> bool:
        """Whether the model of this process can be run by it alone."""
        return self.layout.tensor == 1

    def arrange(self) -> None:
        """Make the optimizer, and what gradients are exchanged by."""
        self.named = dict(self.model.named_parameters())
        self.optimizer = optim.build(self.model, self.spec.optim)
        self.exchange: Exchange | None = None
        if self.layout.data > 1:
            self.exchange = Exchange(learning(self.named), self.layout.group("data"))

    # -- step ----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a step: no gradients yet."""
        self.optimizer.zero_grad()

    def after_backward(self) -> None:
        """Take the gradients of this round's slices."""
        if self.exchange is not None:
            self.exchange.add_all()

    def clip(self, limit: float) -> float:
        """Bring the gradients of all rounds together and clip them; the norm before."""
        if self.exchange is not None:
            self.exchange.spread()
        if self.layout.tensor == 1:
            return float(optim.clip(self.model.parameters(), limit))
        return self.clip_parts(
            {name: p.grad for name, p in self.named.items() if p.grad is not None},
            limit,
            self.layout.group("tensor"),
        )

    def step(self) -> None:
        """Change the parameters."""
        self.optimizer.step()

    def clip_parts(self, parts: Mapping[str, Tensor], limit: float, group: Any) -> float:
        """`clip` of gradients of which the processes of ``group`` hold parts each.

        Terms are added over the tensor processes first: one exchange for all of them.
        """
        terms = [part for name, part in parts.items() if name in self.cuts.terms]
        if terms:
            row = torch.cat([part.reshape(-1) for part in terms])
            dist.all_reduce(row, group=self.layout.group("tensor"))
            sizes = [part.numel() for part in terms]
            for part, total in zip(terms, row.split(sizes), strict=True):
                part.copy_(total.view(part.shape))
        square = torch.zeros((), dtype=torch.float64, device=next(self.model.parameters()).device)
        for name, part in parts.items():
            if self.cuts.counts(name):
                square += torch.linalg.vector_norm(part, dtype=torch.float64).square()
        dist.all_reduce(square, group=group)
        norm = float(square.sqrt())
        if limit and norm > limit:
            for part in parts.values():
                part *= limit / (norm + 1e-6)
        return norm

    # -- checkpoints ---------------------------------------------------------------------------

    def parameters(self) -> dict[str, Entry]:
        """All parameters, whole; the processes must read them in one order."""
        return {name: self.entry(name, parameter) for name, parameter in self.named.items()}

    def state(self) -> dict[str, Entry]:
        """State of the optimizer as ``optim.state_by_name`` names it, whole."""
        return {
            f"{name}/{key}": self.entry(name, value) if value.dim() else Entry.of(value)
            for name, parameter in self.named.items()
            for key, value in self.optimizer.state[parameter].items()
        }

    def load(self, found: Checkpoint) -> None:
        """Take the optimizer's state of a checkpoint."""
        for name, key, value in saved(found):
            parameter = self.named[name]
            part = self.cuts.part(name, value) if value.dim() else value
            self.optimizer.state[parameter][key] = part.to(parameter.device, copy=True)

    def entry(self, name: str, held: Tensor) -> Entry:
        """Make what is written of ``name``, of which this process holds ``held``."""
        if self.layout.tensor == 1:
            return Entry.of(held)
        shape = self.cuts.shape(name, held)
        return Entry(shape, held.dtype, partial(self._whole, name, held))

    def _whole(self, name: str, held: Tensor) -> Tensor:
        mine = held.detach() if self.layout.data_rank == 0 else torch.zeros_like(held)
        return self.joined(name, mine)

    def joined(self, name: str, mine: Tensor) -> Tensor:
        """Put ``name`` together on the first process; what is another's is 0 in ``mine``.

        The bits are added as integers, so that they stay.
        """
        whole = mine.new_zeros(self.cuts.shape(name, mine))
        if self.cuts.counts(name):
            self.cuts.part(name, whole).copy_(mine)
        dist.reduce(whole.view(-1).view(torch.int32), 0)
        return whole


def saved(found: Checkpoint) -> Iterator[tuple[str, str, Tensor]]:
    """Parameter, key and whole tensor of each optimizer state of a checkpoint, one at a time."""
    with safe_open(found.path / "optim.safetensors", "pt") as file:
        for path in file.keys():  # noqa: SIM118 (it is no mapping)
            name, _, key = path.rpartition("/")
            yield name, key, file.get_tensor(path)


def learning(named: Mapping[str, nn.Parameter]) -> list[nn.Parameter]:
    """Parameters that are not frozen."""
    return [parameter for parameter in named.values() if parameter.requires_grad]
