"""Signatures against datasketch, Python's Unicode tables, published curves, golden values."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from pathlib import Path

import numba
import numpy as np
import pyarrow as pa
import pytest
import xxhash
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.kernels import minhash
from corpusforge.kernels.shingles import shingle_sets

GOLDEN = Path(__file__).parents[1] / "golden" / "minhash.json"
P, M, MASK = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93, (1 << 64) - 1
ALONE = ((0xE00, 0xEFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x4DBF))
ALONE += ((0x4E00, 0x9FFF), (0xF900, 0xFAFF))

compiled = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT), reason="10^8 operations are for compiled code"
)


def mix(value: int) -> int:
    """The definition's mix of 64 bits."""
    for _ in range(2):
        value = (value ^ value >> 32) * M & MASK
    return value ^ value >> 32


def polynomial(values: list[int]) -> int:
    """The mixed polynomial in P."""
    total = 0
    for value in values:
        total = (total * P + value) & MASK
    return mix(total)


def fold(character: str) -> int:
    """Lower case of one character."""
    lower = character.lower()
    return ord("i") if character == "İ" else ord(lower)  # the simple mapping, U+0130 to U+0069


def reference_tokens(text: str) -> list[int]:
    """Token hashes by the definition, with Python's integers and Unicode tables."""
    tokens: list[int] = []
    word: list[int] = []
    for character in [*text, " "]:
        code = ord(character)
        alone = any(first <= code <= last for first, last in ALONE)
        if code < 0x10000 and not alone and (character.isalnum() or character == "_"):
            word.append(fold(character))
            continue
        if word:
            tokens.append(polynomial(word))
            word = []
        if alone:
            tokens.append(polynomial([fold(character)]))
    return tokens


def reference(text: str, count: int, seed: int, ngram: int) -> tuple[int, np.ndarray]:
    """Number of tokens and minima (count,), the minima by datasketch."""
    tokens = reference_tokens(text)
    sketch = MinHash(num_perm=count, seed=seed, scheme="affine32", hashfunc=lambda value: value)
    if tokens:
        width = min(ngram, len(tokens))
        shingles = [tokens[start : start + width] for start in range(len(tokens) - width + 1)]
        sketch.update_batch([polynomial(shingle) >> 32 for shingle in shingles])
    return len(tokens), sketch.hashvalues


assigned = st.characters(exclude_categories=["Cn", "Cs"])
awkward = st.sampled_from("aZ9_ .,\n\0éİßΣαк中文かナไทยမြန်မာខ្មែរहिंदी́😀𠀀\ufffd")
texts = st.one_of(
    st.text(awkward, max_size=60), st.text(assigned, max_size=40), st.text(max_size=0), st.none()
)


@settings(max_examples=150, deadline=None)
@given(st.lists(texts, max_size=6), st.sampled_from([1, 3, 8]), st.integers(1, 7), st.booleans())
def test_minima_are_datasketchs(
    batch: list[str | None], count: int, ngram: int, large: bool
) -> None:
    """Every minimum and token count equals the definition run through datasketch."""
    seed = ngram
    a, b = minhash.permutations(count, seed)
    array = pa.array(batch, pa.large_string() if large else pa.string())
    found = minhash.sign(array, a, b, ngram)
    for row, text in enumerate(batch):
        tokens, minima = reference(text or "", count, seed, ngram)
        assert found.tokens[row] == tokens
        np.testing.assert_array_equal(found.minima[row], minima)
    np.testing.assert_array_equal(found.has, found.tokens > 0)


@pytest.mark.parametrize("shift", range(6))
def test_segments_leave_no_seam(shift: int) -> None:
    """A text longer than a segment equals the reference wherever the cut falls in a character."""
    a, b = minhash.permutations(16, 1)
    text = "x" * shift + "déjà vu 中文か a_b Ω😀 " * 900 + "z" * 9000 + " a b" * 2200
    found = minhash.sign(pa.array([text]), a, b, 5)
    tokens, minima = reference(text, 16, 1, 5)
    assert found.tokens[0] == tokens
    np.testing.assert_array_equal(found.minima[0], minima)


