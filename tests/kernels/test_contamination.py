"""Contamination: the n-grams that a plain set of tuples would find, and their item."""

import numba
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.kernels.contamination import index, match

WORDS = st.sampled_from(["a", "b", "Öl", "öl", "x1", "中"])
TEXTS = st.lists(WORDS, max_size=14).map(" ".join)


def words(text: str) -> list[str]:
    """Words of the alphabet above: separated by spaces, without case."""
    return text.lower().split()


def grams(text: str, n: int) -> list[tuple[str, ...]]:
    """All n words in a row."""
    all_words = words(text)
    return [tuple(all_words[k : k + n]) for k in range(len(all_words) - n + 1)]


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXTS, max_size=4), st.lists(st.none() | TEXTS, max_size=4), st.integers(2, 4))
def test_as_a_set_of_tuples(items: list[str], texts: list[str | None], n: int) -> None:
    """Count of shared n-grams, the first of them, and the first item that has it."""
    known = index(pa.array(items, pa.string()), n)
    found = match(pa.array(texts, pa.string()), known)
    assert known.short.tolist() == [k for k, item in enumerate(items) if len(words(item)) < n]
    for row, text in enumerate(texts):
        shared = [g for g in grams(text or "", n) if any(g in grams(item, n) for item in items)]
        assert found.count[row] == len(shared)
        if not shared:
            assert found.item[row] == -1
            assert found.ngram[row] is None
            continue
        owner = next(k for k, item in enumerate(items) if shared[0] in grams(item, n))
        assert found.item[row] == owner
        assert tuple(words(found.ngram[row] or "")) == shared[0]


def test_case_and_punctuation_do_not_matter() -> None:
    """The words are those of the splitter; the n-gram is shown as the text has it."""
    known = index(pa.array(["Is the SKY, (really) blue?"]), 4)
    found = match(pa.array(["... the sky really\nBlue!", "the sky is really blue"]), known)
    assert found.count.tolist() == [1, 0]
    assert found.ngram[0] == "the sky really\nBlue"


def test_repeated_text_is_linear() -> None:
    """Equal n-grams in items and text; a chain of equal hashes would take hours."""
    words_in = 2_000 if numba.config.DISABLE_JIT else 200_000
    long = pa.array(["w " * words_in])
    found = match(long, index(long, 13))
    assert found.count[0] == words_in - 12
