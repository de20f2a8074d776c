"""TrainSpec: everything that decides a trained model."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from corpusforge.errors import SpecError

from .model import Model


class ModelSpec(Model):
    """Shape of the Transformer."""

    layers: int = Field(4, ge=1)
    width: int = Field(256, ge=8)
    heads: int = Field(4, ge=1)
    kv_heads: int = Field(0, ge=0)  # 0: as many as heads
    feed_forward: int = Field(0, ge=0)  # 0: 4 x width; gated: 8/3 x width, to 32s
    norm: Literal["pre", "post"] = "pre"
    norm_kind: Literal["layernorm", "rmsnorm"] = "layernorm"
    norm_eps: float = Field(1e-5, gt=0)
    position: Literal["learned", "rope", "relative-xl", "t5-bucket"] = "rope"
    rope_theta: float = Field(10_000.0, gt=0)
    activation: Literal["gelu", "gelu-tanh", "relu", "swiglu", "geglu"] = "gelu"
    bias: bool = True  # in linear layers and in LayerNorm
    dropout: float = Field(0.0, ge=0, lt=1)
    tied: bool = True
    init: Literal["normal", "xavier"] = "normal"

    @property
    def inner(self) -> int:
        """Width inside the feed-forward part."""
        gated = self.activation in ("swiglu", "geglu")
        return self.feed_forward or (
            -(-self.width * 8 // 3 // 32) * 32 if gated else 4 * self.width
        )

    @model_validator(mode="after")
    def _shape(self) -> Self:
        heads, kv_heads = self.heads, self.kv_heads or self.heads
        if self.width % heads:
            raise SpecError(
                f"model.heads = {heads} does not divide model.width = {self.width}",
                remedy="change one of the two",
            )
        if heads % kv_heads:
            raise SpecError(
                f"model.kv_heads = {kv_heads} does not divide model.heads = {heads}",
                remedy="change one of the two",
            )
        if self.position == "rope" and self.width // heads % 2:
            raise SpecError(
                f"model.width / model.heads = {self.width // heads} is odd",
                expected="an even number for model.position = 'rope'",
            )
        return self


class VectorsSpec(Model):
    """Pretrained word vectors that the table of tokens starts from."""

    file: str = ""  # word2vec (text or binary) or GloVe, plain or gzip; empty: none
    freeze: bool = False  # the table stays as it starts


class DataSpec(Model):
    """Order, packing and held-out share of the token rows."""

    sequence: int = Field(256, ge=8)
    packing: Literal["chop", "bestfit", "pairs", "spans"] = "bestfit"
    seed: int = Field(0, ge=0)
    heldout: float = Field(0.05, ge=0, le=0.5)  # share of documents, by hash of their id
    document_mask: bool = False  # attention stays inside a document
    by: Literal["folder", "source", "language"] = "folder"  # what weights and epochs name
    block: int = Field(1, ge=1, lt=1 << 31)  # rows read together; 1: any row after any other


class CorruptSpec(Model):
    """What objectives hide of a row, where they differ from their paper's numbers."""

    whole_words: bool = False  # masked: all tokens of a word or none
    predict: int = Field(6, ge=1)  # permutation: one token in so many
    span: int = Field(5, ge=1)  # permutation: longest run of tokens that stay together
    memory: int = Field(0, ge=0)  # permutation: tokens at a row's beginning that are only read


class LossSpec(Model):
    """What is added to the plain cross entropy."""

    smoothing: float = Field(0.0, ge=0, lt=1)  # label smoothing
    focal: float = Field(0.0, ge=0, le=10)  # gamma of the focal loss; 0: cross entropy
    z_loss: float = Field(0.0, ge=0, le=1)  # weight of the squared log of the denominator


class OptimSpec(Model):
    """Optimizer, schedule and clipping."""

    name: Literal["adam", "adamw", "adafactor"] = "adamw"
    learning_rate: float = Field(1.5e-3, gt=0)
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = Field(0.1, ge=0)  # on matrices only
    clip: float = Field(1.0, ge=0)  # global norm; 0 switches it off
    schedule: Literal["cosine", "linear", "constant", "warmup-stable-decay"] = "cosine"
    warmup: float = Field(0.05, ge=0, le=1)  # share of the steps
    decay: float = Field(0.2, gt=0, le=1)  # share of the steps that warmup-stable-decay falls in
    final: float = Field(0.1, ge=0, le=1)  # share of the learning rate at the last step


class RunSpec(Model):
    """Length of a training run, batches, checkpoints."""

    steps: int = Field(240, ge=1)
    batch: int = Field(8, ge=1)  # rows of the global batch
    accumulate: int = Field(1, ge=1)  # slices that the global batch is computed in
    seed: int = Field(0, ge=0)
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: a GPU where there is one
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False  # torch.compile: a slow first step, faster ones after it
    recompute: bool = False  # activations again in the backward pass, instead of kept
    threads: int = Field(0, ge=0)  # torch threads; 0: torch's own choice, one a core
    checkpoint_every: int = Field(50, ge=1)
    keep_checkpoints: int = Field(2, ge=1)  # newest ones
    keep_best: bool = False  # and the one of the lowest held-out loss
    log_every: int = Field(1, ge=1)
    evaluate_every: int = Field(50, ge=1)
    evaluate_rows: int = Field(64, ge=1)

    @model_validator(mode="after")
    def _slices(self) -> Self:
        if self.batch % self.accumulate:
            raise SpecError(
                f"run.accumulate = {self.accumulate} does not divide run.batch = {self.batch}",
                remedy="change one of the two",
            )
        return self


Shard = Literal["none", "optimizer", "gradients", "full"]


class ParallelSpec(Model):
    """How the processes that torchrun starts divide the work; the run is the same run in any way.

    They are ``data`` x ``tensor`` processes.
    """

    data: int = Field(0, ge=0)  # processes that share the rows of a batch; 0: all that there are
    tensor: int = Field(1, ge=1)  # processes that share each matrix (Megatron-LM)
    shard: Shard = "none"  # what data processes hold parts of: ZeRO-1, ZeRO-2, ZeRO-3; true is full

    @field_validator("shard", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        """``true`` is everything."""
        return ("full" if value else "none") if isinstance(value, bool) else value


class TrainSpec(Model):
    """Everything that decides a trained model."""

    inputs: list[str] = []
    weights: dict[str, float] = {}  # share of the rows, by token folder or data.by; empty: by size
    epochs: dict[str, float] = {}  # instead: how often each is read while a 1 is read once
    objective: str = "causal"  # a name in train/objectives
    model: ModelSpec = ModelSpec()
    vectors: VectorsSpec = VectorsSpec()
    data: DataSpec = DataSpec()
    corrupt: CorruptSpec = CorruptSpec()
    loss: LossSpec = LossSpec()
    optim: OptimSpec = OptimSpec()
    run: RunSpec = RunSpec()
    # no part of what a run is: it may go on in another layout
    parallel: ParallelSpec = Field(ParallelSpec(), exclude=True)