@settings(max_examples=60, deadline=None)
@given(st.lists(texts, min_size=1, max_size=8), st.data())
def test_a_slice_signs_as_its_rows(batch: list[str | None], data: st.DataObject) -> None:
    """Offsets, nulls and neighbours change nothing."""
    start = data.draw(st.integers(0, len(batch)))
    stop = data.draw(st.integers(start, len(batch)))
    a, b = minhash.permutations(8, 1)
    sliced, alone = pa.array(batch)[start:stop], pa.array(batch[start:stop], pa.string())
    sliced = sliced.cast(pa.string())
    found, expected = minhash.sign(sliced, a, b, 2), minhash.sign(alone, a, b, 2)
    np.testing.assert_array_equal(found.minima, expected.minima)
    np.testing.assert_array_equal(found.tokens, expected.tokens)
    for mode in ("bytes", "tokens"):
        assert minhash.exact_keys(sliced, mode).equals(minhash.exact_keys(alone, mode))


def test_cut_utf8_is_never_read_past_its_end() -> None:
    """A character cut by the end of its text separates; the next text's bytes stay unread."""
    a, b = minhash.permutations(8, 1)
    for tail in (b"\xe4", b"\xe4\xb8", b"\xc3", b"\xf0\x9f", b"\x80", b"\xff"):
        data = b"one two" + tail + b"\xad\xad\xad"
        offsets = pa.py_buffer(np.array([0, 7 + len(tail), len(data)], dtype=np.int32))
        broken = pa.StringArray.from_buffers(2, offsets, pa.py_buffer(data))
        found, clean = minhash.sign(broken, a, b, 5), minhash.sign(pa.array(["one two"]), a, b, 5)
        assert found.tokens[0] == 2
        np.testing.assert_array_equal(found.minima[0], clean.minima[0])
    stray = pa.StringArray.from_buffers(
        1, pa.py_buffer(np.array([0, 7], dtype=np.int32)), pa.py_buffer(b"one\xbftwo")
    )
    np.testing.assert_array_equal(minhash.sign(stray, a, b, 5).minima, clean.minima[:1])


def test_every_assigned_character() -> None:
    """The frozen tables agree with Python's on each character that Python knows."""
    known = [c for c in map(chr, range(1 << 16)) if unicodedata.category(c) not in ("Cn", "Cs")]
    a, b = minhash.permutations(1, 1)
    found = minhash.sign(pa.array(known), a, b, 1)
    tokens = [reference_tokens(character) for character in known]
    assert found.tokens.tolist() == [len(one) for one in tokens]
    for row in np.flatnonzero(found.has)[::37].tolist():
        sketch = MinHash(num_perm=1, seed=1, scheme="affine32", hashfunc=int)
        sketch.update(polynomial(tokens[row]) >> 32)
        assert found.minima[row, 0] == sketch.hashvalues[0], known[row]


def test_exact_keys() -> None:
    """xxh3-128 of the bytes, or of the token hashes, which see through case and punctuation."""
    texts = pa.array(["Hello,  World", "hello world!", "", "...", None, "日本 go"])
    as_bytes = minhash.exact_keys(texts, "bytes").to_pylist()
    expected = [
        None if t is None else xxhash.xxh3_128_digest(t.encode()) for t in texts.to_pylist()
    ]
    assert as_bytes == expected
    as_tokens = minhash.exact_keys(texts, "tokens").to_pylist()
    assert as_tokens[0] == as_tokens[1] and as_tokens[2:5] == [None] * 3
    hashes = np.array(reference_tokens("日本 go"), dtype="<u8")
    assert as_tokens[5] == xxhash.xxh3_128_digest(hashes.tobytes())


