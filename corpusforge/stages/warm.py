"""Compile every kernel of a command once, before workers start and would all compile the same."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

import pyarrow as pa

from corpusforge import copies
from corpusforge.kernels import counts
from corpusforge.schema import RECORD
from corpusforge.spec import CleanSpec, TokenizeSpec
from corpusforge.stages.recipe import transforms
from corpusforge.tokenizer import Tokenizer, count

PAGE = (
    "<html><body><article><p>"
    + "One small page warms every kernel. " * 20
    + "</p></article></body></html>"
)
PATIENCE = 6.0  # seconds before the user is told what takes time


def warm(compile_all: Callable[[], None], *, quiet: bool = False) -> None:
    """Run ``compile_all``; where it takes time, say so once on stderr, and how long it took."""
    start, told = time.monotonic(), threading.Event()

    def tell() -> None:
        if not quiet and not told.is_set():
            told.set()
            print("compiling the kernels; this happens once a machine ...", file=sys.stderr)

    timer = threading.Timer(PATIENCE, tell)
    timer.daemon = True
    timer.start()
    compile_all()
    timer.cancel()
    if told.is_set():
        print(f"compiled the kernels in {time.monotonic() - start:.0f} s", file=sys.stderr)


def clean(spec: CleanSpec) -> None:
    """Run the whole chain of a clean run on one page."""
    row = dict.fromkeys(RECORD.names) | {
        "id": bytes(16),
        "source": "warm",
        "offset": 0,
        "ordinal": 0,
        "html": PAGE,
        "outcome": "kept",
    }
    two = [row, {**row, "id": bytes(15) + b"\1"}]
    batch = transforms(spec)(pa.RecordBatch.from_pylist(two, RECORD))
    copies.removed(pa.table(batch.select(copies.SIGNED.names)), spec.dedup)


def tokens(spec: TokenizeSpec) -> None:
    """Count, train and encode one text."""
    text = pa.array([PAGE])
    table = counts.merge([blob for _, blob in counts.pack(count(text, spec).table, 1)])
    small = spec.model_copy(
        update={"algo": "bpe", "vocab_size": 300, "special_tokens": ["<|endoftext|>"]}
    )
    encode(Tokenizer.train(table, small))


def encode(tokenizer: Tokenizer) -> None:
    """Encode one text."""
    tokenizer.encode_batch(pa.array([PAGE]))
