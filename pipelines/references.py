"""The beginning of every graph: references of units from a file, so that no graph grows with them.

A job request has a limit (20 MB on Dataflow), so the graph names at most PLACES places in
``work/references/STAGE-DIGEST.jsonl``, and the workers read the references there. With fewer units
a place is one reference: a runner that cuts work up as the graph names it can spread them. The name
holds a digest of the content, so that a worker of an earlier call never reads other references.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam

from corpusforge.shard import join, write_bytes
from corpusforge.storage import read_bytes

PLACES = 1000


class Read(beam.DoFn):
    """Place [start, end) of the file -> the references in it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def process(self, place: tuple[int, int]) -> Iterator[Any]:
        """Read the lines of a place."""
        start, end = place
        for line in read_bytes(self.path, start, end).splitlines():
            yield json.loads(line)


def of(root: str, stage: str, values: Sequence[Any]) -> _References:
    """Write ``values`` (JSON) for ``stage``; returns what yields them, spread over workers."""
    lines = [json.dumps(value).encode() + b"\n" for value in values]
    each = -(-len(lines) // PLACES) or 1
    places, start = [], 0
    for first in range(0, len(lines), each):
        end = start + sum(map(len, lines[first : first + each]))
        places.append((start, end))
        start = end
    data = b"".join(lines)
    digest = hashlib.sha256(data).hexdigest()[:16]
    path = join(root, f"work/references/{stage}-{digest}.jsonl")
    write_bytes(path, data)
    return _References(path, places)


class _References(beam.PTransform):  # type: ignore[type-arg]
    def __init__(self, path: str, places: Sequence[tuple[int, int]]) -> None:
        super().__init__("references")
        self.path, self.places = path, places

    def expand(self, begin: Any) -> Any:
        return (
            begin
            | "places" >> beam.Create(self.places)
            | "read" >> beam.ParDo(Read(self.path))
            | "spread" >> beam.Reshuffle()
        )
