"""``forge clean`` as Beam jobs, one a stage: only unit names and small packed blobs are moved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam

from corpusforge.plan import Unit, largest_first
from corpusforge.shard import committed
from corpusforge.spec import CleanSpec
from corpusforge.stages import clean as stages
from corpusforge.stages import dedup as dedups
from corpusforge.stages import recipe

from . import references
from .engine import Engine, run, seen_anywhere

Settling = tuple[str, str, Sequence[int], Sequence[int]]


class Documents(beam.DoFn):
    """Unit -> its name, once its documents are read, judged and signed."""

    def __init__(self, root: str, spec: dict[str, Any]) -> None:
        self.root, self.spec = root, spec

    def process(self, unit: dict[str, Any]) -> Iterator[str]:
        """Do the unit."""
        stages.documents(self.root, Unit.from_json(unit), CleanSpec(**self.spec))
        yield unit["name"]


class Pack(beam.DoFn):
    """Unit name -> (range, blob) of one kind of dedup keys; '' -> every range, empty."""

    def __init__(self, root: str, kind: str, spec: dict[str, Any], key: str) -> None:
        self.root, self.kind, self.spec, self.key = root, kind, spec, key

    def process(self, unit: str) -> Iterable[tuple[int, bytes]]:
        """Pack the keys of the unit by range."""
        plan = dedups.read_layout(self.root, self.key)
        if not unit:
            return [(number, b"") for number in range(plan.ranges[self.kind])]
        return dedups.pack(self.root, self.kind, unit, CleanSpec(**self.spec), plan)


class Reduce(beam.DoFn):
    """(range, blobs) -> name of the file written for the range."""

    def __init__(self, root: str, kind: str, key: str) -> None:
        self.root, self.kind, self.key = root, kind, key

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[str]:
        """Group the range."""
        plan = dedups.read_layout(self.root, self.key)
        yield dedups.reduce(self.root, self.kind, *element, plan)


class Settle(beam.DoFn):
    """(unit, key, its rows of removed, its numbers) -> its name, once its ledger is written."""

    def __init__(self, root: str, spec: dict[str, Any]) -> None:
        self.root, self.spec = root, spec

    def process(self, element: Settling) -> Iterator[str]:
        """Settle the unit."""
        unit, key, removed, numbers = element
        stages.settle(self.root, unit, CleanSpec(**self.spec), key, removed, numbers)
        yield unit


def documents(engine: Engine, root: str, units: Sequence[Unit], spec: CleanSpec) -> None:
    """Run the documents stage over ``units``, large ones first."""
    root = seen_anywhere(root)
    values = [unit.to_json() for unit in largest_first(units)]

    def build(pipeline: beam.Pipeline) -> object:
        return (
            pipeline
            | references.of(root, "documents", values)
            | "documents" >> beam.ParDo(Documents(root, spec.model_dump(mode="json")))
        )

    def missing() -> list[str]:
        keys = [(unit, recipe.documents_key(spec, unit)) for unit in units]
        return [u.name for u, key in keys if not committed(root, "documents", u.name, key)]

    run(engine, sum(unit.bytes for unit in units), build, missing)


def dedup(
    engine: Engine, root: str, kind: str, units: Sequence[str], spec: CleanSpec, key: str, size: int
) -> None:
    """Run one dedup shuffle, a kind of ``stages.dedup.KINDS``, over ``units``."""
    root = seen_anywhere(root)

    def build(pipeline: beam.Pipeline) -> object:
        return (
            pipeline
            | references.of(root, kind, ["", *units])
            | "pack" >> beam.ParDo(Pack(root, kind, spec.model_dump(mode="json"), key))
            | "by range" >> beam.GroupByKey()
            | "reduce" >> beam.ParDo(Reduce(root, kind, key))
        )

    run(engine, size, build, lambda: list(units))


def settle(
    engine: Engine,
    root: str,
    units: Sequence[Settling],
    spec: CleanSpec,
    size: int,
) -> None:
    """Run the settle stage over (unit, key, its rows of removed, its numbers)."""
    root = seen_anywhere(root)

    def build(pipeline: beam.Pipeline) -> object:
        return (
            pipeline
            | references.of(root, "settle", units)
            | "settle" >> beam.ParDo(Settle(root, spec.model_dump(mode="json")))
        )

    def missing() -> list[str]:
        return [u for u, key, *_ in units if not committed(root, "settle", u, key)]

    run(engine, size, build, missing)
