"""Byte pair encoding and WordPiece learnt from counts of distinct words.

Vocabulary and merges equal those of Hugging Face's trainers on the text that was counted; where
those number tokens at random (WordPiece), ours are numbered by code point.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from corpusforge.kernels.merges import merge_words
from corpusforge.kernels.pretokens import utf8


class Learnt(NamedTuple):
    """Tokens by id, and merges by rank."""

    tokens: list[str]
    merges: list[tuple[str, str]]


def byte_characters() -> list[str]:
    """The printable character that stands for each byte in a vocabulary (as GPT-2's)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]


def byte_pieces() -> list[str]:
    """The 256 tokens that stand for single bytes where the alphabet is characters."""
    return [f"<0x{byte:02X}>" for byte in range(256)]


def train_bpe(
    words: pa.Array | pa.ChunkedArray,
    counts: np.ndarray,
    vocab_size: int,
    min_frequency: int,
    special_tokens: Sequence[str],
    max_length: int = 0,
) -> Learnt:
    """Learn a byte-level BPE of ``vocab_size`` tokens, special tokens included.

    A token has at most ``max_length`` bytes (0: any), as with ``max_token_length`` of one more at
    Hugging Face.

    ``words`` (distinct,) binary or string, ``counts`` (distinct,) int64, each at least 1. The order
    of the words does not matter.
    """
    data, offsets = _flat(words)
    characters = byte_characters()
    tokens = list(dict.fromkeys([*special_tokens, *sorted(characters)]))
    ids = {token: number for number, token in enumerate(tokens)}
    symbol_of = np.array([ids[character] for character in characters], dtype=np.int32)
    symbols = symbol_of[data[: offsets[-1]]]
    return learn(symbols, offsets, counts, tokens, vocab_size, min_frequency, "", max_length)


def train_characters(
    words: pa.Array | pa.ChunkedArray,
    counts: np.ndarray,
    vocab_size: int,
    min_frequency: int,
    special_tokens: Sequence[str],
    max_length: int = 0,
    max_alphabet: int = 0,
) -> Learnt:
    """Learn a BPE of characters, with 256 tokens for the bytes of what is not in its alphabet.

    Ids: special tokens, bytes, characters by code point, merges. The alphabet is the
    ``max_alphabet`` (0: all, but for those that the vocabulary has no room for) most frequent
    characters, the lower code point first. Others are skipped in words, as Hugging Face's
    ``BpeTrainer`` does under ``limit_alphabet``. ``max_length`` is of characters.
    """
    points, starts = code_points(words)
    counts = np.asarray(counts, dtype=np.int64)
    found, which = np.unique(points, return_inverse=True)
    totals = np.zeros(len(found), dtype=np.int64)
    np.add.at(totals, which, np.repeat(counts, np.diff(starts)))
    fixed = list(dict.fromkeys([*special_tokens, *byte_pieces()]))
    room = max(0, vocab_size - len(fixed))
    kept = np.argsort(-totals, kind="stable")[: min(max_alphabet or room, room)]
    tokens = list(dict.fromkeys([*fixed, *(chr(point) for point in sorted(found[kept].tolist()))]))
    ids = {token: number for number, token in enumerate(tokens)}
    symbol_of = np.array([ids.get(chr(point), -1) for point in found.tolist()], dtype=np.int32)
    symbols = symbol_of[which] if len(found) else np.zeros(0, dtype=np.int32)
    known = symbols >= 0
    ends = np.concatenate((np.zeros(1, np.int64), np.cumsum(known, dtype=np.int64)))
    return learn(
        symbols[known], ends[starts], counts, tokens, vocab_size, min_frequency, "", max_length
    )


def train_wordpiece(
    words: pa.Array | pa.ChunkedArray,
    counts: np.ndarray,
    vocab_size: int,
    min_frequency: int,
    special_tokens: Sequence[str],
    max_length: int = 0,
    prefix: str = "##",
) -> Learnt:
    """Learn a WordPiece vocabulary as Hugging Face's ``WordPieceTrainer``, by the same merges.

    ``words`` (distinct,) string. The alphabet is every character seen, then every one seen inside a
    word with ``prefix``, both by code point. (Hugging Face numbers the latter at random.)
    """
    points, starts = code_points(words)
    inside = np.ones(len(points), dtype=bool)
    inside[starts[:-1][np.diff(starts) > 0]] = False
    keys, which = np.unique(points + 0x110000 * inside, return_inverse=True)
    plain = sorted(set(np.unique(points).tolist()))
    names = [prefix * (key >= 0x110000) + chr(key % 0x110000) for key in keys.tolist()]
    alphabet = [*map(chr, plain), *(name for name in names if len(name) > 1)]
    tokens = list(dict.fromkeys([*special_tokens, *alphabet]))
    ids = {token: number for number, token in enumerate(tokens)}
    symbols = np.array([ids[name] for name in names], dtype=np.int32)[which]
    return learn(symbols, starts, counts, tokens, vocab_size, min_frequency, prefix, max_length)


def learn(
    symbols: np.ndarray,
    offsets: np.ndarray,
    counts: np.ndarray,
    tokens: Sequence[str],
    vocab_size: int,
    min_frequency: int,
    prefix: str,
    max_length: int = 0,
) -> Learnt:
    """Learn merges over words of ``symbols``, int32 ids of ``tokens``, cut by ``offsets``.

    ``offsets`` is (words + 1,). ``symbols`` are changed. ``prefix`` is taken off the right half
    when two tokens become one.
    """
    points = np.frombuffer("".join(tokens).encode("utf-32-le"), dtype="<u4").astype(np.int32)
    bounds = np.zeros(len(tokens) + 1, dtype=np.int64)
    np.cumsum([len(token) for token in tokens], out=bounds[1:])
    counts = np.array(counts, dtype=np.int64)
    assert len(counts) == len(offsets) - 1 and (not len(counts) or counts.min() > 0)
    pairs, points, bounds = merge_words(
        symbols,
        offsets,
        counts,
        points,
        bounds,
        np.array([ord(character) for character in prefix], dtype=np.int32),
        vocab_size,
        max(min_frequency, 1),
        max_length or 1 << 62,
    )
    text = points.astype("<u4").tobytes().decode("utf-32-le")
    cuts = bounds.tolist()
    learnt = [text[low:high] for low, high in pairwise(cuts)]
    return Learnt(learnt, [(learnt[left], learnt[right]) for left, right in pairs.tolist()])


def _flat(words: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(words, pa.ChunkedArray):
        words = words.cast(pa.large_binary()).combine_chunks()
    return utf8(words)


def code_points(words: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Code points (n,) int64 of all words, and where each begins, (words + 1,) int64."""
    data, offsets = _flat(words)
    leads = data[: offsets[-1]] & 0xC0 != 0x80
    starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(leads, dtype=np.int64)))[offsets]
    text = data[: offsets[-1]].tobytes().decode("utf-8")
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4").astype(np.int64), starts
