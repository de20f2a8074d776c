"""The engines that turn texts into ids: our own kernel, gigatoken, the tokenizers library.

Each is called with a column and the id to put after every row, and returns ids (n,) int32 and
offsets (rows + 1,) int64. All take text that spells a special token as plain text.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import tokenizers

from corpusforge.errors import ExtraMissing, SpecError
from corpusforge.kernels import encode
from corpusforge.kernels.pretokens import CODES, utf8
from corpusforge.tokenizer_json import Own

Engine = Callable[[pa.Array, int | None], tuple[np.ndarray, np.ndarray]]


def normalized(text: pa.Array, form: str | None) -> pa.Array:
    """Normalize rows as the library does (Arrow's own NFC decomposes, in 25.0)."""
    if form is None:
        return text
    change = getattr(tokenizers.normalizers, form)().normalize_str
    return pa.array([row and change(row) for row in text.to_pylist()], text.type)


class OwnEngine:
    """The own kernel, with a cache for each thread that calls it at a time."""

    def __init__(self, own: Own) -> None:
        self._own = own
        self._caches: list[encode.Cache] = []

    def __call__(self, text: pa.Array, end: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Encode rows."""
        cache = self._caches.pop() if self._caches else encode.new_cache()
        data, bounds = utf8(normalized(text, self._own.form))
        found = encode.encode(data, bounds, CODES[self._own.split], self._own.tables, cache, end)
        self._caches.append(cache)
        return found


class LibraryEngine:
    """Hugging Face's tokenizers, the reference."""

    def __init__(self, library: tokenizers.Tokenizer) -> None:
        self._library = library

    def __call__(self, text: pa.Array, end: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Encode rows."""
        rows = self._library.encode_batch_fast(
            text.fill_null("").to_pylist(), add_special_tokens=False
        )
        tail = [] if end is None else [end]
        parts = [np.array([*row.ids, *tail], dtype=np.int32) for row in rows]
        offsets = np.zeros(len(parts) + 1, dtype=np.int64)
        np.cumsum([len(part) for part in parts], out=offsets[1:])
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32), offsets


class GigatokenEngine:
    """The package gigatoken (extra ``fast``), which knows some tokenizers only."""

    def __init__(self, document: bytes) -> None:
        try:
            import gigatoken
        except ModuleNotFoundError:
            raise ExtraMissing("gigatoken", "fast") from None
        plain: dict[str, Any] = {**json.loads(document), "added_tokens": []}
        try:
            self._encoder = gigatoken.Tokenizer.from_json(json.dumps(plain).encode())
        except BaseException as error:  # it panics on what it does not know
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise SpecError(
                f"gigatoken does not serve this tokenizer: {error}", remedy="set engine=own"
            ) from None

    def __call__(self, text: pa.Array, end: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Encode rows."""
        if not len(text):
            return np.zeros(0, dtype=np.int32), np.zeros(1, dtype=np.int64)
        rows = self._encoder.encode_batch(text.fill_null("").to_pylist(), parallel=False)
        lists = pa.concat_arrays(
            [chunk.cast(pa.large_list(pa.uint32())) for chunk in _arrow_chunks(rows)]
        )
        offsets = lists.offsets.to_numpy().astype(np.int64)
        ids = lists.values.to_numpy()[offsets[0] : offsets[-1]].astype(np.int32)
        offsets -= offsets[0]
        if end is not None:
            ids = np.insert(ids, offsets[1:], end)
            offsets += np.arange(len(offsets))
        return ids, offsets


def _arrow_chunks(rows: Any) -> list[pa.Array]:
    import awkward

    found = awkward.to_arrow(rows, extensionarray=False)
    return found.chunks if isinstance(found, pa.ChunkedArray) else [found]
