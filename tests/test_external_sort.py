"""Sorting through disk equals sorting in memory."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.external_sort import Sorter, merge, sort

DTYPE = np.dtype([("high", "<u8"), ("low", "<i8"), ("what", "u1", 3)])
rows = st.lists(
    st.tuples(st.sampled_from([0, 1, (1 << 64) - 1]), st.integers(-3, 3), st.integers(0, 255)),
    max_size=60,
)


def records(drawn: list[tuple[int, int, int]]) -> np.ndarray:
    """Rows of DTYPE."""
    return np.array([(high, low, (what, 0, 1)) for high, low, what in drawn], DTYPE)


@settings(max_examples=60, deadline=None)
@given(st.lists(rows, max_size=6), st.integers(1, 2000))
def test_runs_on_disk_give_the_sorted_whole(
    parts: list[list[tuple[int, int, int]]], memory: int
) -> None:
    """Any memory, any cuts: all records, in order, twice; and nothing stays on disk."""
    with TemporaryDirectory() as folder:
        place = Path(folder, "runs")
        sorter = Sorter(DTYPE, ("high", "low"), str(place), memory)
        for part in parts:
            sorter.add(records(part))
        whole = [row for part in parts for row in part]
        for _ in range(2):
            found = np.concatenate([np.empty(0, DTYPE), *sorter.blocks()])
            assert [(r["high"], r["low"]) for r in found] == sorted((h, w) for h, w, _ in whole)
            assert sorted(map(bytes, found)) == sorted(map(bytes, records(whole)))
        sorter.remove()
        assert not place.exists()


@settings(max_examples=60, deadline=None)
@given(st.lists(rows, max_size=5), st.integers(1, 7))
def test_merge_of_small_blocks(runs: list[list[tuple[int, int, int]]], size: int) -> None:
    """Blocks of any size, some of them empty."""
    ordered = [sort(records(run), ("high", "low")) for run in runs]
    blocks = [
        iter([run[:0], *(run[at : at + size] for at in range(0, len(run), size))])
        for run in ordered
    ]
    found = np.concatenate([np.empty(0, DTYPE), *merge(blocks, DTYPE, ("high", "low"))])
    expected = sorted((h, w) for run in runs for h, w, _ in run)
    assert [(r["high"], r["low"]) for r in found] == expected
