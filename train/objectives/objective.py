"""The protocol between the trainer and an objective, and what all objectives share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from corpusforge.errors import InputError
from corpusforge.loader import Batch
from corpusforge.spec import TrainSpec
from corpusforge.tokenizer import Tokenizer

from ..classes import EVERY, Classes
from ..losses import IGNORE, cross_entropy

Rows = Mapping[str, Tensor]  # what `Objective.prepare` made of some rows of a batch


class Head(NamedTuple):
    """What is predicted of a hidden state: logits are ``hidden @ weight.T``."""

    hidden: Tensor  # [..., D]
    weight: Tensor  # [V, D], or of other classes


class Scored(NamedTuple):
    """What a model lost on the targets of one label."""

    total: Tensor  # differentiable scalar, summed over the targets
    nll: Tensor  # negative log-likelihood of each target, float32 of the label's shape


class Objective(ABC):
    """Builds its model, makes inputs and targets of rows, and says what is predicted of them.

    A label is a key of the arrays that holds targets: class numbers, IGNORE where there is none.
    The first label's are token ids [B, T]. The loss is the sum over the labels of the mean over
    each label's targets in the whole global batch.
    """

    packings: ClassVar[tuple[str, ...]]  # that make rows for it; the first is usual
    document_mask: ClassVar[bool] = False  # whether data.document_mask can hold
    labels: ClassVar[tuple[str, ...]] = ("targets",)
    accuracies: ClassVar[Mapping[str, str]] = {}  # label -> name of its share of right guesses
    whole: ClassVar[bool] = False  # all text is a target, so bits per byte mean something
    generates: ClassVar[bool] = False  # the model goes on from a prompt
    tokenizers: ClassVar[str] = "wordpiece-30k"  # a shipped spec with the special tokens it needs
    vocabulary: Classes = EVERY  # which rows of the table of tokens are in this process
    around: tuple[int, int] = (0, 0)  # ids of [CLS] and [SEP] in rows of pairs

    def __init__(self, spec: TrainSpec, tokenizer: Tokenizer) -> None:
        self.spec, self.tokenizer = spec, tokenizer

    @staticmethod
    @abstractmethod
    def build(spec: TrainSpec, vocabulary: int) -> nn.Module:
        """Return the model that the objective trains, with its start weights."""

    @abstractmethod
    def prepare(self, batch: Batch) -> dict[str, np.ndarray]:
        """Arrays by name, rows first, a function of (spec, data, epoch, row) alone.

        Each label is there, and ``segments`` int32 [B, T]: the piece of the row that each target
        of the first label is from.
        """

    @abstractmethod
    def heads(self, model: nn.Module, rows: Rows) -> dict[str, Head]:
        """Run the model; what is predicted by label."""

    @abstractmethod
    def example(self, model: nn.Module, batch: Batch, seed: int) -> str:
        """Show in text what the model makes of a batch of one row."""

    def count(self, rows: Rows) -> dict[str, int]:
        """Number of targets by label."""
        return {label: int((rows[label] != IGNORE).sum()) for label in self.labels}

    def losses(self, heads: Mapping[str, Head], rows: Rows) -> dict[str, Scored]:
        """Cross entropy of each label, with what the spec adds to it."""
        settings = self.spec.loss.model_dump()
        return {
            label: Scored(
                *cross_entropy(*head, rows[label], **settings, classes=self.classes(label))
            )
            for label, head in heads.items()
        }

    def classes(self, label: str) -> Classes:
        """Which classes of a label are in this process; the first label's are token ids."""
        return self.vocabulary if label == self.labels[0] else EVERY

    def measure(
        self, model: nn.Module, heads: Mapping[str, Head], rows: Rows
    ) -> dict[str, tuple[float, int]]:
        """Sums and counts of held-out rows whose quotients are figures of their own."""
        found = {}
        for label, name in self.accuracies.items():
            kept = rows[label] != IGNORE
            logits = self.classes(label).logits(heads[label].hidden[kept], heads[label].weight)
            right = int((logits.argmax(1) == rows[label][kept]).sum())
            found[name] = (float(right), len(logits))
        return found

    def token(self, role: str, usual: str) -> int:
        """Id of the tokenizer's special token of a role, e.g. "mask_token"; InputError without."""
        found = self.tokenizer.special(role)
        if found is None:
            raise InputError(
                f"the tokenizer has no {role.replace('_', ' ')}",
                expected=f"one, e.g. '{usual}', for objective = '{self.spec.objective}'",
                remedy=f"tokenize with --spec {self.tokenizers}",
            )
        return found


def with_bias(hidden: Tensor, weight: Tensor, bias: Tensor) -> Head:
    """Head whose logits are ``hidden @ weight.T + bias``: the bias is one more column."""
    ones = torch.ones_like(hidden[..., :1])
    return Head(torch.cat([hidden, ones], -1), torch.cat([weight, bias[:, None]], 1))


def tensors(
    arrays: Mapping[str, np.ndarray], part: slice, device: torch.device | None = None
) -> Rows:
    """View the rows ``part`` of prepared arrays, or copy them to another ``device``."""
    return {name: torch.from_numpy(array[part]).to(device) for name, array in arrays.items()}
