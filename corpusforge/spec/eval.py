"""EvalSpec: everything that decides the figures of an evaluation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .model import Model


class ResampleSpec(Model):
    """Bootstrap of intervals and paired tests."""

    seed: int = Field(0, ge=0)
    samples: int = Field(1000, ge=1)  # resamples of the items
    level: float = Field(0.95, gt=0, lt=1)  # share of the resamples that an interval holds


class EvalRunSpec(Model):
    """What an evaluation computes on."""

    batch: int = Field(16, ge=1)  # rows that are run together
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: a GPU where there is one
    threads: int = Field(0, ge=0)  # torch threads; 0: one a worker


class MakeSpec(Model):
    """Sets of multiple choice that are made from held-out text."""

    seed: int = Field(0, ge=0)
    items: int = Field(500, ge=1)  # at most
    context: int = Field(5, ge=1)  # sentences before
    choices: int = Field(5, ge=2)  # of a cloze


class EvalSpec(Model):
    """Everything that decides the figures of an evaluation."""

    columns: dict[str, str] = {}  # field by the evaluation's name for it, where it has another
    limit: int = Field(0, ge=0)  # items evaluated, the first ones; 0: all
    stride: int = Field(0, ge=0)  # tokens that a sliding window goes on by; 0: half a window
    delimiter: str = " "  # between context and choice where neither has white space there
    tokens: int = Field(64, ge=1)  # most tokens of a written answer
    bleu: Literal["13a", "intl", "zh", "char", "none"] = "13a"  # tokenizer of BLEU
    make: MakeSpec = MakeSpec()
    resample: ResampleSpec = ResampleSpec()
    run: EvalRunSpec = EvalRunSpec()
