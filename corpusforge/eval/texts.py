"""Perplexity and bits per byte of texts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from .documents import Document
from .significance import Metric, ratio

AT_ONCE = 64  # documents that the model is given together
LARGEST = 4 << 20  # bytes of text after which it gets no more of them

Record = dict[str, Any]


class Reader(Protocol):
    """A model that gives texts a likelihood."""

    measure: str  # "perplexity", or what it is called where likelihoods are not true ones

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Token ids of each text."""

    def texts(self, ids: Sequence[np.ndarray], stride: int) -> list[tuple[float, int]]:
        """Nats and scored tokens of each text."""


def records(
    model: Reader, documents: Iterable[Document], stride: int, beat: Callable[[int, int], None]
) -> list[Record]:
    """One record a document: its nats, how many tokens these are of, and its bytes."""
    found = list[Record]()
    seen = 0
    for part in _parts(documents):
        plain = iter(model.encode([one.text for one in part if one.ids is None]))
        ids = [next(plain) if one.ids is None else one.ids for one in part]
        for one, (nats, tokens) in zip(part, model.texts(ids, stride), strict=True):
            found.append(
                {
                    "document": one.name,
                    "source": one.source,
                    "language": one.language,
                    "nats": round(nats, 6),
                    "tokens": tokens,
                    "bytes": one.bytes,
                }
            )
        seen += sum(one.bytes for one in part)
        beat(len(found), seen)
    return found


def _parts(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Cut into parts of at most AT_ONCE documents and about LARGEST bytes."""
    documents, held, size = iter(documents), list[Document](), 0
    for one in documents:
        held.append(one)
        size += one.bytes
        if len(held) == AT_ONCE or size >= LARGEST:
            yield held
            held, size = [], 0
    if held:
        yield held


def metrics(found: Sequence[Record], measure: str) -> dict[str, Metric]:
    """Perplexity of a token and bits per byte of text, under the names of ``measure``."""
    nats, tokens, size = (
        np.array([one[name] for one in found], dtype=np.float64)
        for name in ("nats", "tokens", "bytes")
    )
    bits = measure.replace("perplexity", "bits_per_byte")
    return {
        measure: ratio(nats, tokens, _exp),
        bits: ratio(nats / math.log(2), size),
    }


def _exp(value: float) -> float:
    return math.exp(value) if value < 709 else math.inf


def totals(found: Sequence[Record]) -> dict[str, int]:
    """Sums over the documents."""
    return {name: sum(one[name] for one in found) for name in ("tokens", "bytes")}
