"""What one process holds of parameters, gradients and optimizer, and how a step uses it.

A checkpoint knows nothing of that: `Placement.parameters` and `Placement.state` give whole tensors
by name, each put together on the first process when its turn comes, and `Placement.load` takes of
whole tensors what this process holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import torch
import torch.distributed as dist
from safetensors import safe_open
from torch import Tensor, nn

from corpusforge.spec import TrainSpec

from .. import optim
from ..checkpoint import Checkpoint
from ..safetensors_stream import Entry
from .cuts import Cuts
from .exchange import Exchange
from .layout import Layout


class Placement:
    """Every data process holds all (of its tensor part): one process alone, or data parallelism.

    Data parallelism ends in the bits of one process that accumulates the same slices.
    """

    def __init__(self, model: nn.Module, spec: TrainSpec, layout: Layout, cuts: Cuts) -> None:
        self.model, self.spec, self.layout, self.cuts = model, spec, layout, cuts
        self.named = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.arrange()

    def arrange(self) -> None:
        """Make the optimizer, and what gradients are exchanged by."""
        self.optimizer = optim.build(self.model, self.spec.optim)
        self.exchange = (
            Exchange(list(self.named.values()), self.layout.group("data"))
            if self.layout.data > 1
            else None
        )

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
        return self.clip_parts(self.named.items(), limit, self.layout.group("tensor"))

    def step(self) -> None:
        """Change the parameters."""
        self.optimizer.step()

    def clip_parts(
        self, parts: Iterable[tuple[str, nn.Parameter]], limit: float, group: dist.ProcessGroup
    ) -> float:
        """`clip` for parameters by name of which the processes of ``group`` hold parts each."""
        held = [(name, p) for name, p in parts if p.grad is not None]
        once = [p.grad for name, p in held if self.cuts.counts(name)]
        device = held[0][1].device
        square = torch.zeros((), dtype=torch.float64, device=device)
        for gradient in once:
            square += torch.linalg.vector_norm(gradient, dtype=torch.float64).square()
        dist.all_reduce(square, group=group)
        norm = square.sqrt().float()
        if limit:
            nn.utils.clip_grads_with_norm_([p for _, p in held], limit, norm)
        return float(norm)

    # -- checkpoints ---------------------------------------------------------------------------

    def parameters(self) -> dict[str, Entry]:
        """All parameters, whole; the processes must read them in one order."""
        return {
            name: self.entry(name, parameter, parameter.dtype)
            for name, parameter in self.model.named_parameters()
        }

    def state(self) -> dict[str, Entry]:
        """State of the optimizer as ``optim.state_by_name`` names it, whole."""
        found = {}
        for name, parameter in self.model.named_parameters():
            for key, value in self.optimizer.state[parameter].items():
                whole = value.shape == parameter.shape
                entry = self.entry(name, value, value.dtype) if whole else Entry.of(value)
                found[f"{name}/{key}"] = entry
        return found

    def load(self, found: Checkpoint) -> None:
        """Take the optimizer's state of a checkpoint."""
        parameters = dict(self.model.named_parameters())
        for name, key, value in saved(found):
            parameter = parameters[name]
            part = self.cuts.part(name, value) if value.dim() else value
            self.optimizer.state[parameter][key] = part.to(parameter.device, copy=True)

    def entry(self, name: str, held: Tensor, dtype: torch.dtype) -> Entry:
        """Make what is written of ``name``, of which this process holds ``held``."""
        if self.layout.tensor == 1:
            return Entry.of(held)
        return Entry(self.cuts.shape(name, held), dtype, partial(self._whole, name, held))

    def _whole(self, name: str, held: Tensor) -> Tensor:
        mine = held if self.layout.data_rank == 0 else torch.zeros_like(held)
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


def placement(model: nn.Module, spec: TrainSpec, layout: Layout) -> Placement:
    """Lay ``model``, whole and on its device, over the processes."""
    return Placement(model, spec, layout, Cuts())
