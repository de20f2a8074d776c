"""The merges are those of Hugging Face's trainer, whatever the order of the words."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from corpusforge.kernels.bpe import Learnt, byte_characters, train_bpe, train_wordpiece
from corpusforge.kernels.counts import count_batch
from corpusforge.kernels.pretokens import PATTERNS

SPECIALS = ["<|endoftext|>", "<|pad|>"]
VERSES = """The wheel turns, the wheel's turning; we'll say it turned in 1999, 2024 and 31415.
Les élèves étaient là, près de l'église; où l'été s'achève, la forêt s'éveille.
Мельница стоит у реки, и река течёт к морю; море ждёт реку.
風が吹く。花が散る。人が行く。風が吹けば花が散る。
def turn(wheel):\n    for spoke in wheel.spokes:\n        yield spoke.turn()\n\n
aaaaaaaa aaaa aaa aa a ababababab bababa  \t\t  ---- ===== ---- ====\n"""


def huggingface(
    lines: Iterable[str], split: str, vocab_size: int, min_frequency: int, specials: Sequence[str]
) -> Learnt:
    """The vocabulary and merges of the reference trainer; each line is a text."""
    tokenizer = Tokenizer(models.BPE())
    steps = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    if split != "none":
        steps.insert(0, pre_tokenizers.Split(Regex(PATTERNS[split]), "isolated"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=list(specials),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    return learnt_by(tokenizer)


def learnt_by(tokenizer: Tokenizer) -> Learnt:
    """What a trained tokenizer of the library holds."""
    model = json.loads(tokenizer.to_str())["model"]
    vocab = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return Learnt(vocab, [(left, right) for left, right in model["merges"]])


def ours(
    words: dict[str, int], vocab_size: int, min_frequency: int = 0, specials: Sequence[str] = ()
) -> Learnt:
    """Learn from words and counts, in the order of ``words``."""
    counts = np.array(list(words.values()), dtype=np.int64)
    return train_bpe(pa.array(list(words)), counts, vocab_size, min_frequency, specials)


@pytest.mark.parametrize("split", ["gpt2", "llama3", "qwen2", "o200k", "whitespace", "none"])
def test_equals_huggingface_on_text(split: str) -> None:
    """Counting and merging text gives the reference's vocabulary and merges."""
    lines = VERSES.splitlines(keepends=True) * 3
    counted = count_batch(pa.array(lines), split, 1 << 30).table
    learnt = train_bpe(counted["word"], counted["count"].to_numpy(), 600, 2, SPECIALS)
    assert learnt == huggingface(lines, split, 600, 2, SPECIALS)


def effective(learnt: Learnt) -> Learnt:
    """As a model holds it: of a pair that was merged twice the later rank."""
    return Learnt(learnt.tokens, list(dict.fromkeys(reversed(learnt.merges)))[::-1])


def random_words(source: random.Random) -> dict[str, int]:
    """Words over a tiny alphabet: runs, ties and equal strings from several splits."""
    alphabet = source.choice(["a", "ab", "ab", "abc", "aé", "abcdefgh"])
    longest = source.choice([3, 6, 12, 40])
    most = source.choice([1, 3, 20])
    return {
        "".join(source.choices(alphabet, k=source.randint(1, longest))): source.randint(1, most)
        for _ in range(source.randint(1, 25))
    }


def test_equals_huggingface_on_random_words() -> None:
    """Ties, runs, special tokens that spell a merge, and every end of the loop are the same."""
    source = random.Random(7)
    reused = 0
    for _ in range(400):
        words = random_words(source)
        specials = source.choice([[], SPECIALS, ["ab", "<|x|>", "abab", "aa"], ["b", "bab", "b"]])
        vocab_size = 256 + source.choice([2, 5, 20, 200])
        min_frequency = source.choice([0, 1, 2, 5])
        lines = [word for word, count in words.items() for _ in range(count)]
        expected = huggingface(lines, "none", vocab_size, min_frequency, specials)
        learnt = ours(words, vocab_size, min_frequency, specials)
        assert effective(learnt) == expected, (words, specials, vocab_size, min_frequency)
        reused += len(learnt.merges) > len(learnt.tokens) - 256 - len(set(specials) - {"b"})
    assert reused > 20  # the rule on equal strings was at work


