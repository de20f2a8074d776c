"""What a family of Hugging Face models is: a table of names, and a config.json both ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from corpusforge.errors import InputError, SpecError
from corpusforge.spec import ModelSpec, TrainSpec
from corpusforge.tokenizer import Tokenizer


class Name(NamedTuple):
    """A tensor here and there; ``there`` and ``back`` turn its values where they differ.

    Those of one name there stand side by side in its last dimension, in their order, equally wide.
    """

    ours: str
    theirs: str
    there: Callable[[Tensor], Tensor] = lambda tensor: tensor
    back: Callable[[Tensor], Tensor] = lambda tensor: tensor


@dataclass(frozen=True)
class Family:
    """One class of transformers that takes the weights of one objective's models.

    ``config`` raises SpecError for a model that the class has no place for.
    """

    architecture: str  # the class of transformers
    model_type: str
    objective: str
    names: Callable[[ModelSpec], list[Name]]
    copies: Mapping[str, str]  # tensors there that are others again: name -> name there
    config: Callable[[TrainSpec, int, Tokenizer], dict[str, Any]]  # spec, vocabulary -> config.json
    spec: Callable[[Mapping[str, Any]], dict[str, Any]]  # config.json -> values of a TrainSpec
    base: str = ""  # how all names but the head's begin; folders of the bare stack leave it out
    others: tuple[str, ...] = ()  # classes of the same stack that are read too
    heads: tuple[str, ...] = ()  # our modules that those may lack; they start as in a new model

    def tensors(self, spec: ModelSpec) -> dict[str, list[Name]]:
        """What stands in each tensor there."""
        found: dict[str, list[Name]] = {}
        for name in self.names(spec):
            found.setdefault(name.theirs, []).append(name)
        return found


def parts(name: str, theirs: str, *leaves: str) -> Iterator[Name]:
    """Names of the ``leaves`` of a module (weight and bias) that are alike here and there."""
    for leaf in leaves or ("weight", "bias"):
        yield Name(f"{name}.{leaf}", f"{theirs}.{leaf}")


def must(spec: TrainSpec, architecture: str, **wanted: Any) -> None:
    """Raise SpecError where a field of ``spec.model`` is none that the architecture has."""
    for key, values in wanted.items():
        value = getattr(spec.model, key)
        if value not in values:
            raise SpecError(
                f"model.{key} = {value!r} has no place in a {architecture}",
                expected=" or ".join(map(repr, values)),
            )


def only(config: Mapping[str, Any], **wanted: Any) -> None:
    """Raise InputError where config.json says what we have no part for; absent keys are fine."""
    for key, value in wanted.items():
        if config.get(key, value) != value:
            raise InputError(f"{key} = {config[key]!r}", file="config.json", expected=repr(value))


def activation(config: Mapping[str, Any], key: str, usual: str = "gelu") -> str:
    """Our name of the activation at ``key`` of a config.json."""
    found = OURS.get(config.get(key, usual))
    if found is None:
        raise InputError(f"{key} = {config[key]!r}", file="config.json", expected=" or ".join(OURS))
    return found


OURS = {"gelu": "gelu", "gelu_new": "gelu-tanh", "gelu_pytorch_tanh": "gelu-tanh", "relu": "relu"}
THEIRS = {"gelu": "gelu", "gelu-tanh": "gelu_new", "relu": "relu"}
