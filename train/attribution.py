"""Losses by document, source and language: sums over the targets of each piece of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from corpusforge.loader import Batch, TokenLoader

from . import metrics
from .losses import IGNORE


@dataclass(frozen=True)
class Pieces:
    """Pieces of documents with what a model lost on them; all arrays [n]."""

    document: np.ndarray  # int64, number as `Tokens` counts
    nats: np.ndarray  # float64, summed over the piece's targets
    targets: np.ndarray  # int64
    text_bytes: np.ndarray  # float64, bytes of text that the targets stand for

    @classmethod
    def of(
        cls, loader: TokenLoader, batch: Batch, arrays: Mapping[str, np.ndarray], nll: np.ndarray
    ) -> Pieces:
        """Sum ``nll`` float32 [B, T], one a target, over the pieces of a batch of ``loader``.

        ``arrays`` are what the objective prepared: ``targets`` and ``segments`` [B, T].
        """
        first, document, size = loader.read(batch)
        used = arrays["targets"] != IGNORE
        piece = (first[:, None] + arrays["segments"])[used]
        count = len(document)
        return cls(
            document,
            np.bincount(piece, nll[used].astype(np.float64), count),
            np.bincount(piece, minlength=count),
            size,
        )

    @classmethod
    def joined(cls, parts: Iterable[Pieces]) -> Pieces:
        """All pieces of several batches."""
        parts = list(parts)
        names = ("document", "nats", "targets", "text_bytes")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def losses(self, loader: TokenLoader, by: str) -> dict[str, float]:
        """Nats a target of each source or language (``by``) that has targets here."""
        sums = self._sums(loader, by)
        return {name: nats / targets for name, (nats, targets, _) in sums.items()}

    def figures(self, loader: TokenLoader, by: str, whole: bool) -> dict[str, dict[str, float]]:
        """Perplexity of each source or language, its targets, and where these are the ``whole``
        text bits per byte.
        """
        return {
            name: {
                "perplexity": metrics.perplexity(nats, int(targets)),
                **({"bits_per_byte": metrics.bits_per_byte(nats, size)} if whole else {}),
                "targets": int(targets),
            }
            for name, (nats, targets, size) in self._sums(loader, by).items()
        }

    def _sums(self, loader: TokenLoader, by: str) -> dict[str, tuple[float, float, float]]:
        codes, names = loader.tokens.codes(by, self.document)
        values = (self.nats, self.targets, self.text_bytes)
        sums = [np.bincount(codes, value, len(names)).tolist() for value in values]
        rows = zip(names, *sums, strict=True)
        return {name or "unknown": (n, t, b) for name, n, t, b in rows if t}

    def worst(self, loader: TokenLoader, count: int) -> list[dict[str, Any]]:
        """The documents with the highest loss a target: {id, source, source_id, url, loss, ...}."""
        numbers, where = np.unique(self.document, return_inverse=True)
        nats = np.bincount(where, self.nats, len(numbers))
        targets = np.bincount(where, self.targets, len(numbers))
        loss = nats / np.maximum(targets, 1)
        order = np.argsort(-loss, kind="stable")[:count]
        rows = loader.tokens.documents(numbers[order])
        rows = rows.append_column("loss", pa.array(loss[order]))
        rows = rows.append_column("targets", pa.array(targets[order].astype(np.int64)))
        return [{**row, "id": row["id"].hex()} for row in rows.to_pylist()]
