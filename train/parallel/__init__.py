"""Training across processes: how they find each other, and what each of them holds.

The trainer knows `Layout` (which part of the work is this process's) and `Placement` (what it holds
of parameters, gradients and optimizer); one process alone has the plain one of both.
"""

from __future__ import annotations

from torch import nn

from corpusforge.spec import TrainSpec

from .cuts import Cuts
from .full import Full
from .layout import Layout, joined
from .placement import Placement
from .regions import Peers
from .shards import Shards
from .tensor import cut

__all__ = ["Layout", "Placement", "joined", "placement"]

KINDS = {"none": Placement, "optimizer": Shards, "gradients": Shards, "full": Full}


def placement(model: nn.Module, spec: TrainSpec, layout: Layout) -> Placement:
    """Lay ``model``, whole and on its device, over the processes."""
    kind = KINDS[spec.parallel.shard] if layout.data > 1 else Placement
    if layout.tensor == 1:
        return kind(model, spec, layout, Cuts())
    peers = Peers(layout.tensor_rank, layout.tensor, layout.group("tensor"))
    return kind(model, spec, layout, *cut(model, peers))