def test_exact_token_keys_over_segments() -> None:
    """A long text's key is that of all its token hashes."""
    text = "déjà vu 中文 " * 3000
    hashes = np.array(reference_tokens(text), dtype="<u8")
    assert minhash.exact_keys(pa.array([text]), "tokens")[0].as_py() == xxhash.xxh3_128_digest(
        hashes.tobytes()
    )


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_band_keys(bands: int, rows: int, seed: int) -> None:
    """A key is the mixed polynomial of the band's number and minima."""
    rng = np.random.default_rng(seed)
    minima = rng.integers(0, 1 << 32, (3, bands * rows), dtype=np.uint32)
    keys = minhash.band_keys(minima, bands, rows)
    for row in range(3):
        cut = minima[row].reshape(bands, rows).tolist()
        assert keys[row].tolist() == [polynomial([i + 1, *band]) for i, band in enumerate(cut)]
    with pytest.raises(ValueError, match="minima are not"):
        minhash.band_keys(minima, bands + 1, rows)


def test_equal_minima_in_different_bands_do_not_meet() -> None:
    """The band's number is part of its key."""
    keys = minhash.band_keys(np.zeros((1, 128), dtype=np.uint32), 16, 8)
    assert len(set(keys[0].tolist())) == 16


def test_sketch_and_similarity() -> None:
    """90 of 128 equal low bytes are the fewest that reach 0.70; equal sketches are 1."""
    minima = np.arange(256, 256 + 128, dtype=np.uint32)[None]
    first = minhash.sketch(minima)
    assert first.tolist() == [(minima[0] % 256).tolist()]
    second = np.repeat(first, 4, axis=0)
    second[1, :38] += 1
    second[2, :39] += 1
    second[3] += 1
    found = minhash.similarity(np.repeat(first, 4, axis=0), second)
    assert found[0] == 1 and found[1] >= 0.70 > found[2] and found[3] == 0


