"""Which documents go: edges verified on sketches, then one pass in priority order.

A document goes if, and only if, a better one that stays has a verified edge to it. Taken from best
to worst this is decided once for each, since every edge runs from better to worse; so no document
goes without a near-twin that stays, which connected components do not give. The result is the
lexicographically first maximal independent set of the verified edges. One bit a document is held.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusforge.kernels.jit import kernel
from corpusforge.kernels.minhash import I64, U8, U32

F32 = npt.NDArray[np.float32]


@kernel
def count_matches(first: U8, second: U8, matches: I64) -> None:
    """Fill ``matches`` (n,) with the number of equal bytes of each pair of sketches: (n, K)."""
    for edge in range(len(first)):
        equal = 0
        for index in range(first.shape[1]):
            equal += first[edge, index] == second[edge, index]
        matches[edge] = equal


@kernel
def jaccard(
    shingles: U32, first: I64, first_end: I64, second: I64, second_end: I64, found: F32
) -> None:
    """Fill ``found`` (n,) with the Jaccard similarity of pairs of sets.

    The sets are ascending hashes shingles[first:first_end] and shingles[second:second_end].
    """
    for edge in range(len(first)):
        one, other, common = first[edge], second[edge], 0
        while one < first_end[edge] and other < second_end[edge]:
            if shingles[one] == shingles[other]:
                common += 1
                one += 1
                other += 1
            elif shingles[one] < shingles[other]:
                one += 1
            else:
                other += 1
        total = first_end[edge] - first[edge] + second_end[edge] - second[edge] - common
        found[edge] = np.float32(common / max(total, 1))


@kernel
def one_pass(worse: I64, better: I64, similarity: F32, gone: U8, chosen: I64) -> int:
    """Decide the documents whose edges are sorted by worse, then better priority.

    Edges into one document stand together. ``gone`` has a bit a document, which is set for those
    that go; ``chosen`` (n,) is filled with the edge each goes by, to the most similar document
    that stays, of equally similar ones the best. Returns how many go.
    """
    count, first = 0, 0
    while first < len(worse):
        best, edge = -1, first
        while edge < len(worse) and worse[edge] == worse[first]:
            stays = (gone[better[edge] >> 3] >> (better[edge] & 7)) & 1 == 0
            if stays and (best < 0 or similarity[edge] > similarity[best]):
                best = edge
            edge += 1
        if best >= 0:
            gone[worse[first] >> 3] |= np.uint8(1 << (worse[first] & 7))
            chosen[count] = best
            count += 1
        first = edge
    return count
