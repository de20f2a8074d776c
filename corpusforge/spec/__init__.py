"""Specs: frozen models from TOML. A flag only overrides one field; unknown keys are refused."""

from .clean import (
    CleanSpec,
    Dedup,
    Extract,
    Fields,
    Language,
    Limits,
    Output,
    Plan,
    Quality,
    Read,
    Signals,
)
from .load import differences, digest, dump, load, parse, shipped
from .model import MIB, Model
from .tokens import TokenizeSpec
from .train import DataSpec, LossSpec, ModelSpec, OptimSpec, RunSpec, TrainSpec

__all__ = [
    "MIB",
    "CleanSpec",
    "DataSpec",
    "Dedup",
    "Extract",
    "Fields",
    "Language",
    "Limits",
    "LossSpec",
    "Model",
    "ModelSpec",
    "OptimSpec",
    "Output",
    "Plan",
    "Quality",
    "Read",
    "RunSpec",
    "Signals",
    "TokenizeSpec",
    "TrainSpec",
    "differences",
    "digest",
    "dump",
    "load",
    "parse",
    "shipped",
]
