"""What a task is: the columns it reads, how rows become tokens, its loss, its predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from corpusforge.errors import SpecError, nearest
from corpusforge.spec.finetune import FinetuneSpec
from corpusforge.tokenizer import Tokenizer

from ..losses import IGNORE
from .base import Base, Tuned
from .rows import Row

Batch = dict[str, Tensor]
Item = dict[str, Any]  # "row", its place among the rows; int64 arrays of one row, padded by name


class Scored(NamedTuple):
    """The loss of a batch, summed; what it is divided by; what predictions are made of."""

    total: Tensor
    count: float
    outputs: Tensor


class Task(ABC):
    """One way to learn from labelled rows.

    ``roles`` are the columns of a row with what they hold, ``objectives`` the models that fit,
    ``metric`` the figure by which evaluations are compared, ``higher`` whether more of it is
    better.
    """

    roles: ClassVar[Mapping[str, str]]
    objectives: ClassVar[tuple[str, ...]] = ("causal", "masked")
    metric: ClassVar[str]
    higher: ClassVar[bool] = True
    writes: ClassVar[bool] = False  # answers are written token by token, at the end alone

    def __init__(self, spec: FinetuneSpec, base: Base, known: Mapping[str, Any] | None) -> None:
        """Take what an earlier run ``known`` as `memory` gave it, for predictions alone."""
        self.spec, self.tokenizer, self.objective = spec, base.tokenizer, base.spec.objective
        self.length = min(spec.data.length, base.model.sequence)  # type: ignore[call-overload]
        self.labels: list[str] = list(known["labels"]) if known else []
        self.cut = 0  # rows that were too long
        end = self.tokenizer.eot
        pad = self.tokenizer.special("pad_token")
        self.pad = pad if pad is not None else end or 0
        begin = self.tokenizer.special("bos_token")
        self.begin = [] if begin is None or begin == end else [begin]
        self.end = [] if end is None else [end]
        self._special()

    def _special(self) -> None:
        if self.objective == "masked":
            self.begin = [special(self.tokenizer, "cls_token")]
            self.end = [special(self.tokenizer, "sep_token")]

    @property
    def outputs(self) -> int:
        """Outputs of the head, 0 for none."""
        return len(self.labels)

    def memory(self) -> dict[str, Any]:
        """What predictions need to know of the training rows."""
        return {"labels": self.labels}

    def learn(self, rows: Sequence[Row]) -> None:  # noqa: B027
        """Take from the training rows what the task must know of all of them."""

    @abstractmethod
    def encode(self, rows: Sequence[Row], gold: bool) -> list[Item]:
        """Turn rows into items, with targets where ``gold``; raises InputError by row."""

    def batch(self, items: Sequence[Item], device: torch.device) -> Batch:
        """Pad the arrays of items on the right to one length; ``mask`` is True at tokens."""
        found: Batch = {}
        for name, one in items[0].items():
            if not isinstance(one, np.ndarray):
                continue
            rows = [torch.from_numpy(item[name]) for item in items]
            fill = self.pad if name in ("tokens", "given") else IGNORE if "target" in name else 0
            found[name] = torch.nn.utils.rnn.pad_sequence(rows, True, fill).to(device)
            if name == "tokens":
                sizes = torch.tensor([len(row) for row in rows])
                found["mask"] = (torch.arange(int(sizes.max()))[None] < sizes[:, None]).to(device)
        return found

    @abstractmethod
    def score(self, model: Tuned, batch: Batch) -> Scored:
        """Loss and outputs of a batch; without targets the loss is 0 of 0."""

    @abstractmethod
    def choose(self, outputs: Tensor, items: Sequence[Item]) -> list[Any]:
        """What the outputs of a batch say of each item."""

    @abstractmethod
    def join(self, rows: Sequence[Row], items: Sequence[Item], said: Sequence[Any]) -> list[Any]:
        """One prediction a row, a dictionary, from what was said of its items."""

    @abstractmethod
    def figures(self, rows: Sequence[Row], found: Sequence[Any]) -> dict[str, float]:
        """Figures of predictions against the labels of ``rows``."""

    @abstractmethod
    def wanted(self, row: Row) -> Any:
        """The label of a row, as predictions show it."""

    def labelled(self, row: Row) -> bool:
        """Tell whether a row has what `wanted` reads."""
        return row.has("label")

    def write(self, model: Tuned, rows: Sequence[Row], items: Sequence[Item]) -> list[Any]:
        """Predictions of tasks that write answers, token by token."""
        raise NotImplementedError

    def written(self, rows: Sequence[Row], found: Sequence[Any]) -> dict[str, float]:
        """Figures of answers that were written."""
        raise NotImplementedError

    def keep(self, folder: Path) -> None:  # noqa: B027
        """Put into the tokenizer's folder what belongs to it."""

    def weights(self, rows: Sequence[Row]) -> None:
        """Take class weights from the spec; refused where there are no classes."""
        if self.spec.class_weights not in ("none", {}):
            raise SpecError(
                f"class_weights with task = '{self.spec.task}', which has no classes",
                remedy="use --set class_weights=none",
            )


def special(tokenizer: Tokenizer, role: str) -> int:
    """Id of the tokenizer's special token of a role; SpecError without one."""
    found = tokenizer.special(role)
    if found is None:
        raise SpecError(f"the tokenizer has no {role.replace('_', ' ')}, which the model needs")
    return found


def labels_of(names: Sequence[str]) -> list[str]:
    """Different labels in order: whole numbers by size, before text by its letters."""
    return sorted(
        set(names), key=lambda one: (not one.isdecimal(), len(one) * one.isdecimal(), one)
    )


def index_of(label: str, labels: Sequence[str], row: Row, role: str) -> int:
    """Place of a label; InputError for one that training had not."""
    try:
        return labels.index(label)
    except ValueError:
        raise row.wrong(
            role, f"a label of the training rows ({nearest(label, labels)})",
            f"label '{label}' is new",
        ) from None  # fmt: skip


def class_weights(spec: FinetuneSpec, labels: Sequence[str], counts: np.ndarray) -> Tensor | None:
    """Weight of each class float32 [C]; "balanced" is n / (C n_c), as scikit-learn has it."""
    chosen = spec.class_weights
    if chosen == "none" or not chosen:
        return None
    if chosen == "balanced":
        return torch.tensor(
            counts.sum() / (len(labels) * np.maximum(counts, 1)), dtype=torch.float32
        )
    assert isinstance(chosen, dict)
    for name, value in chosen.items():
        if name not in labels:
            raise SpecError(f"class_weights names '{name}'", remedy=nearest(name, labels))
        if value < 0:
            raise SpecError(f"class_weights.{name} = {value}", expected="0 or more")
    return torch.tensor([chosen.get(name, 1.0) for name in labels], dtype=torch.float32)
