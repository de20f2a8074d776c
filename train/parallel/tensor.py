"""Every matrix cut over the tensor processes, as in Megatron-LM (Shoeybi et al. 2019, section 3).

Queries, keys, values and the feed-forward's first matrices are cut by output, so that a process has
whole heads; the matrices after them by input, so that their outputs are terms of a sum. Norms and
the residual stream of a stack are divided by positions (Korthikanti et al. 2022), so the gradients
of what works on them are terms of a sum too. What stands outside the stacks are copies.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from corpusforge.errors import SpecError

from ..model import Attention, FeedForward, Stack
from ..two_stream import TwoStream
from .cuts import Cuts
from .regions import Peers, Positions, copied, gathered, scattered
from .vocabulary import CutClasses, CutEmbedding

_BY_OUTPUT = ("query", "key", "value", "up", "gate")
_BY_INPUT = ("out", "down")
_BY_VOCABULARY = ("tokens.weight", "head.weight", "vocabulary_bias")


class Row(nn.Module):
    """A linear layer cut by input: the processes' outputs are added, each has its positions."""

    def __init__(self, linear: nn.Linear, peers: Peers) -> None:
        super().__init__()
        self.weight, self.bias, self.peers = linear.weight, linear.bias, peers

    def forward(self, x: Tensor) -> Tensor:
        """Part of the inputs [B, S, n] -> whole outputs of this process's positions."""
        y = scattered(nn.functional.linear(x, self.weight), self.peers)
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


def cut(model: nn.Module, peers: Peers) -> tuple[Cuts, CutClasses]:
    """Cut ``model`` in place; where its parts lie, and which rows of the vocabulary are here."""
    check(model, peers.parts)
    vocabulary = CutClasses(len(model.tokens.weight), peers)
    places, terms = {}, set[str]()
    for name, parameter in model.named_parameters():
        dimension = _dimension(name)
        if dimension is not None and dimension < parameter.dim():
            places[name] = dimension, parameter.shape[dimension]
    cuts = Cuts(peers.rank, peers.parts, places, terms)
    for name, parameter in model.named_parameters():
        if name in places:
            parameter.data = cuts.part(name, parameter.data).clone()
    for path, module in model.named_modules():
        if isinstance(module, Stack):
            positions = Positions(peers)
            module.divided = positions
            prefix = f"{path}." if path else ""
            inside = (f"{prefix}blocks.", f"{prefix}norm.")
            terms |= {n for n, _ in model.named_parameters() if n.startswith(inside)} - set(places)
            for part in module.blocks.modules():
                if isinstance(part, Attention):
                    part.heads //= peers.parts
                    part.kv_heads //= peers.parts
                    part.out = Row(part.out, peers)
                elif isinstance(part, FeedForward):
                    part.down = Row(part.down, peers)
                else:
                    continue
                part.register_forward_pre_hook(partial(_enter, peers=peers, positions=positions))
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


def _enter(
    module: nn.Module, args: tuple[Any, ...], *, peers: Peers, positions: Positions
) -> tuple[Any, ...]:
    """Let x, and the memory that cross attention reads, into the part that is cut."""
    x, *rest = args
    if len(rest) == 6 and rest[5] is not None:
        rest[5] = copied(rest[5], peers)
    return gathered(x, peers, positions.length), *rest