def test_tokens_that_form_twice_are_huggingfaces() -> None:
    """Equal strings from two splits, counts gone stale, pairs merged twice: as the reference.

    Byte-level merges never reach these rules. Words with ``#`` under the prefix ``##`` do: ``##``
    and ``##a`` make ``##a`` again. Special tokens fix the alphabet's ids, else random there.
    """
    source = random.Random(3)
    specials = ["##a", "##b", "###"]
    twice = 0
    for _ in range(500):
        words = {
            "".join(source.choices("#ab", k=source.randint(2, 9))): source.randint(1, 9)
            for _ in range(source.randint(2, 12))
        }
        vocab_size = 6 + source.choice([3, 8, 30])
        tokenizer = Tokenizer(models.BPE(continuing_subword_prefix="##"))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=specials,
            show_progress=False,
            continuing_subword_prefix="##",
        )
        tokenizer.train_from_iterator(Counter(words).elements(), trainer)
        counts = np.array(list(words.values()))
        learnt = train_wordpiece(pa.array(list(words)), counts, vocab_size, 0, specials)
        assert effective(learnt) == learnt_by(tokenizer), (words, vocab_size)
        twice += len(set(learnt.merges)) < len(learnt.merges)
    assert twice > 10


def test_the_order_of_the_words_does_not_matter() -> None:
    """Shuffled counts give the same tokens and merges."""
    counts = Counter(VERSES.split(" "))
    words = list(counts)
    learnt = ours({word: counts[word] for word in words}, 500, 0, SPECIALS)
    for seed in range(5):
        random.Random(seed).shuffle(words)
        assert ours({word: counts[word] for word in words}, 500, 0, SPECIALS) == learnt


def test_counts_above_32_bits() -> None:
    """A pair beyond 2**31 occurrences is merged first, where a 32-bit count would lose it."""
    words = {"ab": (1 << 31) + 5, "cd": 1 << 30, "abcd": (1 << 40) + 1, "zz": (1 << 62)}
    learnt = ours(words, 260)
    assert learnt.merges == [("z", "z"), ("a", "b"), ("c", "d"), ("ab", "cd")]


def test_overlapping_runs_count_twice_but_merge_once() -> None:
    """In ``aaa`` the pair counts twice, so that it wins over a pair seen once and a half."""
    learnt = ours({"aaa": 2, "bc": 3}, 258)
    assert learnt.merges == [("a", "a"), ("b", "c")]


def test_words_without_a_pair() -> None:
    """Empty words and words of one byte give the alphabet and nothing more."""
    learnt = ours({"": 9, "a": 5, "é": 1}, 300, 2, SPECIALS)
    assert learnt.merges == []
    assert learnt.tokens == [*SPECIALS, *sorted(byte_characters())]
    assert ours({}, 300).tokens == sorted(byte_characters())


def test_min_frequency_ends_the_merges() -> None:
    """A pair rarer than ``min_frequency`` is never merged; one as frequent is."""
    assert ours({"ab": 3, "cd": 2}, 300, 3).merges == [("a", "b")]
    assert ours({"ab": 3, "cd": 2}, 300, 2).merges == [("a", "b"), ("c", "d")]


def test_smaller_vocabularies_are_prefixes() -> None:
    """The merges of a small vocabulary begin those of a larger one, so one training serves both."""
    words = Counter(VERSES.split(" "))
    large, small = ours(words, 600), ours(words, 350)
    assert large.tokens[:350] == small.tokens
    assert large.merges[: len(small.merges)] == small.merges


def test_wordpiece_is_huggingfaces_with_its_alphabet_fixed() -> None:
    """Tokens and ids are the reference's once its alphabet, numbered at random, has our order."""
    counts = Counter(word for word in VERSES.split() if word.isalpha())
    specials = ["[UNK]", "[PAD]"]
    words = pa.array(list(counts))
    learnt = train_wordpiece(words, np.array(list(counts.values())), 260, 2, specials)
    plain = sorted(set("".join(counts)))
    inside = ["##" + letter for letter in sorted({c for word in counts for c in word[1:]})]
    trainer = trainers.WordPieceTrainer(
        vocab_size=260,
        min_frequency=2,
        special_tokens=specials + plain + inside,
        show_progress=False,
    )
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator(counts.elements(), trainer)
    vocab = tokenizer.get_vocab()
    assert learnt.tokens == sorted(vocab, key=vocab.__getitem__)
    assert learnt.tokens[: len(specials + plain + inside)] == specials + plain + inside
