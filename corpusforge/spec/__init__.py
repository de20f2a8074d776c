"""Specs: frozen models from TOML. A flag only overrides one field; unknown keys are refused."""

from .clean import (
    CleanSpec,
    Decontaminate,
    Dedup,
    Extract,
    Fields,
    Language,
    Limits,
    Output,
    Pii,
    Plan,
    Quality,
    Read,
    Signals,
    Transforms,
    Url,
)
from .eval import EvalSpec
from .finetune import FinetuneSpec
from .load import differences, digest, dump, load, parse, shipped
from .model import MIB, Model
from .sweep import Range, SweepSettings, SweepSpec, load_sweep
from .tokens import TokenizeSpec
from .train import DataSpec, LossSpec, ModelSpec, OptimSpec, ParallelSpec, RunSpec, TrainSpec

__all__ = [
    "MIB",
    "CleanSpec",
    "DataSpec",
    "Decontaminate",
    "Dedup",
    "EvalSpec",
    "Extract",
    "Fields",
    "FinetuneSpec",
    "Language",
    "Limits",
    "LossSpec",
    "Model",
    "ModelSpec",
    "OptimSpec",
    "Output",
    "ParallelSpec",
    "Pii",
    "Plan",
    "Quality",
    "Range",
    "Read",
    "RunSpec",
    "Signals",
    "SweepSettings",
    "SweepSpec",
    "TokenizeSpec",
    "TrainSpec",
    "Transforms",
    "Url",
    "differences",
    "digest",
    "dump",
    "load",
    "load_sweep",
    "parse",
    "shipped",
]
