"""Pairs and star edges against brute force, and their freedom from order, cuts and ranges."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.errors import RunError
from corpusforge.kernels import dedup

Pair = tuple[int, int]
Order = tuple[int, int]  # rank, tie


def fixed(values: Iterable[bytes | None]) -> pa.Array:
    """Ids or keys as Arrow holds them."""
    return pa.array(list(values), pa.binary(16))


def best(orders: list[Order], members: Iterable[int]) -> int:
    """The best of some documents."""
    return min(members, key=lambda number: (*orders[number], number))


def table(orders: list[Order], numbers: list[int], **keys: pa.Array) -> pa.Table:
    """What ``pack`` takes."""
    columns = {
        "rank": pa.array([orders[n][0] for n in numbers], pa.uint64()),
        "tie": pa.array([orders[n][1] for n in numbers], pa.uint64()),
        "number": pa.array(numbers, pa.int64()),
    }
    return pa.table({**columns, **keys})


def scatter(kind: str, blobs: Iterable[tuple[int, bytes]]) -> dict[int, list[pa.Table]]:
    """What GroupByKey does."""
    homes = defaultdict(list)
    for home, blob in blobs:
        homes[home].append(dedup.unpack(kind, blob))
    return homes


def cuts(count: int, data: st.DataObject) -> list[list[int]]:
    """All rows in another order, cut anywhere."""
    order = data.draw(st.permutations(range(count)))
    ends = sorted({*data.draw(st.lists(st.integers(0, count), max_size=4)), 0, count})
    return [order[low:high] for low, high in pairwise(ends)]


keys = st.sampled_from([None, *range(6)])
orders = st.tuples(st.sampled_from([1, 2, (1 << 64) - 1]), st.sampled_from([0, 1 << 63]))


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.tuples(orders, keys), max_size=25),
    st.integers(1, 40),
    st.integers(0, 5),
    st.data(),
)
def test_exact_pairs(
    rows: list[tuple[Order, int | None]], ranges: int, new: int, data: st.DataObject
) -> None:
    """Every new document but the best of its key goes, whatever the order, cuts and ranges."""
    own = [order for order, _ in rows]
    # Keys that differ in the upper, the lower or both halves.
    exact = [k if k is None else bytes([k // 2 * 99] + 14 * [0] + [k % 2]) for _, k in rows]
    expected: set[Pair] = set()
    largest = 1
    for key in {key for key in exact if key is not None}:
        members = [number for number, found in enumerate(exact) if found == key]
        first = best(own, members)
        largest = max(largest, len(members))
        expected |= {(number, first) for number in members if number != first and number >= new}

    blobs: list[Any] = []
    for part in cuts(len(rows), data):
        blobs += dedup.pack("exact", table(own, part, exact=fixed(exact[i] for i in part)), ranges)
    found = [dedup.exact_pairs(tables, new) for tables in scatter("exact", blobs).values()]
    pairs = [tuple(row.values()) for pairs, _ in found for row in pairs.to_pylist()]
    assert sorted(pairs) == sorted(expected)
    assert max([1, *(size for _, size in found)]) == largest
    assert all(
        pairs["worse"].to_pylist() == sorted(pairs["worse"].to_pylist()) for pairs, _ in found
    )


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.tuples(orders, st.lists(st.integers(0, 3), min_size=3, max_size=3)), max_size=15),
    st.integers(1, 40),
    st.sets(st.integers(0, 14)),
    st.integers(0, 5),
    st.data(),
)
def test_bucket_edges(
    rows: list[tuple[Order, list[int]]],
    ranges: int,
    unsigned: set[int],
    new: int,
    data: st.DataObject,
) -> None:
    """The best document of each bucket has one edge to every other new one, with its bands."""
    own = [order for order, _ in rows]
    bands = np.array([found for _, found in rows], dtype=np.uint64).reshape(-1, 3)
    bands = (bands + np.arange(3, dtype=np.uint64) * np.uint64(4)) * np.uint64(0x1555555555555555)
    expected: Counter[Pair] = Counter()
    signed = [i for i in range(len(rows)) if i not in unsigned]
    for key in np.unique(bands[signed]):
        members = [i for i in signed if key in bands[i]]
        first = best(own, members)
        expected.update((first, number) for number in members if number != first and number >= new)

    blobs: list[Any] = []
    for part in cuts(len(rows), data):
        column = [None if i in unsigned else bands[i].astype("<u8").tobytes() for i in part]
        blobs += dedup.pack("near", table(own, part, bands=pa.array(column, pa.binary())), ranges)
    found: Counter[Pair] = Counter()
    for tables in scatter("near", blobs).values():
        edges, _ = dedup.bucket_edges(tables, new)
        pairs = [(row["better"], row["worse"]) for row in edges.to_pylist()]
        assert pairs == sorted(set(pairs))
        found.update(dict(zip(pairs, edges["bands"].to_pylist(), strict=True)))
    assert found == expected


def test_blobs_are_cut_by_bytes_and_lie_in_their_range() -> None:
    """No blob passes the limit; each holds only keys of its range, in order."""
    count = 100_000
    rng = np.random.default_rng(3)
    bands = rng.integers(0, 1 << 64, (count, 8), dtype=np.uint64)
    column = pa.array([row.tobytes() for row in bands], pa.binary())
    blobs = list(dedup.pack("near", table([(1, 1)] * count, list(range(count)), bands=column), 2))
    assert len(blobs) == 4 and max(len(blob) for _, blob in blobs) <= dedup.BLOB_BYTES
    total = 0
    for home, blob in blobs:
        found = dedup.unpack("near", blob)["key"].to_numpy()
        assert (found >> np.uint64(63) == home).all() and (np.diff(found.astype(float)) >= 0).all()
        total += len(found)
    assert total == 8 * count


def test_slices_are_read_where_they_start() -> None:
    """Halves of ids and rows of a matrix are those of the slice, not of its buffer."""
    names = [(n * 0x9E3779B97F4A7C15 % (1 << 128)).to_bytes(16, "big") for n in range(6)]
    high, low = dedup.halves(fixed(names)[2:5])
    found = [
        h.to_bytes(8, "big") + w.to_bytes(8, "big")
        for h, w in zip(high.tolist(), low.tolist(), strict=True)
    ]
    assert found == names[2:5]
    rows = pa.array(names, pa.binary())
    for cut in (rows[2:5], pa.chunked_array([rows[2:3], rows[3:5]])):
        assert [row.tobytes() for row in dedup.matrix(cut)] == names[2:5]
    with pytest.raises(ValueError, match="4 to 16 bytes"):
        dedup.matrix(pa.array([names[0], b"four"], pa.binary()))


def test_a_blob_of_another_kind_or_version_is_refused() -> None:
    """A reducer names what it found."""
    (_, blob), *_ = dedup.pack("exact", table([(1, 1)], [0], exact=fixed([b"k" * 16])), 1)
    with pytest.raises(RunError, match="near of forge-minhash-1"):
        dedup.unpack("near", blob)
