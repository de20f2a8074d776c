"""Parts of the optimizer and of the gradients (Rajbhandari et al. 2020, "ZeRO", stages 1 and 2).

Parameters are views of flat buckets. Every data process steps its part of each bucket, of which it
alone has optimizer state; then all get all parts. In stage 2 a bucket's gradients are handed out
as soon as the backward pass has them, so that whole gradients never stand side by side.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .. import optim
from ..checkpoint import Checkpoint
from ..safetensors_stream import Entry
from .exchange import Exchange
from .placement import Placement, learning, saved

KEYS = ("exp_avg", "exp_avg_sq")  # state of Adam and AdamW; a part may have none to look at


class Shards(Placement):
    """Stages 1 and 2: ``parallel.shard`` optimizer and gradients."""

    def arrange(self) -> None:
        """Move the parameters into flat rows, and make an optimizer of this process's parts."""
        self.named = dict(self.model.named_parameters())
        names = {id(parameter): name for name, parameter in self.named.items()}
        self.exchange = exchange = Exchange(learning(self.named), self.layout.group("data"))
        self.flats, self.parts = list[Tensor](), dict[str, tuple[nn.Parameter, int, int]]()
        self.places = list[list[tuple[str, int, int]]]()  # a bucket's parts in its sum
        decays = []
        for bucket in exchange.buckets:
            first = bucket.parameters[0]
            flat = torch.zeros(bucket.size, dtype=first.dtype, device=first.device)
            self.flats.append(flat)
            places = []
            views = zip(bucket.parameters, bucket.views(flat), strict=True)
            for index, (parameter, view) in enumerate(views):
                view.copy_(parameter.detach())
                parameter.data = view
                begin, end = bucket.overlap(index, exchange.rank)
                if begin < end:
                    part = nn.Parameter(view.view(-1)[begin:end])
                    name = names[id(parameter)]
                    self.parts[name] = part, begin, end
                    at = bucket.starts[index] + begin - exchange.rank * bucket.part
                    places.append((name, at, at + end - begin))
                    decays.append((part, parameter.dim() >= 2))
            self.places.append(places)
        self.optimizer = optim.over(decays, self.spec.optim)
        if self.spec.parallel.shard == "gradients":
            self._watch()

    def _watch(self) -> None:
        """Hand out buckets in the backward pass, in their order, each when it is full."""
        assert self.exchange is not None
        self.waiting = [len(bucket.parameters) for bucket in self.exchange.buckets]
        self.next = 0
        for number, bucket in enumerate(self.exchange.buckets):
            for parameter in bucket.parameters:
                parameter.register_post_accumulate_grad_hook(partial(self._ready, number))

    def _ready(self, number: int, _: Tensor) -> None:
        assert self.exchange is not None
        self.waiting[number] -= 1
        while self.next < len(self.waiting) and not self.waiting[self.next]:
            self.exchange.add(self.next)
            self.next += 1

    def after_backward(self) -> None:
        """Hand out what was not yet."""
        assert self.exchange is not None
        start = self.next if self.spec.parallel.shard == "gradients" else 0
        for number in range(start, len(self.exchange.buckets)):
            self.exchange.add(number)
        if self.spec.parallel.shard == "gradients":
            self.waiting = [len(bucket.parameters) for bucket in self.exchange.buckets]
            self.next = 0

    def clip(self, limit: float) -> float:
        """Clip this process's parts by the norm of all."""
        assert self.exchange is not None
        gradients = {}
        for number, places in enumerate(self.places):
            total = self.exchange.taken(number)
            for name, begin, end in places:
                gradients[name] = self.parts[name][0].grad = total[begin:end]
        return self.clip_parts(gradients, limit, dist.group.WORLD)

    def step(self) -> None:
        """Change this process's parts, then take the others'."""
        assert self.exchange is not None
        self.optimizer.step()
        self.optimizer.zero_grad()
        for bucket, flat in zip(self.exchange.buckets, self.flats, strict=True):
            begin = self.exchange.rank * bucket.part
            flat.copy_(self.exchange.whole(bucket, flat[begin : begin + bucket.part].clone()))

    def state(self) -> dict[str, Entry]:
        """State of the optimizer, whole."""
        found = {}
        step = next(iter(self.optimizer.state.values()))["step"] if self.parts else torch.zeros(())
        for name, parameter in self.named.items():
            if not parameter.requires_grad:
                continue
            shape = self.cuts.shape(name, parameter)
            for key in KEYS:
                read = partial(self._state, name, key)
                found[f"{name}/{key}"] = Entry(shape, parameter.dtype, read)
            found[f"{name}/step"] = Entry.of(step)
        return found

    def _state(self, name: str, key: str) -> Tensor:
        mine = torch.zeros_like(self.named[name]).detach().contiguous()
        if name in self.parts:
            part, begin, end = self.parts[name]
            mine.view(-1)[begin:end] = self.optimizer.state[part][key]
        return self.joined(name, mine)

    def load(self, found: Checkpoint) -> None:
        """Take this process's parts of a checkpoint's state."""
        for name, key, value in saved(found):
            if name in self.parts:
                part, begin, end = self.parts[name]
                if value.dim():
                    value = self.cuts.part(name, value).reshape(-1)[begin:end]
                self.optimizer.state[part][key] = value.to(part.device, copy=True)
