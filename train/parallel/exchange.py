"""Gradients of slices, added over the data processes in the order of the slices.

The parameters lie one after another in buckets. Every process owns an equal part of each bucket and
gets that part of every slice's gradient, adds them as one process would that computes the slices
one after another, and so ends in the same bits. An all-reduce adds in an order of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

ALIGN = 64  # elements; a parameter begins at a multiple, as memory from torch's own allocator does
LIMIT = 1 << 22  # elements of a bucket, unless one parameter is larger


class Bucket:
    """Parameters in one row of elements, which is cut into equal parts, one a process."""

    def __init__(self, parameters: Sequence[nn.Parameter], parts: int) -> None:
        self.parameters, self.starts, end = list(parameters), list[int](), 0
        for parameter in parameters:
            self.starts.append(end)
            end += _up(parameter.numel(), ALIGN)
        self.size = _up(end, ALIGN * parts)
        self.part = self.size // parts

    def views(self, flat: Tensor) -> list[Tensor]:
        """Views of the flat row [size] in the parameters' shapes."""
        return [
            flat[start : start + p.numel()].view(p.shape)
            for start, p in zip(self.starts, self.parameters, strict=True)
        ]

    def overlap(self, index: int, rank: int) -> tuple[int, int]:
        """Elements of parameter ``index`` that are in the part of ``rank``: [begin, end) of it."""
        start, count = self.starts[index], self.parameters[index].numel()
        begin = min(max(rank * self.part - start, 0), count)
        return begin, max(min((rank + 1) * self.part - start, count), begin)


def buckets(parameters: Sequence[nn.Parameter], parts: int) -> list[Bucket]:
    """Divide parameters into buckets, the last ones first: their gradients are ready first."""
    found, row, size = list[Bucket](), list[nn.Parameter](), 0
    for parameter in reversed(parameters):
        if row and size + parameter.numel() > LIMIT:
            found.append(Bucket(row, parts))
            row, size = [], 0
        row.append(parameter)
        size += parameter.numel()
    return [*found, Bucket(row, parts)] if row else found


class Exchange:
    """Sums of the gradients over slices, each process its parts, in ``group``."""

    def __init__(self, parameters: Sequence[nn.Parameter], group: Any) -> None:
        self.group, self.parts = group, dist.get_world_size(group)
        self.rank = dist.get_rank(group)
        self.buckets = buckets(parameters, self.parts)
        self.sums: list[Tensor | None] = [None for _ in self.buckets]

    def add(self, number: int) -> None:
        """Hand out bucket ``number`` of this round's gradients, which are removed, and add it."""
        bucket = self.buckets[number]
        first = bucket.parameters[0]
        flat = torch.zeros(bucket.size, dtype=first.dtype, device=first.device)
        for parameter, view in zip(bucket.parameters, bucket.views(flat), strict=True):
            if parameter.grad is not None:
                view.copy_(parameter.grad)
                parameter.grad = None
        found = torch.empty_like(flat)
        dist.all_to_all_single(found, flat, group=self.group)
        by_slice = found.view(self.parts, bucket.part)
        total = self.sums[number]
        if total is None:
            total, by_slice = by_slice[0].clone(), by_slice[1:]
        for part in by_slice:
            total += part
        self.sums[number] = total

    def add_all(self) -> None:
        """Hand out all buckets of this round."""
        for number in range(len(self.buckets)):
            self.add(number)

    def spread(self) -> None:
        """Give every process the sums, as the parameters' gradients."""
        for number, bucket in enumerate(self.buckets):
            flat = self.whole(bucket, self.taken(number))
            for parameter, view in zip(bucket.parameters, bucket.views(flat), strict=True):
                parameter.grad = view

    def taken(self, number: int) -> Tensor:
        """Sum of this process's part of a bucket; the next round begins anew."""
        total = self.sums[number]
        assert total is not None
        self.sums[number] = None
        return total

    def whole(self, bucket: Bucket, part: Tensor) -> Tensor:
        """Put the parts of all processes together."""
        flat = torch.empty(bucket.size, dtype=part.dtype, device=part.device)
        dist.all_gather(list(flat.chunk(self.parts)), part, group=self.group)
        return flat


def _up(count: int, step: int) -> int:
    return -(-count // step) * step
