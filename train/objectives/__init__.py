"""What a model is trained for. An objective is one class in a file and one line in OBJECTIVES.

The trainer knows only `Objective`: it never asks which objective it runs.
"""

from __future__ import annotations

from corpusforge.errors import SpecError, nearest
from corpusforge.spec import TrainSpec
from corpusforge.tokenizer import Tokenizer

from .causal import Causal
from .masked import Masked
from .objective import Objective, tensors
from .permutation import Permutation
from .spans import Spans

__all__ = ["Objective", "check", "objective", "tensors"]

OBJECTIVES: dict[str, type[Objective]] = {
    "causal": Causal,
    "masked": Masked,
    "permutation": Permutation,
    "spans": Spans,
}


def check(spec: TrainSpec) -> type[Objective]:
    """Return the class that ``spec`` names; raises SpecError where its data do not fit."""
    if spec.objective not in OBJECTIVES:
        raise SpecError(
            f"no objective is called '{spec.objective}'", remedy=nearest(spec.objective, OBJECTIVES)
        )
    kind = OBJECTIVES[spec.objective]
    if spec.data.packing not in kind.packings:
        raise SpecError(
            f"data.packing = '{spec.data.packing}' makes no rows for objective = "
            f"'{spec.objective}'",
            expected=" or ".join(kind.packings),
            remedy=f"use --set data.packing={kind.packings[0]}",
        )
    if spec.data.document_mask and not kind.document_mask:
        raise SpecError(
            f"data.document_mask is on, but objective = '{spec.objective}' looks across documents",
            remedy="use --set data.document_mask=false",
        )
    return kind


def objective(spec: TrainSpec, tokenizer: Tokenizer) -> Objective:
    """Return the objective that ``spec`` names, with the special tokens of ``tokenizer``."""
    return check(spec)(spec, tokenizer)
