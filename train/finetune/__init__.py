"""What a model can be fine-tuned for. A task is one class in a file and one line in TASKS."""

from __future__ import annotations

from corpusforge.errors import SpecError, nearest
from corpusforge.spec.finetune import FinetuneSpec

from .base import Base
from .classification import SentencePair, SequenceClassification
from .instruction import Instruction
from .question_answering import QuestionAnswering
from .sequence_to_sequence import SequenceToSequence
from .task import Task
from .token_classification import TokenClassification

__all__ = ["TASKS", "Task", "check"]

TASKS: dict[str, type[Task]] = {
    "sequence-classification": SequenceClassification,
    "sentence-pair": SentencePair,
    "token-classification": TokenClassification,
    "question-answering": QuestionAnswering,
    "instruction": Instruction,
    "sequence-to-sequence": SequenceToSequence,
}


def check(spec: FinetuneSpec) -> type[Task]:
    """Return the class that ``spec`` names; raises SpecError where its columns do not fit."""
    if spec.task not in TASKS:
        known = nearest(spec.task, TASKS) if spec.task else f"known: {', '.join(TASKS)}"
        raise SpecError(
            f"no task is called '{spec.task}'" if spec.task else "no task is given",
            remedy=f"--task: {known}",
        )
    kind = TASKS[spec.task]
    for role in spec.data.columns:
        if role not in kind.roles:
            raise SpecError(
                f"data.columns.{role} with task = '{spec.task}'", remedy=nearest(role, kind.roles)
            )
    return kind


def fits(spec: FinetuneSpec, base: Base) -> type[Task]:
    """`check`, and raise SpecError for a model that the task cannot use."""
    kind = check(spec)
    if base.spec.objective not in kind.objectives:
        raise SpecError(
            f"task = '{spec.task}' with a model of objective = '{base.spec.objective}'",
            expected="a model of objective " + " or ".join(kind.objectives),
        )
    return kind
