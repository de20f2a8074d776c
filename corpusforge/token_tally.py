"""What encoding adds up: bytes, words and tokens by language, and texts that are not given back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.kernels.pretokens import utf8
from corpusforge.kernels.spelling import words_of
from corpusforge.tokenizer import Tokenizer

NAMES = ("documents", "bytes", "words", "tokens")
EMPTY: dict[str, Any] = {"languages": {}, "round_trip": {"documents": 0, "unequal": 0, "first": []}}
_FIRST = 5  # ids of documents that are named


def tally(batch: pa.RecordBatch, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the sums of a batch with ``id``, ``language``, ``text`` and ``ids``.

    By language ("" where there is none) the numbers of NAMES; of ``round_trip`` the documents that
    were decoded again, those whose text was another, and the first of these. A word is what stands
    between white space.
    """
    text = pc.fill_null(batch.column("text"), "")
    ids = batch.column("ids")
    words = words_of(*utf8(text))
    sizes = pc.binary_length(text).to_numpy(zero_copy_only=False).astype(np.int64)
    lengths = np.diff(ids.offsets.to_numpy())
    encoded = batch.column("language").cast(pa.string()).fill_null("").dictionary_encode()
    which = encoded.indices.to_numpy(zero_copy_only=False)
    languages = {}
    for code, name in enumerate(encoded.dictionary.to_pylist()):
        mine = which == code
        amounts = (mine.sum(), sizes[mine].sum(), words[mine].sum(), lengths[mine].sum())
        languages[name] = [int(amount) for amount in amounts]
    same = tokenizer.round_trips(text, ids)
    lost = [] if same is None else np.flatnonzero(~same).tolist()
    first = [batch.column("id")[row].as_py().hex() for row in lost[:_FIRST]]
    read = 0 if same is None else batch.num_rows
    return {
        "languages": languages,
        "round_trip": {"documents": read, "unequal": len(lost), "first": first},
    }


def total(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Sum what ``tally`` gave, languages in order of their names."""
    languages: dict[str, list[int]] = {}
    for part in parts:
        for name, amounts in part["languages"].items():
            before = languages.get(name, [0] * len(NAMES))
            languages[name] = [a + b for a, b in zip(before, amounts, strict=True)]
    trips = [part["round_trip"] for part in parts]
    return {
        "languages": {name: languages[name] for name in sorted(languages)},
        "round_trip": {
            "documents": sum(trip["documents"] for trip in trips),
            "unequal": sum(trip["unequal"] for trip in trips),
            "first": [id_ for trip in trips for id_ in trip["first"]][:_FIRST],
        },
    }
