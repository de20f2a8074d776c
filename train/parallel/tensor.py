"""Every matrix cut over the tensor processes, as in Megatron-LM (Shoeybi et al. 2019, section 3).

Queries, keys, values and the feed-forward's first matrices are cut by output, so that a process has
whole heads; the matrices after them by input, so that their outputs are terms of a sum. Norms,
positions and what stands outside the blocks are copies, and have equal gradients in all processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from corpusforge.errors import SpecError

from ..model import Attention, FeedForward
from ..two_stream import TwoStream
from .cuts import Cuts
from .layout import Layout
from .regions import copied, reduced
from .vocabulary import CutClasses, CutEmbedding

_BY_OUTPUT = ("query", "key", "value", "up", "gate")
_BY_INPUT = ("out", "down")
_BY_VOCABULARY = ("tokens.weight", "head.weight", "vocabulary_bias")


class Row(nn.Module):
    """A linear layer cut by input: the processes' outputs are added, then the bias."""

    def __init__(self, linear: nn.Linear, group: Any) -> None:
        super().__init__()
        self.weight, self.bias, self.group = linear.weight, linear.bias, group

    def forward(self, x: Tensor) -> Tensor:
        """Part of the inputs [..., n] -> the whole output, in all processes."""
        y = reduced(nn.functional.linear(x, self.weight), self.group)
        return y if self.bias is None else y + self.bias


def check(model: nn.Module, parts: int) -> None:
    """Raise SpecError where ``parts`` processes cannot cut the model."""
    if isinstance(model, TwoStream):
        raise SpecError(
            f"parallel.tensor = {parts}, but attention with two streams is not cut",
            remedy="use --set parallel.tensor=1; parallel.shard=full divides such a model too",
        )
    spec = model.spec
    for name, size in (
        ("heads", spec.heads),
        ("kv_heads", spec.kv_heads or spec.heads),
        ("feed_forward", spec.inner),
    ):
        if size % parts:
            raise SpecError(
                f"parallel.tensor = {parts} does not divide model.{name} = {size}",
                remedy="change one of the two",
            )


def cut(model: nn.Module, layout: Layout) -> tuple[Cuts, CutClasses]:
    """Cut ``model`` in place; where its parts lie, and which rows of the vocabulary are here."""
    rank, parts, group = layout.tensor_rank, layout.tensor, layout.group("tensor")
    check(model, parts)
    vocabulary = CutClasses(len(model.tokens.weight), rank, parts, group)
    places = {}
    for name, parameter in model.named_parameters():
        dimension = _dimension(name)
        if dimension is not None and dimension < parameter.dim():
            places[name] = dimension, parameter.shape[dimension]
    cuts = Cuts(rank, parts, places)
    for name, parameter in model.named_parameters():
        if name in places:
            parameter.data = cuts.part(name, parameter.data).clone()
    enter = partial(_enter, group=group)
    for module in model.modules():
        if isinstance(module, Attention):
            module.heads //= parts
            module.kv_heads //= parts
            module.out = Row(module.out, group)
            module.register_forward_pre_hook(enter)
            if module.drop:
                module.draws = partial(_draws, rank)
        elif isinstance(module, FeedForward):
            module.down = Row(module.down, group)
            module.register_forward_pre_hook(enter)
    model.tokens = CutEmbedding(model.tokens, vocabulary)
    return cuts, vocabulary


def _dimension(name: str) -> int | None:
    """Dimension in which a parameter is cut, None where it is not."""
    owner, _, kind = name.rpartition(".")
    last = owner.rpartition(".")[2]
    if name in _BY_VOCABULARY or ("blocks." in name and last in _BY_OUTPUT):
        return 0
    if "blocks." in name and last in _BY_INPUT and kind == "weight":
        return 1
    return 1 if name.endswith("bias.table.weight") else None  # by head: `RelativeBias`


def _enter(module: nn.Module, args: tuple[Any, ...], *, group: Any) -> tuple[Any, ...]:
    """Let x, and the memory that cross attention reads, into the part that is cut."""
    x, *rest = args
    if len(rest) == 6 and rest[5] is not None:
        rest[5] = copied(rest[5], group)
    return copied(x, group), *rest


@contextmanager
def _draws(rank: int) -> Iterator[None]:
    """Dropout of this process's heads: draws of its own, after which all go on alike."""
    seed = int(torch.randint(1 << 62, ()))
    with torch.random.fork_rng():
        torch.manual_seed(seed + rank)
        yield
