"""``forge tokenize`` as Beam jobs: counts cross the shuffle as packed blobs, texts never do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam

from corpusforge.shard import committed
from corpusforge.spec import TokenizeSpec
from corpusforge.stages import tokens as stages
from corpusforge.stages.tokens import Texts, encode_key

from . import references
from .engine import Engine, run, seen_anywhere


class Count(beam.DoFn):
    """Texts -> (range, blob) of their pre-token counts; none -> every range, empty."""

    def __init__(self, root: str, spec: dict[str, Any], key: str) -> None:
        self.root, self.spec, self.key = root, spec, key

    def process(self, texts: dict[str, Any]) -> Iterable[tuple[int, bytes]]:
        """Count one unit."""
        spec = TokenizeSpec(**self.spec)
        if not texts:
            return [(number, b"") for number in range(spec.ranges)]
        return stages.count_map(self.root, Texts(**texts), spec, self.key)


class Sum(beam.DoFn):
    """(range, blobs) -> name of the range, once its counts are written."""

    def __init__(self, root: str, key: str) -> None:
        self.root, self.key = root, key

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[str]:
        """Merge one range."""
        number, blobs = element
        yield stages.count_reduce(self.root, number, blobs, self.key)


class Encode(beam.DoFn):
    """Texts -> their name, once their token shards are written."""

    def __init__(self, root: str, spec: dict[str, Any], key: str) -> None:
        self.root, self.spec, self.key = root, spec, key

    def process(self, texts: dict[str, Any]) -> Iterator[str]:
        """Encode one unit."""
        unit = Texts(**texts)
        stages.encode(self.root, unit, TokenizeSpec(**self.spec), encode_key(self.key, unit))
        yield unit.name


def elements(units: Sequence[Texts]) -> list[dict[str, Any]]:
    """Return what crosses to the workers, large units first, as in ``plan.largest_first``."""
    ordered = sorted(units, key=lambda unit: (-unit.bytes, unit.name))
    return [{**u.to_json(), "root": u.root and seen_anywhere(u.root)} for u in ordered]


def count(engine: Engine, root: str, units: Sequence[Texts], spec: TokenizeSpec, key: str) -> None:
    """Run the count stage."""
    root = seen_anywhere(root)
    values = [{}, *elements(units)]

    def build(pipeline: beam.Pipeline) -> object:
        return (
            pipeline
            | references.of(root, "count", values)
            | "count" >> beam.ParDo(Count(root, spec.model_dump(mode="json"), key))
            | "by range" >> beam.GroupByKey()
            | "sum" >> beam.ParDo(Sum(root, key))
        )

    run(engine, sum(u.bytes for u in units), build, lambda: [u.name for u in units])


def encode(engine: Engine, root: str, units: Sequence[Texts], spec: TokenizeSpec, key: str) -> None:
    """Run the encode stage."""
    root = seen_anywhere(root)
    values = elements(units)

    def build(pipeline: beam.Pipeline) -> object:
        return (
            pipeline
            | references.of(root, "encode", values)
            | "encode" >> beam.ParDo(Encode(root, spec.model_dump(mode="json"), key))
        )

    def missing() -> list[str]:
        done = [committed(root, "encode", u.name, encode_key(key, u)) for u in units]
        return [unit.name for unit, found in zip(units, done, strict=True) if not found]

    run(engine, sum(u.bytes for u in units), build, missing)
