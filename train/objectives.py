"""What a model is trained for. An objective is one class in a file and one line in OBJECTIVES.

The trainer knows only this protocol: it never asks which objective it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from corpusforge.loader import Batch
from corpusforge.spec import TrainSpec

from .losses import IGNORE, cross_entropy
from .model import Transformer


@dataclass(frozen=True)
class Rows:
    """A slice of a global batch as tensors; B rows of S positions.

    inputs, targets: int64 [B, S], IGNORE where there is no target. positions: int32 [B, S],
    restarting with each piece of a document. segments: int32 [B, S], number of the piece in its
    row, -1 where padded.
    """

    inputs: Tensor
    targets: Tensor
    positions: Tensor
    segments: Tensor

    @classmethod
    def of(cls, batch: Batch, part: slice, device: torch.device | None = None) -> Rows:
        """View the rows ``part`` of a loader's batch, or copy them to another ``device``."""
        arrays = (batch.inputs, batch.targets, batch.positions, batch.segments)
        return cls(*(torch.from_numpy(array[part]).to(device) for array in arrays))


class Objective(Protocol):
    """Builds its model, counts targets, and sums losses over them."""

    def build(self, vocabulary: int) -> Transformer:
        """Return the model that the objective trains, with its start weights."""

    def count(self, rows: Rows) -> int:
        """Number of targets: what the sums of the whole global batch are divided by."""

    def loss(self, model: Transformer, rows: Rows) -> tuple[Tensor, Tensor]:
        """Loss summed over the targets (differentiable), and each target's own, [B, S]."""


@dataclass(frozen=True)
class Causal:
    """The next token from those before it (GPT); with ``document_mask`` from its document alone."""

    spec: TrainSpec

    def build(self, vocabulary: int) -> Transformer:
        """Return a decoder."""
        return Transformer(self.spec.model, vocabulary, self.spec.data.sequence, self.spec.run.seed)

    def count(self, rows: Rows) -> int:
        """Positions with a target."""
        return int((rows.targets != IGNORE).sum())

    def loss(self, model: Transformer, rows: Rows) -> tuple[Tensor, Tensor]:
        """Cross entropy of the next token."""
        if self.spec.data.document_mask:
            hidden = model(rows.inputs, rows.positions, mask=within_documents(rows.segments))
        else:
            hidden = model(rows.inputs, causal=True)
        return cross_entropy(hidden, model.unembedding, rows.targets, **self.spec.loss.model_dump())


def within_documents(segments: Tensor) -> Tensor:
    """Segments [B, S] -> mask [B, 1, S, S]: a position sees its document up to itself."""
    same = segments[:, None, :, None] == segments[:, None, None, :]
    return same.tril_()


OBJECTIVES: dict[str, Callable[[TrainSpec], Objective]] = {"causal": Causal}


def objective(spec: TrainSpec) -> Objective:
    """Return the objective that ``spec`` names."""
    return OBJECTIVES[spec.objective](spec)
