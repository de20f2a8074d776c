"""The grid of processes, data x tensor, as torchrun started them, and what they tell each other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from corpusforge.errors import SpecError
from corpusforge.spec import TrainSpec

from ..machine import device
from .failures import answering

PATIENCE = timedelta(minutes=10)  # for one that is silent, not gone: it may write a checkpoint


@dataclass(frozen=True)
class Layout:
    """This process's place; ``tensor`` neighbours hold parts of each matrix and read one slice."""

    data: int = 1
    tensor: int = 1
    rank: int = 0
    mesh: DeviceMesh | None = None  # of (data, tensor); None: one process alone

    @property
    def first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    @property
    def world(self) -> int:
        """Processes in all."""
        return self.data * self.tensor

    @property
    def data_rank(self) -> int:
        """Which slices of a batch are this process's."""
        return self.rank // self.tensor

    @property
    def tensor_rank(self) -> int:
        """Which part of each matrix is this process's."""
        return self.rank % self.tensor

    def group(self, name: str) -> Any:
        """Group of the processes that differ from this one in ``name``, data or tensor, alone."""
        assert self.mesh is not None
        return self.mesh.get_group(name)

    def slices(self, spec: TrainSpec) -> int:
        """Slices that a batch is computed in: one a data process at least.

        Raises SpecError where they do not divide it.
        """
        count = max(spec.run.accumulate, self.data)
        if count % self.data or spec.run.batch % count:
            raise SpecError(
                f"run.batch = {spec.run.batch} in {count} slices cannot be shared by "
                f"{self.data} data processes",
                remedy=f"make run.accumulate 1 or a multiple of {self.data} that divides run.batch",
            )
        return count

    def mine(self, slices: int) -> range:
        """Numbers of this process's slices: one of each round of ``data`` slices."""
        return range(self.data_rank, slices, self.data)

    # -- words: values that all must know, on the CPU ------------------------------------------

    def tell(self, word: int) -> int:
        """Return the first process's ``word`` in all of them."""
        if self.mesh is None:
            return word
        said = torch.tensor([word])
        dist.broadcast(said, 0)
        return int(said)

    def any(self, flag: bool) -> bool:
        """Tell whether ``flag`` holds in any process."""
        if self.mesh is None:
            return flag
        said = torch.tensor([int(flag)])
        dist.all_reduce(said, dist.ReduceOp.MAX)
        return bool(said)

    def gathered(self, mine: Sequence[Tensor]) -> list[Tensor]:
        """Tensors of this process's slices -> those of all slices, in order, on the CPU."""
        if self.data == 1:
            return [tensor.cpu() for tensor in mine]
        given = torch.stack([tensor.cpu() for tensor in mine])
        found = [torch.empty_like(given) for _ in range(self.data)]
        dist.all_gather(found, given, group=self.group("data"))
        return [found[rank][turn] for turn in range(len(mine)) for rank in range(self.data)]


def check(spec: TrainSpec) -> None:
    """Raise SpecError for what does not go together in several processes."""
    wanted = spec.parallel
    parts = wanted.shard != "none" or wanted.tensor > 1
    layout = f"parallel.shard = '{wanted.shard}', parallel.tensor = {wanted.tensor}"
    if parts and spec.optim.name == "adafactor":
        raise SpecError(
            f"optim.name = 'adafactor' with {layout}",
            expected="adamw or adam, whose state can be cut anywhere",
            remedy="use --set optim.name=adamw, or data processes without shards",
        )
    if spec.run.compile and (wanted.shard == "full" or wanted.tensor > 1):
        raise SpecError(f"run.compile with {layout}", remedy="use --set run.compile=false")


@contextmanager
def joined(spec: TrainSpec) -> Iterator[Layout]:
    """Meet the other processes that torchrun started, if it did.

    Raises SpecError where they are not as many as the spec wants; see `answering` for the rest.
    """
    wanted, world = spec.parallel, int(os.environ.get("WORLD_SIZE", "1"))
    data = wanted.data or max(world // wanted.tensor, 1)
    layout = Layout(data, wanted.tensor, int(os.environ.get("RANK", "0")))
    if world == layout.world == 1:
        yield layout
        return
    with answering(layout.rank, world):
        if layout.world != world:
            raise SpecError(
                f"parallel.data = {data} x parallel.tensor = {wanted.tensor} are {layout.world} "
                f"processes, but there {'are' if world > 1 else 'is'} {world}",
                remedy=f"run: torchrun --nproc-per-node {layout.world} -m corpusforge train ...",
            )
        check(spec)
        layout.slices(spec)
        kind = device(spec.run.device).type
        if kind == "cuda":
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        backend = "cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=PATIENCE)
        try:
            shape, names = (layout.data, layout.tensor), ("data", "tensor")
            mesh = init_device_mesh(kind, shape, mesh_dim_names=names)
            yield Layout(layout.data, layout.tensor, layout.rank, mesh)
        finally:
            dist.destroy_process_group()
