"""Which documents go: edges verified on sketches, then one pass in priority order.

A document goes if, and only if, a better one that stays has a verified edge to it. Taken from best
to worst this is decided once for each, since every edge runs from better to worse; so no document
goes without a near-twin that stays, which connected components do not give. The result is the
lexicographically first maximal independent set of the verified edges.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.kernels.dedup import EDGES, halves, matrix
from corpusforge.kernels.jit import kernel
from corpusforge.kernels.minhash import I64, U8, estimate

REMOVED = pa.schema(
    [
        pa.field("id", pa.binary(16), nullable=False),
        pa.field("duplicate_of", pa.binary(16), nullable=False),
        pa.field("similarity", pa.float32(), nullable=False),
        pa.field("bands_matched", pa.int32(), nullable=False),
        pa.field("exact", pa.bool_(), nullable=False),
    ]
)


def resolve(
    edges: Sequence[pa.Table],
    documents: pa.Table,
    exact: pa.Table,
    minimum_similarity: float,
) -> pa.Table:
    """Return REMOVED, sorted by id: every document that goes and the one that stays for it.

    ``edges`` are the EDGES of every range, ``exact`` the GROUPS of all ranges; ``documents`` holds
    id, tokens and sketch of at least every document in an edge. Of several better documents that
    stay the most similar is named, of equally similar ones the best. An exact copy of a document
    that goes as a near-duplicate goes with it, to the same document.
    Raises ValueError if an edge names a document that ``documents`` lacks.
    """
    near = _near(_without(edges, exact["id"]), documents, minimum_similarity)
    twins = pc.index_in(exact["duplicate_of"], value_set=near["id"])
    direct = pc.is_null(twins)
    alone = exact.filter(direct)
    copies = pa.table(
        [
            *(alone["id"], alone["duplicate_of"]),
            np.ones(len(alone), dtype=np.float32),
            np.zeros(len(alone), dtype=np.int32),
            np.ones(len(alone), dtype=np.bool_),
        ],
        schema=REMOVED,
    )
    followers = near.take(twins.drop_null()).set_column(
        0, REMOVED.field("id"), exact["id"].filter(pc.invert(direct))
    )
    return pa.concat_tables([near, copies, followers]).combine_chunks().sort_by("id")


def _without(edges: Sequence[pa.Table], gone: pa.ChunkedArray) -> pa.Table:
    """Join the ranges' edges, leaving out those of documents that went as exact copies."""
    table = pa.concat_tables([EDGES.empty_table(), *edges])
    touched = pc.or_(
        pc.is_in(table["better"], value_set=gone), pc.is_in(table["worse"], value_set=gone)
    )
    return table.filter(pc.invert(touched))


def _near(edges: pa.Table, documents: pa.Table, minimum_similarity: float) -> pa.Table:
    involved = pa.chunked_array(
        [*edges["better"].chunks, *edges["worse"].chunks], type=pa.binary(16)
    )
    documents = documents.filter(pc.is_in(documents["id"], value_set=involved))
    high, low = halves(documents["id"])
    tokens = documents["tokens"].to_numpy()
    documents = documents.take(np.lexsort((low, high, -tokens)))  # row = rank, best first
    better, worse, bands = _ranked(edges, documents["id"])
    matches, count = _matches_of(documents["sketch"], better, worse)
    verified = estimate(matches, count) >= minimum_similarity
    better, worse = better[verified], worse[verified]
    bands, matches = bands[verified], matches[verified]
    chosen = np.full(len(documents), -1, dtype=np.int64)
    _one_pass(better, worse, matches, chosen)
    goes = np.flatnonzero(chosen >= 0)
    edge = chosen[goes]
    return pa.table(
        [
            documents["id"].take(goes),
            documents["id"].take(better[edge]),
            estimate(matches[edge], count).astype(np.float32),
            bands[edge],
            np.zeros(len(goes), dtype=np.bool_),
        ],
        schema=REMOVED,
    )


def _ranked(edges: pa.Table, ids: pa.ChunkedArray) -> tuple[I64, I64, npt.NDArray[np.int32]]:
    """Return (better, worse, bands) of the distinct edges as ranks, by worse, then better."""
    ranks = []
    for side in ("better", "worse"):
        rank = pc.index_in(edges[side], value_set=ids)
        if rank.null_count:
            raise ValueError(f"{rank.null_count} edges name a document that is not there")
        ranks.append(rank.to_numpy().astype(np.int64))
    better, worse = ranks
    assert (better < worse).all(), "an edge runs from worse to better"
    size = max(len(ids), 1)
    pairs, place = np.unique(worse * size + better, return_inverse=True)
    bands = np.zeros(len(pairs), dtype=np.int32)
    np.add.at(bands, place, edges["bands"].to_numpy())
    worse, better = np.divmod(pairs, size)
    return better, worse, bands


def _matches_of(sketches: pa.ChunkedArray, better: I64, worse: I64) -> tuple[I64, int]:
    """Return the number of equal bytes of the two sketches of each edge, and a sketch's length."""
    rows = matrix(sketches)
    matches = np.zeros(len(better), dtype=np.int64)
    _count_matches(rows, better, worse, matches)
    return matches, rows.shape[1]


@kernel
def _count_matches(sketches: U8, better: I64, worse: I64, matches: I64) -> None:
    for edge in range(len(better)):
        first, second = sketches[better[edge]], sketches[worse[edge]]
        equal = 0
        for index in range(len(first)):
            equal += first[index] == second[index]
        matches[edge] = equal


@kernel
def _one_pass(better: I64, worse: I64, matches: I64, chosen: I64) -> None:
    """Set ``chosen`` (documents,), -1 at first, to the edge by which a document goes.

    The edges are sorted by worse rank, so all edges into ``better`` came before those out of it.
    """
    for edge in range(len(worse)):
        held = chosen[worse[edge]]
        if chosen[better[edge]] < 0 and (held < 0 or matches[edge] > matches[held]):
            chosen[worse[edge]] = edge
