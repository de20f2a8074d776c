"""The share of one part in each stage of clean and tokenize, in this process, without an engine.

What crosses a shuffle lies in a file a unit, its places in the commit of the unit. The functions
have the names and arguments of the Beam jobs, with a Part for the engine.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from corpusforge import storage
from corpusforge.parts import Part
from corpusforge.plan import Unit
from corpusforge.shard import AtomicFile, Shard, commit, committed, join
from corpusforge.spec import CleanSpec, TokenizeSpec
from corpusforge.stages import clean as cleans
from corpusforge.stages import dedup as dedups
from corpusforge.stages import recipe
from corpusforge.stages import tokens as tokens
from corpusforge.stages.tokens import Texts

Place = tuple[int, dict[str, Any]]  # range, and file, offset, length of a blob
Settling = tuple[str, str, Sequence[int], Sequence[int]]
PACKED = "packed"  # the stage of commits that say where in a shuffle file the blobs of a range lie


def documents(part: Part, root: str, units: Sequence[Unit], spec: CleanSpec) -> None:
    """Do the own of ``units``, wait for the others."""
    for unit in units:
        if part.has(unit.name):
            cleans.documents(root, unit, spec)
    keys = {unit.name: recipe.documents_key(spec, unit) for unit in units}
    _wait(part, root, "documents", "documents", keys)


def dedup(
    part: Part, root: str, kind: str, units: Sequence[str], spec: CleanSpec, key: str, size: int
) -> None:
    """Pack the keys of the own of ``units``, then reduce the own ranges, of a kind of dedup."""
    plan = dedups.read_layout(root, key)
    filed = replace(plan, files=True)
    for unit in filter(part.has, units):
        if not committed(root, PACKED, f"{kind}-{unit}", key):
            packed_keys = dedups.pack(root, kind, unit, spec, filed)
            places: list[Place] = [(number, json.loads(blob)) for number, blob in packed_keys]
            size = max((p["offset"] + p["length"] for _, p in places), default=0)
            shards = [Shard(dedups.shuffle_file(kind, unit), 0, size, "")]
            commit(root, PACKED, f"{kind}-{unit}", key, shards, places=places)
    packed = [f"{kind}-{unit}" for unit in units]
    _wait(part, root, f"dedup {kind}", PACKED, dict.fromkeys(packed, key))
    ranges = [f"{dedups.FILES[kind][0]}-{n:05d}" for n in range(plan.ranges[kind])]
    for number, found in _undone(part, root, "dedup", ranges, packed, key).items():
        blobs = (json.dumps(place).encode() for place in found)
        dedups.reduce(root, kind, number, blobs, plan)
    _wait(part, root, f"dedup {kind} by range", "dedup", dict.fromkeys(ranges, key))


def settle(part: Part, root: str, units: Sequence[Settling], spec: CleanSpec, size: int) -> None:
    """Do the own of ``units``; a part ends here."""
    for unit, key, removed, numbers in units:
        if part.has(unit):
            cleans.settle(root, unit, spec, key, removed, numbers)
    part.finished()
    _wait(part, root, "settle", "settle", {unit: key for unit, key, *_ in units})


def count(part: Part, root: str, units: Sequence[Texts], spec: TokenizeSpec, key: str) -> None:
    """Count the own of ``units``, then merge the own ranges."""
    for unit in units:
        if part.has(unit.name) and not committed(root, PACKED, f"count-{unit.name}", key):
            path, places = f"work/shuffle/count-{unit.name}.blobs", list[Place]()
            file = AtomicFile(join(root, path))
            for number, blob in tokens.count_map(root, unit, spec, key):
                place = {"file": path, "offset": file.bytes, "length": len(blob)}
                places.append((number, place))
                file.write(blob)
            file.commit()
            shards = [Shard(path, 0, file.bytes, file.sha256.hexdigest())]
            commit(root, PACKED, f"count-{unit.name}", key, shards, places=places)
    packed = [f"count-{unit.name}" for unit in units]
    _wait(part, root, "count", PACKED, dict.fromkeys(packed, key))
    ranges = [f"range-{n:05d}" for n in range(spec.ranges)]
    for number, found in _undone(part, root, "count", ranges, packed, key).items():
        tokens.count_reduce(root, number, (_blob(root, place) for place in found), key)
    _wait(part, root, "count by range", "count", dict.fromkeys(ranges, key))


def encode(part: Part, root: str, units: Sequence[Texts], spec: TokenizeSpec, key: str) -> None:
    """Encode the own of ``units``; a part ends here."""
    for unit in units:
        if part.has(unit.name):
            tokens.encode(root, unit, spec, tokens.encode_key(key, unit))
    part.finished()
    keys = {unit.name: tokens.encode_key(key, unit) for unit in units}
    _wait(part, root, "encode", "encode", keys)


def _wait(part: Part, root: str, name: str, stage: str, keys: dict[str, str]) -> None:
    left = dict(keys)

    def missing() -> list[str]:
        for unit in [unit for unit, key in left.items() if committed(root, stage, unit, key)]:
            del left[unit]
        return list(left)

    part.wait(root, name, missing)


def _undone(
    part: Part, root: str, stage: str, ranges: Sequence[str], packed: Iterable[str], key: str
) -> dict[int, list[dict[str, Any]]]:
    """Return the own ranges that are not done, each with the places of its blobs."""
    own = [n for n, name in enumerate(ranges) if part.has(name)]
    found: dict[int, list[dict[str, Any]]] = {
        n: [] for n in own if not committed(root, stage, ranges[n], key)
    }
    for unit in packed if found else ():
        for number, place in (committed(root, PACKED, unit, key) or {})["places"]:
            if number in found:
                found[number].append(place)
    return found


def _blob(root: str, place: dict[str, Any]) -> bytes:
    start = place["offset"]
    return storage.read_bytes(join(root, place["file"]), start, start + place["length"])
