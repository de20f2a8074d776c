"""Ids are those of the Hugging Face library, on any text, cached or not, short or long."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from corpusforge.kernels import encode, ranks
from corpusforge.kernels.bpe import Learnt, byte_characters, train_bpe
from corpusforge.kernels.counts import count_batch
from corpusforge.kernels.pretokens import CODES, PATTERNS, utf8

TEXT = """the wheel turns and the other wheels turn, the weather's theirs; they'll thank them
été là-bas où l'été s'achève; мельница у реки, море и река; 風が吹く花が散る風が吹けば花が散る
aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa abababababababab ------------======== 123 1234 12345
internationalization characteristically uncharacteristically counterrevolutionaries\n\n\t\t"""


def learn() -> Learnt:
    """A small vocabulary of the text above."""
    counted = count_batch(pa.array([TEXT, TEXT]), "llama3", 1 << 20).table
    return train_bpe(counted["word"], counted["count"].to_numpy(), 700, 1, ["<|endoftext|>"])


class Pair:
    """One vocabulary in the own kernel and in the library."""

    def __init__(self, split: str, learnt: Learnt | None = None) -> None:
        learnt = learnt or learn()
        vocab = {token: number for number, token in enumerate(learnt.tokens)}
        self.split = split
        self.tables = ranks.tables(vocab, learnt.merges)
        self.cache = encode.new_cache(64)  # so small that it starts anew all the time
        self.library = Tokenizer(models.BPE(vocab, learnt.merges))
        steps = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        if split != "none":
            steps.insert(0, pre_tokenizers.Split(Regex(PATTERNS[split]), "isolated"))
        self.library.pre_tokenizer = pre_tokenizers.Sequence(steps)
        self.library.decoder = decoders.ByteLevel()

    def ours(self, texts: list[str | None], end: int | None = None) -> list[list[int]]:
        """Ids a row by the kernel."""
        data, offsets = utf8(pa.array(texts, pa.string()))
        ids, bounds = encode.encode(data, offsets, CODES[self.split], self.tables, self.cache, end)
        assert ids.dtype == np.int32 and bounds.dtype == np.int64
        return [ids[low:high].tolist() for low, high in pairwise(bounds)]

    def theirs(self, texts: list[str]) -> list[list[int]]:
        """Ids a row by the library."""
        return [row.ids for row in self.library.encode_batch(texts)]


PAIRS = {split: Pair(split) for split in ("llama3", "gpt2", "none")}


@pytest.mark.parametrize("split", PAIRS)
@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(alphabet="aeht nrsw'1.\n\t-éмр風が花", max_size=60), max_size=4))
def test_equals_the_library_where_merges_apply(split: str, texts: list[str]) -> None:
    """On text of the vocabulary's own letters ids are the library's."""
    assert PAIRS[split].ours(texts) == PAIRS[split].theirs(texts)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"])), max_size=4))
def test_equals_the_library_on_any_unicode(texts: list[str]) -> None:
    """On any text ids are the library's."""
    assert PAIRS["llama3"].ours(texts) == PAIRS["llama3"].theirs(texts)


def test_equals_the_library_on_long_pretokens() -> None:
    """Heap and scan give the same ids, from just below to far above where one takes over."""
    source = random.Random(5)
    texts = ["".join(source.choices("aabthe", k=length)) for length in range(1, 140)]
    texts += [" ".join(source.choices(TEXT.split(), k=count)) for count in range(4, 60)]
    texts += ["a" * 5000, "ab" * 3000, "the" * 2000, "風が花" * 1000]
    assert PAIRS["none"].ours(texts) == PAIRS["none"].theirs(texts)


@pytest.mark.parametrize("length", [0, 60])
def test_a_pair_that_is_gone_leaves_no_rank(length: int) -> None:
    """Once ``bc`` is formed, the rank of (a, b) does not serve (a, bc): (bc, d) is next."""
    merges = [("b", "c"), ("a", "b"), ("bc", "d"), ("a", "bc")]
    tokens = [*sorted(byte_characters()), *("".join(merge) for merge in merges)]
    pair = Pair("none", Learnt(tokens, merges))
    texts = ["x" * length + "abcd", "x" * length + "abc"]
    assert pair.ours(texts) == pair.theirs(texts)


def test_zero_bytes_count_in_the_cache() -> None:
    """Words that differ in their number of zero bytes only are told apart."""
    texts = ["\0", "\0\0", "\0\0\0", "a", "a\0", "\0" * 8, "\0" * 9] * 2
    assert PAIRS["none"].ours(texts) == PAIRS["none"].theirs(texts)


def test_of_a_pair_that_is_given_twice_the_later_rank_holds() -> None:
    """As in the library's model, where a map is filled from the list of merges."""
    tokens, merges = [*sorted(byte_characters()), "aa", "ab"], [("a", "a"), ("a", "b")]
    once, twice = (Pair("none", Learnt(tokens, merges + more)) for more in ([], merges[:1]))
    assert once.ours(["aab"]) == once.theirs(["aab"]) != twice.theirs(["aab"])
    assert twice.ours(["aab"]) == twice.theirs(["aab"])


def test_rows_end_with_the_given_id() -> None:
    """The end id follows every row, empty and null ones too; offsets cut there."""
    assert PAIRS["llama3"].ours(["the", "", None], end=0)[1:] == [[0], [0]]
    assert PAIRS["llama3"].ours(["the"], end=0)[0][-1] == 0
    assert PAIRS["llama3"].ours([]) == []


def test_a_byte_without_id_is_refused() -> None:
    """A vocabulary that is not byte-level cannot be prepared."""
    with pytest.raises(KeyError):
        ranks.tables({"a": 0}, [])


def test_a_megabyte_without_a_cut() -> None:
    """One pre-token of a million bytes is encoded whole, and decodes to itself."""
    text = "abthe" * 200_000
    ids = PAIRS["none"].ours([text])[0]
    assert PAIRS["none"].library.decode(ids) == text
