"""SweepSpec: which settings of training are tried, how often, and what decides between them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError, field_validator

from corpusforge.errors import SpecError, nearest

from .load import assemble, merge, parse, read
from .model import Model
from .train import TrainSpec

M = TypeVar("M", bound=Model)
WORDS = ("low", "high", "log", "step")
GRID = 1_000_000  # settings of a grid
FIGURES = {  # of held-out text that each objective has beside heldout_loss and perplexity
    "causal": ("bits_per_byte",),
    "masked": ("pseudo_perplexity", "masked_accuracy", "order_accuracy"),
    "permutation": ("permutation_accuracy",),
    "spans": ("span_accuracy",),
}


class Range(Model):
    """Numbers between two ends, both included."""

    low: int | float
    high: int | float
    log: bool = False  # as many between 1 and 10 as between 10 and 100
    step: int | float = Field(0, ge=0)  # 0: any number in between

    def values(self) -> list[int | float]:
        """The numbers of a range with a step."""
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return [round(self.low + number * self.step, 12) for number in range(count)]


Choice = Range | list[Any]


class SweepSettings(Model):
    """How trials are drawn, ended early and compared."""

    trials: int = Field(20, ge=1)  # also raised later: the sweep goes on
    seed: int = Field(0, ge=0)
    objective: Literal[
        "heldout_loss",
        "perplexity",
        "bits_per_byte",
        "pseudo_perplexity",
        "masked_accuracy",
        "order_accuracy",
        "permutation_accuracy",
        "span_accuracy",
    ] = "heldout_loss"  # a held-out figure of metrics.jsonl, at the trial's last step
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    pruner: Literal["median", "none"] = "median"  # ends a trial worse than the median at its step
    warmup: int = Field(5, ge=0)  # trials drawn at random, and before any is ended early
    workers: int = Field(1, ge=1)  # trials at a time, each in a process
    keep: int = Field(1, ge=0)  # best trials whose checkpoints stay on the disk

    @property
    def maximize(self) -> bool:
        """Whether more is better."""
        return self.objective.endswith("accuracy")


class SweepSpec(Model):
    """A sweep: trainings of one spec that differ in the fields that ``ranges`` names."""

    inputs: list[str] = []
    base: str = "gpt-mini"  # train spec, a TOML file or a shipped name
    train: TrainSpec = TrainSpec()  # fields that differ from the base
    sweep: SweepSettings = SweepSettings()
    ranges: dict[str, Choice] = {}  # by key of the train spec: {low, high, log, step} or a list

    @field_validator("ranges", mode="before")
    @classmethod
    def _flat(cls, given: Any) -> Any:
        """Read ``"optim.warmup" = ...`` and ``optim.warmup = ...`` alike."""
        found: dict[str, Any] = {}
        for key, value in _leaves(given):
            both = isinstance(value, dict) and isinstance(found.get(key), dict)
            found[key] = {**found[key], **value} if both else value  # --set of one end
        return {key: _choice(key, found[key]) for key in sorted(found)}

    def trial(self, settings: Mapping[str, Any]) -> TrainSpec:
        """Return the train spec with ``settings`` by key; SpecError where they do not fit."""
        values = self.train.model_dump(mode="json")
        for key, value in settings.items():
            table = values
            *path, last = _path(key)
            for part in path:
                table = table[part]
            table[last] = value
        return parse(TrainSpec, values)


def load_sweep(
    file: str | None = None,
    overrides: Iterable[str] = (),
    base: Mapping[str, Any] | None = None,
) -> SweepSpec:
    """Read a sweep spec, as ``load`` reads others; ``train`` is completed from its base."""
    values = assemble(SweepSpec, file=file, overrides=overrides, base=base)
    name = values.get("base", SweepSpec.model_fields["base"].default)
    if isinstance(name, str):
        under = read(TrainSpec, name)
        given = values.get("train", {})
        if isinstance(given, dict):
            parse(TrainSpec, under, name)
            merge(under, given)
            values["train"] = under
    try:
        spec = parse(SweepSpec, values, file)
        _check(spec)
    except SpecError as error:
        where, rest = error.file or file, {"expected": error.expected, "remedy": error.remedy}
        raise SpecError(error.what, file=where, **rest) from None
    return spec


def _leaves(given: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(given, dict):
        raise SpecError(f"'ranges' = {given!r}", expected="a table [ranges]")
    for key, value in given.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value and _holds_ranges(name, value):
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value


def _holds_ranges(key: str, value: dict[str, Any]) -> bool:
    """Tell a table of ranges from a range."""
    if all(isinstance(one, dict) for one in value.values()):
        return True
    return not set(value) & set(WORDS) and (_is_table(key) or key in _FREE)


def _choice(key: str, value: Any) -> Choice:
    """Validate the range of one field."""
    adapter = _field(key)
    if isinstance(value, Range):
        value = value.model_dump()
    if isinstance(value, list):
        if not value:
            raise SpecError(f"'ranges.{key}' = []", expected="one value or more")
        chosen = [_valid(adapter, key, one) for one in value]
        if any(one in chosen[:place] for place, one in enumerate(chosen)):
            raise SpecError(f"'ranges.{key}' = {value!r}", expected="each value once")
        return [adapter.dump_python(one, mode="json") for one in chosen]
    if not isinstance(value, dict):
        raise SpecError(
            f"'ranges.{key}' = {value!r}",
            expected="{low = ..., high = ...} or a list of values",
        )
    return _range(key, value, adapter)


def _range(key: str, value: dict[str, Any], adapter: TypeAdapter[Any]) -> Range:
    for word in value:
        if word not in WORDS:
            raise SpecError(f"unknown key 'ranges.{key}.{word}'", remedy=nearest(word, WORDS))
    for word in ("low", "high"):
        if word not in value:
            raise SpecError(f"'ranges.{key}' has no '{word}'", expected="low and high")
    for word in ("low", "high", "step"):
        number = value.get(word, 0)
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise SpecError(f"'ranges.{key}.{word}' = {number!r}", expected="a number")
        if not math.isfinite(number):
            raise SpecError(f"'ranges.{key}.{word}' = {number!r}", expected="a finite number")
    ends = [_valid(adapter, key, value[word]) for word in ("low", "high")]
    if any(isinstance(end, bool) or not isinstance(end, int | float) for end in ends):
        raise SpecError(
            f"'ranges.{key}' has low and high, but '{key}' is no number",
            expected="a list of values",
        )
    whole = isinstance(ends[0], int)
    found = parse(Range, {**value, "low": ends[0], "high": ends[1]})
    if whole and found.step != int(found.step):
        raise SpecError(f"'ranges.{key}.step' = {found.step}", expected="a whole number")
    if whole:
        found = found.model_copy(update={"step": int(found.step)})
    if found.low >= found.high:
        raise SpecError(
            f"'ranges.{key}' from {found.low} to {found.high}", expected="low below high"
        )
    if found.step > found.high - found.low:
        raise SpecError(f"'ranges.{key}.step' = {found.step}", expected="at most high - low")
    if found.log and (found.low <= 0 or found.step):
        raise SpecError(
            f"'ranges.{key}' is logarithmic from {found.low} with step {found.step}",
            expected="low above 0, and no step",
        )
    return found


def _valid(adapter: TypeAdapter[Any], key: str, value: Any) -> Any:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise SpecError(
            f"'ranges.{key}' has {value!r}, which is not allowed: {error.errors()[0]['msg']}",
            remedy=f"see forge train's key '{key}'",
        ) from None


def keys(kind: type[Model] = TrainSpec, prefix: str = "") -> Iterator[str]:
    """Every key of the train spec that may be given a range."""
    for name, field in kind.model_fields.items():
        inner = field.annotation
        if field.exclude:
            continue  # how a training is computed, not what: a trial is one process
        if isinstance(inner, type) and issubclass(inner, Model):
            yield from keys(inner, f"{prefix}{name}.")
        elif prefix + name != "inputs":
            yield prefix + name


_FREE = ("weights", "epochs")  # tables of numbers whose keys are names of token folders


def _path(key: str) -> list[str]:
    table, _, name = key.partition(".")
    return [table, name] if table in _FREE and name else key.split(".")


def _is_table(key: str) -> bool:
    return any(known.startswith(f"{key}.") for known in keys())


def _field(key: str) -> TypeAdapter[Any]:
    """Return what a value of the field must be; SpecError for what is no field."""
    table, _, name = key.partition(".")
    if table in _FREE and name:
        return TypeAdapter(Annotated[float, Field(ge=0)])
    known = list(keys())
    if key not in known:
        if _is_table(key):
            inside = [one for one in known if one.startswith(f"{key}.")]
            raise SpecError(f"'ranges.{key}' is a table", expected=f"its keys: {', '.join(inside)}")
        raise SpecError(f"unknown key 'ranges.{key}'", remedy=_nearest(key, known))
    kind: type[Model] = TrainSpec
    *path, last = key.split(".")
    for part in path:
        kind = kind.model_fields[part].annotation  # type: ignore[assignment]
    field = kind.model_fields[last]
    kept: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    return TypeAdapter(kept)


def _nearest(key: str, known: list[str]) -> str:
    """The field of that name in another table, else the key that is written most alike."""
    last = key.rpartition(".")[2]
    same = [one for one in known if one.rpartition(".")[2] == last]
    return f"did you mean '{same[0]}'?" if same else nearest(key, known)


def _check(spec: SweepSpec) -> None:
    """Raise SpecError for a sweep that could not give a result."""
    settings, ranges = spec.sweep, spec.ranges
    if not ranges:
        raise SpecError(
            "nothing to try: [ranges] is empty",
            remedy="e.g. --set 'ranges.optim.learning_rate={low=1e-4, high=1e-2, log=true}'",
        )
    if spec.train.parallel != TrainSpec().parallel:
        raise SpecError(
            "train.parallel is set, but each trial is one process",
            remedy="leave it out; sweep.workers trains several trials at a time",
        )
    if not spec.train.data.heldout and "data.heldout" not in ranges:
        raise SpecError(
            "data.heldout = 0 leaves no text to compare trials by",
            remedy="set train.data.heldout above 0",
        )
    goals = ranges.get("objective", [spec.train.objective])
    for goal in goals if isinstance(goals, list) else []:
        figures = ("heldout_loss", "perplexity", *FIGURES.get(goal, ()))
        if settings.objective not in figures:
            raise SpecError(
                f"sweep.objective = '{settings.objective}' is no figure of objective = '{goal}'",
                expected=" or ".join(figures),
            )
    if settings.sampler == "grid":
        for key, choice in ranges.items():
            if isinstance(choice, Range) and not choice.step:
                raise SpecError(
                    f"'ranges.{key}' has no step, which sweep.sampler = 'grid' needs",
                    remedy="add a step, or list the values",
                )
        size = math.prod(
            len(choice.values() if isinstance(choice, Range) else choice)
            for choice in ranges.values()
        )
        if size > GRID:
            raise SpecError(f"the grid has {size:,} points", expected=f"at most {GRID:,}")
