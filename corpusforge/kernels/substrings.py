"""Substrings of words by how often they occur, each word as often as its count says.

What SentencePiece's Unigram trainer takes from a suffix array over its sentences, where it reads a
word of a list once whatever its count (unigram_model_trainer.cc; issue 967 there).
"""

from __future__ import annotations

import numpy as np

_BASE = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio
_FOLD = np.uint64(31)


def weighted_substrings(
    points: np.ndarray, starts: np.ndarray, counts: np.ndarray, longest: int = 16
) -> tuple[list[str], np.ndarray]:
    """Return substrings of 2 to ``longest`` characters and their weighted counts (n,) int64.

    ``points`` (n,) int64 are the code points of all words, ``starts`` (words + 1,) cuts them,
    ``counts`` (words,) int64. Only what occurs twice, and not always before the same character, as
    in a suffix tree. In the order of length and of a hash, for any order of the words the same.
    """
    lengths = np.diff(starts)
    weights = np.repeat(counts, lengths)
    left = np.repeat(starts[1:], lengths) - np.arange(len(points))  # characters to the word's end
    characters = points.astype(np.uint64)
    alive = np.arange(len(points))
    hashes = _mixed(characters)
    found: list[str] = []
    sums: list[np.ndarray] = []
    text = points.astype("<u4")
    before = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(len(points), np.int64))
    for length in range(2, longest + 2):
        alive = alive[left[alive] >= length]
        hashes[alive] = _mixed(hashes[alive] * _BASE + characters[alive + length - 1])
        keys, first, which = np.unique(hashes[alive], return_index=True, return_inverse=True)
        total = np.zeros(len(keys), dtype=np.int64)
        np.add.at(total, which, weights[alive])
        # What always goes on alike is left out, now that it is known how it goes on.
        places, amounts, group = before
        branches = np.ones(len(places), dtype=bool)
        parents = group[alive[first]]
        if length > 2:
            branches[parents[total == amounts[parents]]] = False
            chosen = places[branches]
            found += [_text(text[at : at + length - 1]) for at in chosen.tolist()]
            sums.append(amounts[branches])
        often = total > 1
        number = np.cumsum(often) - 1
        group[alive] = number[which]
        before = (alive[first[often]], total[often], group)
        alive = alive[often[which]]
        if not len(alive):
            break
    return found, np.concatenate(sums) if sums else np.zeros(0, dtype=np.int64)


def _mixed(values: np.ndarray) -> np.ndarray:
    values = (values ^ (values >> _FOLD)) * _BASE
    return np.asarray(values ^ (values >> _FOLD))


def _text(points: np.ndarray) -> str:
    return bytes(points).decode("utf-32-le")
