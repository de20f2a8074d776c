"""Lookup: the ledger rows of a document by id, own id, URL or host, without a scan.

``lookup/NNNNN.arrow`` in the run folder covers consecutive ledger files of about ROWS rows: sorted
hashes of their keys and, beside each, the row that has it, counted over these files. The files are
derived from the ledger alone, made where they are missing, and not part of what a run is.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.kernels.lookup_keys import HOST, ID, SOURCE_ID, URL, hashes, host_of, plain_url
from corpusforge.manifest import Manifest
from corpusforge.shard import Shard, ShardWriter, exists, read_batches, read_row

FOLDER = "lookup"
ROWS = 1 << 20  # of the ledger, a lookup file
MOST = 100  # rows that one key finds
_MADE_OF = b"ledger"  # schema metadata: digest of the ledger files that are covered
_NAMES = ("id", "source_id", "url")

Places = list[tuple[Shard, int]]  # ledger file, row in it


class _Part(NamedTuple):
    name: str
    shards: tuple[Shard, ...]
    schema: pa.Schema


def write(root: str, run: Manifest) -> None:
    """Write what is missing of the lookup files of a clean run."""
    for part in _parts(run):
        if not _whole(root, part):
            _write(root, part)


def rows(root: str, run: Manifest, key: str) -> list[dict[str, Any]]:
    """Return the ledger rows that ``key`` names: an id (hex), a record's own id or a URL.

    Rows that have the key as it stands come before, and instead of, those whose URL differs in
    scheme, fragment, slashes at the end or case of the host.
    """
    plain = plain_url(pa.array([key]))
    own = [key, f"<{key}>"]  # record ids of WARC files stand in brackets
    wanted = [(SOURCE_ID, pa.array(own)), (URL, plain)]
    id_ = _id(key)
    if id_ is not None:
        wanted.append((ID, pa.array([id_], pa.binary())))
    found = [read_row(root, s.name, row) for s, row in _find(root, run, wanted)]
    same = [r for r in found if r["id"] == id_ or r["source_id"] in own or r["url"] == key]
    if same:
        return same
    urls = plain_url(pa.array([row["url"] for row in found], pa.string())).to_pylist()
    return [row for row, url in zip(found, urls, strict=True) if url == plain[0].as_py()]


def urls_of_host(root: str, run: Manifest, url: str, limit: int) -> list[str]:
    """Return up to ``limit`` URLs that the run read of the host of ``url``."""
    host = host_of(plain_url(pa.array([url])))
    wanted: dict[str, list[int]] = {}
    for shard, row in _find(root, run, [(HOST, host)], limit):
        wanted.setdefault(shard.name, []).append(row)
    urls: list[str] = []
    for name, numbers in wanted.items():
        start, at = 0, np.sort(numbers)
        for batch in read_batches(root, name, ["url"]):
            here = at[(at >= start) & (at < start + batch.num_rows)] - start
            urls += batch.column("url").take(pa.array(here)).to_pylist()
            start += batch.num_rows
    return urls


def _find(
    root: str, run: Manifest, wanted: Sequence[tuple[bytes, pa.Array]], limit: int = MOST
) -> Places:
    """Return where rows with a wanted key lie, at most ``limit``, in the order of the ledger."""
    keys = np.unique(np.concatenate([hashes(kind, values) for kind, values in wanted]))
    found: Places = []
    for part in _parts(run):
        starts = np.cumsum([0, *(shard.rows for shard in part.shards)])
        numbers = []
        for sorted_, row in _tables(root, part):
            lows, highs = (np.searchsorted(sorted_, keys, side) for side in ("left", "right"))
            numbers += [row[low:high] for low, high in zip(lows, highs, strict=True)]
        for number in np.unique(np.concatenate(numbers)).tolist() if numbers else ():
            at = int(np.searchsorted(starts, number, "right")) - 1
            found.append((part.shards[at], number - int(starts[at])))
            if len(found) == limit:
                return found
    return found


def _parts(run: Manifest) -> Iterator[_Part]:
    group: list[Shard] = []
    number = 0
    shards = run.in_folder("ledger")
    for index, shard in enumerate(shards):
        group.append(shard)
        if sum(one.rows for one in group) >= ROWS or index == len(shards) - 1:
            digest = hashlib.sha256("".join(one.sha256 for one in group).encode()).hexdigest()
            fields = [pa.field("key", pa.uint64()), pa.field("row", pa.uint32())]
            schema = pa.schema(fields, {_MADE_OF: digest.encode()})
            yield _Part(f"{FOLDER}/{number:05d}.arrow", tuple(group), schema)
            group, number = [], number + 1


def _tables(
    root: str, part: _Part
) -> Iterator[tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]]:
    """Yield (key, row) sorted by key of a part; written first where it is not there."""
    if not _whole(root, part):
        with contextlib.suppress(OSError):  # a run folder that may only be read
            _write(root, part)
    there = _whole(root, part)
    for batch in read_batches(root, part.name) if there else [_batch(root, part)]:
        yield batch.column("key").to_numpy(), batch.column("row").to_numpy()


def _whole(root: str, part: _Part) -> bool:
    """Tell whether the lookup file of a part is there and of this ledger."""
    if not exists(root, part.name):
        return False
    try:
        first = next(read_batches(root, part.name), None)
    except (OSError, pa.ArrowInvalid):
        return False
    return first is not None and (first.schema.metadata or {}) == part.schema.metadata


def _write(root: str, part: _Part) -> None:
    with ShardWriter(root, part.name, part.schema, compress=False) as writer:
        writer.write(_batch(root, part))
        writer.close()


def _batch(root: str, part: _Part) -> pa.RecordBatch:
    keys: list[npt.NDArray[np.uint64]] = []
    numbers: list[npt.NDArray[np.int64]] = []

    def add(kind: bytes, values: pa.Array, start: int) -> None:
        keys.append(hashes(kind, values.drop_null()))
        there = values.is_valid().to_numpy(zero_copy_only=False)
        numbers.append(start + np.flatnonzero(there))

    start = 0
    for shard in part.shards:
        for batch in read_batches(root, shard.name, _NAMES):
            plain = plain_url(batch.column("url"))
            host = host_of(plain)
            add(ID, batch.column("id"), start)
            add(SOURCE_ID, batch.column("source_id"), start)
            add(URL, plain, start)
            add(HOST, pc.if_else(pc.equal(host, ""), None, host), start)
            start += batch.num_rows
    key = np.concatenate([np.zeros(0, np.uint64), *keys])
    row = np.concatenate([np.zeros(0, np.int64), *numbers]).astype(np.uint32)
    order = np.argsort(key, kind="stable")
    return pa.RecordBatch.from_arrays(
        [pa.array(key[order]), pa.array(row[order])], schema=part.schema
    )


def _id(key: str) -> bytes | None:
    try:
        value = bytes.fromhex(key)
    except ValueError:
        return None
    return value if len(value) == 16 else None
