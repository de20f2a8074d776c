"""Learned evidence for each block: boosted trees over `features`, in one compiled loop.

The trees are trained by tools/block_scorer.py (LightGBM) and lie in block_trees.npz.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from corpusforge.kernels.extraction import features
from corpusforge.kernels.extraction.blocks import Blocks
from corpusforge.kernels.extraction.features import Ints, Matrix
from corpusforge.kernels.jit import kernel

Trees = tuple[Ints, Ints, NDArray[np.float32], Ints, NDArray[np.float64]]
NAMES = ("root", "feature", "threshold", "after", "leaf")


@cache
def trees() -> Trees:
    """The arrays of block_trees.npz in the order of NAMES.

    ``root``: first node of each tree. Of the nodes: ``feature``, ``threshold`` (float32) and
    ``after``, (nodes, 2), where to go from there if the feature is at most the threshold or more: a
    node, or with ~ before it a place in ``leaf``, log-odds as float64.
    """
    source = resources.files(__package__) / "block_trees.npz"
    with source.open("rb") as file, np.load(file, allow_pickle=False) as data:
        root, feature, threshold, after, leaf = (data[name] for name in NAMES)
    return root, feature, threshold, after, leaf


@kernel
def evaluate(
    x: Matrix,
    root: Ints,
    feature: Ints,
    threshold: NDArray[np.float32],
    after: Ints,
    leaf: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Sum of the leaves that each row of ``x`` reaches, tree after tree: (rows,) float64."""
    scores = np.zeros(len(x))
    for k in range(len(x)):
        row = x[k]
        for start in root:
            node = start
            while node >= 0:
                node = after[node, int(row[feature[node]] > threshold[node])]
            scores[k] += leaf[~node]
    return scores


@kernel
def smooth(gain: NDArray[np.float64], cost: float) -> NDArray[np.bool_]:
    """The choice of blocks with the largest sum of ``gain`` less ``cost`` for each change between
    a block that is chosen and one that is not (Viterbi's algorithm); of equal ones the steadiest.
    """
    n = len(gain)
    chosen = np.zeros(n, np.bool_)
    turned = np.zeros((n, 2), np.bool_)  # the best way into a state comes from the other one
    out, within = 0.0, 0.0
    for k in range(n):
        turned[k, 0], turned[k, 1] = within - cost > out, out - cost > within
        out, within = (
            max(out, within - cost),
            max(within, out - cost) + gain[k],
        )
    state = 1 if within > out else 0
    for k in range(n - 1, -1, -1):
        chosen[k] = state == 1
        if turned[k, state]:
            state = 1 - state
    return chosen


def describe(page: Blocks, size: list[int]) -> Matrix:
    """The features of the blocks of ``page``, whose texts have ``size`` bytes."""
    block = np.array([list(accumulate(size)), page.linked, page.owner], np.int32)
    number = features.TAGS.get
    tags = [number(tag, 0) for tag in page.tag]
    element = np.array([tags, page.parent, page.role, page.end, page.first, page.last], np.int32)
    data = np.frombuffer("".join(page.text).encode(), np.uint8)
    return features.matrix(data, block, element)
