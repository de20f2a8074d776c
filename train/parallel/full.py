"""Parts of everything (Zhao et al. 2023, "PyTorch FSDP"; ZeRO stage 3), by torch's fully_shard.

A block's parameters are put together when it runs and given up after it. Those outside the blocks
stay from the forward to the end of the backward pass, since the loss uses the table of tokens.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from .. import optim
from ..checkpoint import Checkpoint
from ..safetensors_stream import Entry
from .placement import Placement, saved


class Full(Placement):
    """Stage 3: ``parallel.shard`` full."""

    entire = False

    def arrange(self) -> None:
        """Divide blocks and the rest over the data processes; then an optimizer of the parts."""
        assert self.layout.mesh is not None
        mesh, model = self.layout.mesh["data"], self.model
        self.shapes = {name: p.shape for name, p in model.named_parameters()}
        for name, module in model.named_modules():
            if name.rpartition(".")[0].endswith("blocks"):
                fully_shard(module, mesh=mesh)
        fully_shard(model, mesh=mesh, reshard_after_forward=False)
        for module in model.modules():
            if isinstance(module, FSDPModule):
                # losses are divided by the targets of the whole batch: gradients are only added
                module.set_gradient_divide_factor(1.0)
                module.set_force_sum_reduction_for_comms(True)
        if hasattr(model, "read"):
            register_fsdp_forward_method(model, "read")
        self.named = dict(model.named_parameters())
        self.optimizer = optim.build(model, self.spec.optim)

    def after_backward(self) -> None:
        """Nothing: the backward pass has added this round to the parts."""

    def clip(self, limit: float) -> float:
        """Clip this process's parts by the norm of all."""
        parts = {name: local(p.grad) for name, p in self.named.items() if p.grad is not None}
        return self.clip_parts(parts, limit, dist.group.WORLD)

    def entry(self, name: str, held: Tensor) -> Entry:
        """Make what is written of ``name``, of which this process holds a part."""
        whole = self.cuts.shape(name, torch.empty(self.shapes[name], device="meta"))
        return Entry(whole, held.dtype, partial(self._whole, name, held))

    def _whole(self, name: str, held: Tensor) -> Tensor:
        part = local(held)
        mine = part.new_zeros(self.shapes[name])
        self._mine(mine).copy_(part)
        return self.joined(name, mine)

    def _mine(self, whole: Tensor) -> Tensor:
        """View the rows that are this process's; it may have none."""
        chunks = whole.chunk(self.layout.data)
        rank = self.layout.data_rank
        return chunks[rank] if rank < len(chunks) else whole[:0]

    def load(self, found: Checkpoint) -> None:
        """Take this process's parts of a checkpoint's state."""
        for name, key, value in saved(found):
            parameter = self.named[name]
            if not value.dim():
                self.optimizer.state[parameter][key] = value.to(parameter.device, copy=True)
                continue
            state = torch.zeros_like(parameter)
            local(state).copy_(self._mine(self.cuts.part(name, value)))
            self.optimizer.state[parameter][key] = state


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
