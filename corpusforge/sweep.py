"""Vocabulary sweep: one training of the largest size, smaller ones cut from it, the cost of each.

The merges of a small vocabulary begin those of a large one (tests/kernels/test_bpe.py), so to cut
is to train.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.errors import SpecError
from corpusforge.spec import TokenizeSpec
from corpusforge.tokenizer import Tokenizer


def cut(made: Tokenizer, size: int) -> Tokenizer:
    """Return the tokenizer that training with ``vocab_size = size`` gives; ``made`` is larger."""
    document = json.loads(made.document)
    model = document["model"]
    vocab = {token: number for token, number in model["vocab"].items() if number < size}
    model["vocab"] = vocab
    model["merges"] = [merge for merge in model["merges"] if "".join(merge) in vocab]
    return Tokenizer(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())


def measure(made: Tokenizer, counts: pa.Table) -> dict[str, Any]:
    """Return vocab_size, bytes, tokens and bytes_per_token over the counted pre-tokens."""
    document = json.loads(made.document)
    steps = (document["pre_tokenizer"] or {"pretokenizers": []})["pretokenizers"]
    document["pre_tokenizer"] = steps[-1] if steps and steps[-1]["type"] == "ByteLevel" else None
    document["normalizer"] = None  # they are normalized and cut
    whole = Tokenizer(json.dumps(document).encode())
    words, numbers = counts["word"].cast(pa.large_string()), counts["count"].to_numpy()
    tokens = size = start = 0
    for chunk in words.chunks:
        times = numbers[start : start + len(chunk)]
        start += len(chunk)
        tokens += int(np.diff(whole.encode_batch(chunk).offsets.to_numpy()) @ times)
        size += int(pc.binary_length(chunk).to_numpy(zero_copy_only=False).astype(np.int64) @ times)
    return {
        "vocab_size": made.vocab_size,
        "bytes": size,
        "tokens": tokens,
        "bytes_per_token": size / tokens if tokens else None,
    }


def check(spec: TokenizeSpec) -> None:
    """Raise SpecError for a size that cannot be cut."""
    fixed = 256 + len(spec.specials)
    for size in spec.sweep:
        if not fixed <= size <= spec.vocab_size:
            raise SpecError(
                f"'sweep' has {size}",
                expected=f"sizes from {fixed} to vocab_size = {spec.vocab_size}",
            )
