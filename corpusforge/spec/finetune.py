"""FinetuneSpec: everything that decides a fine-tuned model."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from corpusforge.errors import SpecError

from .model import Model
from .train import OptimSpec


class RowsSpec(Model):
    """Columns of the labelled rows, their length in tokens, and the held-out ones."""

    columns: dict[str, str] = {}  # column by the task's name for it, where it has another
    heldout: float | str = 0.1  # share of the rows, by seeded hash, or a file of held-out rows
    seed: int = Field(0, ge=0)
    length: int = Field(256, ge=8)  # most tokens of a row; never more than the model has
    stride: int = Field(64, ge=0)  # question-answering: tokens that windows of a text share
    answer: int = Field(48, ge=1)  # most tokens of a written answer in predictions

    @model_validator(mode="after")
    def _share(self) -> Self:
        if isinstance(self.heldout, float) and not 0 <= self.heldout <= 0.5:
            raise SpecError(
                f"data.heldout = {self.heldout}", expected="a share from 0 to 0.5, or a file"
            )
        return self


class AdapterSpec(Model):
    """Low-rank adapters (LoRA) in place of training the model's own weights."""

    rank: int = Field(0, ge=0)  # 0: none
    alpha: float = Field(16.0, gt=0)  # adapters count alpha / rank
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: list[str] = ["query", "value"]  # linear layers of a block


class TuneOptimSpec(OptimSpec):
    """Optimizer, schedule and clipping."""

    learning_rate: float = Field(5e-4, gt=0)
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(0.01, ge=0)  # on matrices only
    schedule: Literal["cosine", "linear", "constant", "warmup-stable-decay"] = "linear"
    warmup: float = Field(0.1, ge=0, le=1)  # share of the steps
    final: float = Field(0.0, ge=0, le=1)  # share of the learning rate at the last step


class TuneRunSpec(Model):
    """Length of a fine-tuning run, batches, checkpoints."""

    epochs: int = Field(3, ge=1)
    batch: int = Field(16, ge=1)  # rows of a batch, of similar length
    seed: int = Field(0, ge=0)
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: a GPU where there is one
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: int = Field(0, ge=0)  # torch threads; 0: torch's own choice, one a core
    checkpoint_every: int = Field(50, ge=1)
    log_every: int = Field(1, ge=1)
    evaluate_every: int = Field(0, ge=0)  # steps; 0: once an epoch


class FinetuneSpec(Model):
    """Everything that decides a fine-tuned model."""

    task: str = ""  # a name in train/finetune
    pooling: Literal["token", "mean"] = "token"  # what a class of a text is judged by
    freeze: int = Field(0, ge=0)  # lower blocks that stay as they are, and the embeddings
    class_weights: Literal["none", "balanced"] | dict[str, float] = "none"  # or weight by label
    patience: int = Field(0, ge=0)  # stop after so many evaluations without a better one; 0: never
    data: RowsSpec = RowsSpec()
    adapter: AdapterSpec = AdapterSpec()
    optim: TuneOptimSpec = TuneOptimSpec()
    run: TuneRunSpec = TuneRunSpec()

    @model_validator(mode="after")
    def _either(self) -> Self:
        if self.adapter.rank and self.freeze:
            raise SpecError(
                f"freeze = {self.freeze} beside adapters, which leave all weights as they are",
                remedy="set adapter.rank=0 or freeze=0",
            )
        if self.patience and not self.data.heldout:
            raise SpecError(
                f"patience = {self.patience} without held-out rows, which say what is better",
                remedy="set data.heldout or patience=0",
            )
        return self
