"""Sign: the columns of SIGNATURE for rows with text, null elsewhere."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import xxhash

from corpusforge import schema
from corpusforge.kernels import minhash
from corpusforge.transform import chain
from corpusforge.transforms.sign import Sign

TEXTS = [
    "one two three four five six",
    None,
    "dropped text here",
    "",
    "!?",
    "日本語のテキスト",
    "One  two",
]
OUTCOMES = ["kept", "kept", "dropped", "kept", "kept", "kept", "kept"]


def batch(texts: list[str | None] = TEXTS, outcomes: list[str] = OUTCOMES) -> pa.RecordBatch:
    """Rows as a chain hands them to Sign."""
    ids = pa.array([bytes([row]) * 16 for row in range(len(texts))], pa.binary(16))
    columns = {"id": ids, "outcome": outcomes, "text": pa.array(texts, pa.string())}
    columns |= {"source": [f"web/{row % 2}.jsonl" for row in range(len(texts))]}
    columns |= {name: pa.nulls(len(texts), pa.string()) for name in ("source_id", "url")}
    return pa.record_batch(columns)


def test_columns() -> None:
    """The columns have SIGNATURE's types and are null for rows without text."""
    found = schema.check(chain(Sign())(batch()), schema.SIGNATURE)
    assert found.column("dedup_tokens").to_pylist() == [6, None, 3, 0, 0, 8, 2]
    expected = [None if text is None else xxhash.xxh3_128_digest(text.encode()) for text in TEXTS]
    assert found.column("exact").to_pylist() == expected
    for name, size in (("sketch", 128), ("bands", 128)):
        sizes = [value and len(value) for value in found.column(name).to_pylist()]
        assert sizes == [size, None, size, None, None, size, size]


def test_values_are_the_kernels() -> None:
    """Sketch and band keys are those of the kernel, the keys little-endian."""
    found = Sign(bands=4, rows=3, ngram=2, seed=9)(batch())
    signatures = minhash.sign(pa.array([TEXTS[0]]), *minhash.permutations(12, 9), 2)
    assert found.column("sketch")[0].as_py() == minhash.sketch(signatures.minima).tobytes()
    keys = np.frombuffer(found.column("bands")[0].as_py(), dtype="<u8")
    assert keys.tolist() == minhash.band_keys(signatures.minima, 4, 3)[0].tolist()


def test_exact_modes() -> None:
    """Mode tokens sees through case and spacing, with no key where no token is; none has none."""
    pair = batch(["One  two", "one two.", "!"], ["kept"] * 3)
    first, second, third = Sign(exact="tokens")(pair).column("exact").to_pylist()
    assert first == second and first is not None and third is None
    assert Sign(exact="none")(pair).column("exact").null_count == 3


@pytest.mark.parametrize("cut", range(len(TEXTS) + 1))
def test_a_concatenation_is_signed_as_its_parts(cut: int) -> None:
    """f(concat) = concat(f), and the input is untouched."""
    whole, sign = batch(), Sign(bands=2, rows=2)
    before = whole.to_pydict()
    parts = pa.Table.from_batches([sign(whole.slice(0, cut)), sign(whole.slice(cut))])
    assert parts.combine_chunks().equals(pa.Table.from_batches([sign(whole)]).combine_chunks())
    assert whole.to_pydict() == before


def test_protected_sources_and_scores_come_first() -> None:
    """A label, a folder or a file is protected; then the score, then the length decides."""
    texts = batch(["a b c", "a b", "a b c d", "a"], ["kept"] * 4)
    scored = texts.append_column("score", pa.array([0.1, 0.2, None, 0.2]))

    def order(**settings: object) -> list[int]:
        ranks = Sign(**settings)(scored).column("dedup_rank").to_numpy()
        return np.argsort(ranks, kind="stable").tolist()

    assert order() == [2, 0, 1, 3]
    assert order(quality="score") == [1, 3, 0, 2]
    assert order(protect=("web/1.jsonl",)) == [1, 3, 2, 0]
    assert order(protect=("web/",)) == order(protect=("web",)) == order(protect=("we",)) == order()
