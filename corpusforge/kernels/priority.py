"""The total order in which deduplication prefers documents: (rank, tie, number), smaller is better.

``rank`` packs, from the top: a tier (8 bits: corpora that came before, then protected sources, then
the rest), the quality score (24 bits, more is better), the number of tokens (32 bits, more is
better). ``tie`` is a hash of what the record says of itself, not of where it lies, so the same
records choose the same survivors in every input format. ``number`` counts the documents in the
order (source, offset, ordinal) and decides between records that are equal in all of it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from corpusforge.kernels.minhash import I64, U64

PROTECTED, ORDINARY = 0xFE, 0xFF  # tiers; those of earlier corpora lie below
MOST_CORPORA = PROTECTED // 2
_TIER, _QUALITY = np.uint64(56), np.uint64(32)
_BELOW = np.uint64((1 << 56) - 1)


def ranks(
    protected: npt.NDArray[np.bool_], quality: npt.NDArray[np.float64] | None, tokens: I64
) -> U64:
    """Return the rank (n,) of documents.

    Of ``quality`` the 24 leading bits of its float32 count (differences of 1 in 30,000 and more);
    NaN is the lowest. Of ``tokens`` at most 2^32 - 1 count.
    """
    score = np.zeros(len(tokens), np.uint64)
    if quality is not None:
        bits = (quality.astype(np.float32) + np.float32(0)).view(np.uint32)  # -0 is 0
        # The order of floats as that of integers: negative ones turned round, below the others.
        ordered = np.where(bits >> np.uint32(31), ~bits, bits | np.uint32(1 << 31))
        score = np.where(np.isnan(quality), 0, ordered >> np.uint32(8)).astype(np.uint64)
    length = np.clip(tokens, 0, (1 << 32) - 1).astype(np.uint64)
    tier = np.where(protected, PROTECTED, ORDINARY).astype(np.uint64)
    worse_score = np.uint64((1 << 24) - 1) - score
    worse_length = np.uint64((1 << 32) - 1) - length
    return np.asarray((tier << _TIER) | (worse_score << _QUALITY) | worse_length)


def of_corpus(rank: U64, place: int) -> U64:
    """Return the ranks of documents of an earlier corpus: the ``place``-th, before all new ones.

    Raises ValueError from MOST_CORPORA on.
    """
    if place >= MOST_CORPORA:
        raise ValueError(f"at most {MOST_CORPORA} corpora")
    ordinary = (rank >> _TIER) == np.uint64(ORDINARY)
    tier = (np.uint64(2 * place) + ordinary.astype(np.uint64)) << _TIER
    return np.asarray(tier | (rank & _BELOW))


def ties(names: pa.Array, urls: pa.Array, texts: pa.Array) -> U64:
    """Return xxh3-64 (n,) of a record's own id, URL and text, each after its length; null is ''."""
    found = np.empty(len(texts), np.uint64)
    columns = (names.to_pylist(), urls.to_pylist(), texts.cast(pa.large_binary()))
    for row, (name, url, text) in enumerate(zip(*columns, strict=True)):
        head = f"{len(name or '')} {len(url or '')} {name or ''}{url or ''}"
        digest = xxhash.xxh3_64(head.encode())
        if text.is_valid:
            digest.update(text.as_buffer())
        found[row] = digest.intdigest()
    return found
