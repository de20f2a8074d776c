"""What a trained model says of given text: likelihoods and continuations, for `forge eval`."""

from __future__ import annotations

from corpusforge.spec.eval import EvalRunSpec

from ..finetune import base
from ..machine import device, threads
from .left_to_right import Causal, LeftToRight
from .masked import PseudoLikelihood
from .scorer import Scorer
from .written import Written

__all__ = ["Scorer", "load", "threads"]

KINDS: dict[str, type[Scorer]] = {
    "causal": Causal,
    "masked": PseudoLikelihood,
    "permutation": LeftToRight,
    "spans": Written,
}


def load(folder: str, run: EvalRunSpec) -> Scorer:
    """The scorer of a model folder: a train or fine-tuning run, or one of transformers."""
    found = base.load(folder)
    return KINDS[found.spec.objective](found, folder, device(run.device), run.batch)