def test_detection_curve() -> None:
    """The table of Mining of Massive Datasets, figure 3.8 (20 bands of 5 rows)."""
    found = minhash.detection_curve(20, 5, [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    np.testing.assert_allclose(found, [0.006, 0.047, 0.186, 0.470, 0.802, 0.975, 0.9996], atol=5e-4)


def test_to_datasketch() -> None:
    """A row becomes a MinHash that compares and goes on with updates as one of its own."""
    a, b = minhash.permutations(128, 1)
    text = pa.array(["one two three four five six seven", "one two three four five six eight"])
    minima = minhash.sign(text, a, b, 2).minima
    first, second = (minhash.to_datasketch(row, a, b) for row in minima)
    assert first.jaccard(second) == np.mean(minima[0] == minima[1])
    own = MinHash(num_perm=128, seed=1, scheme="affine32", hashfunc=int)
    tokens = reference_tokens(text[0].as_py())
    own.update_batch([polynomial(tokens[i : i + 2]) >> 32 for i in range(len(tokens) - 1)])
    assert own.jaccard(first) == 1
    first.merge(second)
    np.testing.assert_array_equal(first.hashvalues, minima.min(axis=0))


def planted(similarity: float, pairs: int, seed: int) -> np.ndarray:
    """Minima (2, pairs, 128) of word sets of exactly this Jaccard similarity, 300 words a union."""
    rng = np.random.default_rng(seed)
    union, common = 300, round(300 * similarity)
    texts: tuple[list[str], list[str]] = ([], [])
    for _ in range(pairs):
        words = [f"{word:x}" for word in rng.integers(0, 1 << 62, union)]
        shared, left = words[:common], (union - common) // 2
        texts[0].append(" ".join(shared + words[common : common + left]))
        texts[1].append(" ".join(shared + words[common + left :]))
    a, b = minhash.permutations(128, 1)
    return np.stack([minhash.sign(pa.array(side), a, b, 1).minima for side in texts])


@compiled
@pytest.mark.parametrize("similarity", [0.7, 0.8, 0.9])
def test_estimates_have_the_sd_and_recall_of_theory(similarity: float) -> None:
    """Bias, sd within 5 % of sqrt(J(1-J)/128), and candidates within 3 points of the curve."""
    first, second = planted(similarity, 1500, seed=7)
    found = minhash.similarity(minhash.sketch(first), minhash.sketch(second))
    theory = np.sqrt(similarity * (1 - similarity) / 128)
    assert abs(found.mean() - similarity) < 4 * theory / np.sqrt(len(found))
    assert found.std() == pytest.approx(theory, rel=0.05)
    keys = [minhash.band_keys(side, 16, 8) for side in (first, second)]
    recall = (keys[0] == keys[1]).any(axis=1).mean()
    assert recall == pytest.approx(minhash.detection_curve(16, 8, similarity), abs=0.03)


def test_golden_signatures() -> None:
    """The signatures of forge-minhash-1 never change."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert golden["version"] == minhash.VERSION
    texts = [case["text"] * case.get("times", 1) for case in golden["cases"]]
    a, b = minhash.permutations(128, 1)
    found = minhash.sign(pa.array(texts), a, b, 5)
    keys = minhash.band_keys(found.minima, 16, 8)
    exact = minhash.exact_keys(pa.array(texts), "tokens")
    for row, case in enumerate(golden["cases"]):
        minima = hashlib.sha256(found.minima[row].astype("<u4").tobytes()).hexdigest()
        first, key = f"{keys[row, 0]:016x}", exact[row].as_py()
        assert case["tokens"] == found.tokens[row], case["name"]
        assert case["minima"] == minima, case["name"]
        assert case["band"] == first, case["name"]
        assert case["key"] == (key and key.hex()), case["name"]


@pytest.mark.parametrize(("count", "seed"), [(1, 0), (128, 1), (256, 7), (260, 4294967295)])
def test_permutations_are_those_of_datasketch(count: int, seed: int) -> None:
    """The same a and b, bit for bit."""
    theirs = MinHash(num_perm=count, seed=seed, scheme="affine32").permutations
    assert np.array_equal(np.array(minhash.permutations(count, seed)), theirs)


@settings(max_examples=80, deadline=None)
@given(st.lists(texts, max_size=5), st.integers(1, 6))
def test_shingle_sets_are_what_the_minima_are_taken_of(batch: list[str | None], ngram: int) -> None:
    """Distinct, ascending, by the definition; null where a text has no tokens."""
    found = shingle_sets(pa.array(batch, pa.string()), ngram).to_pylist()
    for text, hashes in zip(batch, found, strict=True):
        tokens = reference_tokens(text or "")
        width = min(ngram, len(tokens))
        starts = range(len(tokens) - width + 1) if tokens else []
        expected = sorted({polynomial(tokens[at : at + width]) >> 32 for at in starts})
        assert hashes == (np.array(expected, "<u4").tobytes() if tokens else None)


def test_shingle_sets_over_segments() -> None:
    """No shingle is lost where a long text is cut."""
    text = "".join(f"w{n % 977} x{n} " for n in range(4000))
    tokens = reference_tokens(text)
    expected = {polynomial(tokens[at : at + 5]) >> 32 for at in range(len(tokens) - 4)}
    found = shingle_sets(pa.array([text, "a b"]), 5)
    assert np.frombuffer(found[0].as_py(), "<u4").tolist() == sorted(expected)
    assert len(found[1].as_py()) == 4


def test_acceptance_is_the_share_of_estimates() -> None:
    """The chance that an estimate reaches the threshold, against planted pairs."""
    values = [0.6, 0.7, 0.8]
    chance = minhash.acceptance(128, 0.7, values)
    rng = np.random.default_rng(5)
    for value, expected in zip(values, chance, strict=True):
        matches = rng.binomial(128, value + (1 - value) / 256, 20_000)
        share = (minhash.estimate(matches, 128) >= 0.7).mean()
        assert share == pytest.approx(expected, abs=0.01)
