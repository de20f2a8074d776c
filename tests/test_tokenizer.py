"""A tokenizer encodes, decodes, saves and loads the same here and in the Hugging Face library."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, models, normalizers, pre_tokenizers, trainers

from corpusforge import spec as specs
from corpusforge.errors import InputError, SpecError
from corpusforge.kernels.bpe import byte_characters
from corpusforge.kernels.counts import add, merge, pack
from corpusforge.kernels.pretokens import PATTERNS
from corpusforge.spec import TokenizeSpec
from corpusforge.tokenizer import Tokenizer, count

SAMPLE = Path(__file__).parents[2] / "shared/data/text_sample.jsonl.gz"
TEXTS = [
    "The wheel turns, the wheel's turning; we'll say it turned in 1999, 2024 and 31415.\n",
    "Les élèves étaient là, près de l'église; où l'été s'achève, la forêt s'éveille.\n",
    "Мельница стоит у реки, и река течёт к морю; море ждёт реку.\n",
    "風が吹く。花が散る。人が行く。風が吹けば花が散る。\n",
    "def turn(wheel):\n    for spoke in wheel.spokes:\n        yield spoke.turn()\n\n",
    "<|endoftext|> is spelled here, and [SEP] and </s> too.",
]
BATCH = pa.array([*TEXTS, None, ""] * 3)
SPEC = TokenizeSpec(vocab_size=600)
WORDPIECE = TokenizeSpec(
    algo="wordpiece", vocab_size=400, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
)
UNIGRAM = TokenizeSpec(
    algo="unigram", vocab_size=500, special_tokens=["<pad>", "</s>", "<unk>"]
)  # fmt: skip


def train(spec: TokenizeSpec, batch: pa.Array = BATCH) -> Tokenizer:
    """Count and train in one process."""
    return Tokenizer.train(add([count(batch, spec).table]), spec)


def by_library(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    """Ids by the reference library, from the saved file alone."""
    library = tokenizers.Tokenizer.from_str(tokenizer.files["tokenizer.json"].decode())
    library.encode_special_tokens = True
    return [row.ids for row in library.encode_batch(texts, add_special_tokens=False)]


@pytest.fixture(scope="module")
def bpe() -> Tokenizer:
    """A byte-level BPE with the default values."""
    return train(SPEC)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"])), max_size=3))
def test_ids_are_the_librarys_and_decode_to_the_text(bpe: Tokenizer, texts: list[str]) -> None:
    """The own kernel gives the ids that the file means, and they hold the whole text."""
    ids = bpe.encode_batch(pa.array(texts, pa.string())).to_pylist()
    assert ids == by_library(bpe, texts)
    assert [bpe.decode(row) for row in ids] == texts
    assert bpe.engine == "own"


@pytest.mark.parametrize("split", PATTERNS)
@pytest.mark.parametrize("normalizer", ["none", "nfc", "nfkc"])
def test_every_split_and_normalizer_is_the_librarys(split: str, normalizer: str) -> None:
    """All values of the spec reach the file and the kernel alike."""
    texts = [*TEXTS, "Cafe\u0301 \ufb01ne \u2460 \u1e9b\u0323 A\u030a"]
    made = train(SPEC.model_copy(update={"split": split, "normalizer": normalizer}))
    assert made.engine == "own"
    assert made.encode_batch(pa.array(texts)).to_pylist() == by_library(made, texts)


def test_the_vocabulary_is_that_of_training_on_the_text(bpe: Tokenizer) -> None:
    """Train from counts = ``train_from_iterator`` of the library with the same settings."""
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERNS["llama3"]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        min_frequency=2,
        special_tokens=SPEC.special_tokens,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator([text for text in BATCH.to_pylist() if text], trainer)
    expected = json.loads(library.to_str())
    found = json.loads(bpe.document)
    for part in ("model", "added_tokens", "pre_tokenizer", "normalizer"):
        assert found[part] == expected[part]


def test_the_same_counts_give_the_same_bytes() -> None:
    """Order of rows, batches and blobs leaves no trace in the files."""
    spec = SPEC
    whole = add([count(BATCH, spec).table])
    parts = [count(BATCH.slice(start, 4), spec).table for start in range(0, len(BATCH), 4)]
    blobs = [blob for table in reversed(parts) for _, blob in pack(table, 5)]
    for counts in (merge(blobs), whole.take(list(reversed(range(len(whole)))))):
        assert Tokenizer.train(counts, spec).files == Tokenizer.train(whole, spec).files


def test_special_tokens_come_first_and_are_never_read_from_text(bpe: Tokenizer) -> None:
    """Their ids are their places in the spec; text that spells one is plain text."""
    assert [bpe.id_of(token) for token in SPEC.special_tokens] == [0, 1] and bpe.eot == 0
    ids = bpe.encode_batch(pa.array(["a<|endoftext|>b<|pad|>"])).to_pylist()[0]
    assert not {0, 1} & set(ids) and bpe.decode(ids) == "a<|endoftext|>b<|pad|>"
    assert bpe.decode([0, *ids, 0, 1]) == "a<|endoftext|>b<|pad|>"


def test_no_merge_spells_a_special_token() -> None:
    """Where no split stands in the way, the merge that would make one is left out of the file."""
    spec = SPEC.model_copy(update={"split": "none", "special_tokens": ["<|end|>", "end"]})
    texts = ["<|end|>"] * 9 + ["end", "bend"]
    made = train(spec, pa.array(texts))
    ids = made.encode_batch(pa.array(texts)).to_pylist()
    assert ids == by_library(made, texts)
    assert not {0, 1} & {number for row in ids for number in row}
    assert [made.decode(row) for row in ids] == texts


def test_rows_may_end_with_the_end_token(bpe: Tokenizer) -> None:
    """``end`` puts it after every row, whatever the engine; types follow the vocabulary's size."""
    ids = bpe.encode_batch(pa.array(["a", "", None]), end=True)
    assert ids.type == pa.large_list(pa.uint16()) and bpe.width == 16
    assert [row[-1] for row in ids.to_pylist()] == [0, 0, 0] and len(ids.values) == 4
    wordpiece = train(WORDPIECE)
    assert wordpiece.encode_batch(pa.array(["", None]), end=True).to_pylist() == [[3], [3]]
    without = train(SPEC.model_copy(update={"special_tokens": ["<|none|>"]}))
    assert without.eot is None
    with pytest.raises(SpecError, match="no token that ends a document"):
        without.encode_batch(pa.array(["a"]), end=True)


def test_saved_and_loaded_it_is_the_same(bpe: Tokenizer, tmp_path: Path) -> None:
    """A folder and its tokenizer.json load to equal bytes, digest, roles and ids."""
    bpe.save(str(tmp_path / "tok"))
    assert {file.name for file in (tmp_path / "tok").iterdir()} == set(bpe.files)
    for path in (tmp_path / "tok", tmp_path / "tok/tokenizer.json"):
        loaded = Tokenizer.load(str(path))
        assert (loaded.files, loaded.digest, loaded.eot) == (bpe.files, bpe.digest, bpe.eot)
        assert loaded.encode_batch(BATCH).equals(bpe.encode_batch(BATCH))
    config = json.loads(bpe.files["tokenizer_config.json"])
    assert config["eos_token"] == "<|endoftext|>" and config["pad_token"] == "<|pad|>"
    config["eos_token"] = {"content": "<|pad|>", "special": True}
    (tmp_path / "tok/tokenizer_config.json").write_text(json.dumps(config))
    assert Tokenizer.load(str(tmp_path / "tok")).eot == 1


def test_a_file_of_another_kind_goes_to_the_library(tmp_path: Path) -> None:
    """What the kernel does not serve is encoded by the library, and the reason is said."""
    library = tokenizers.Tokenizer(models.BPE(unk_token="[UNK]"))
    library.normalizer = normalizers.Lowercase()
    library.pre_tokenizer = pre_tokenizers.Whitespace()
    library.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=200, show_progress=False))
    library.save(str(tmp_path / "tokenizer.json"))
    loaded = Tokenizer.load(str(tmp_path / "tokenizer.json"))
    assert (loaded.engine, loaded.why) == ("tokenizers", "the normalizer is Lowercase")
    assert loaded.encode_batch(pa.array(TEXTS)).to_pylist() == by_library(loaded, TEXTS)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"model": {"byte_fallback": True}}, "the model has byte_fallback"),
        ({"normalizer": {"type": "Lowercase"}}, "the normalizer is Lowercase"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "the pre-tokenizer is not byte-level"),
    ],
)
def test_what_the_kernel_does_not_know_is_not_guessed(
    bpe: Tokenizer, change: dict[str, dict[str, object]], why: str
) -> None:
    """A property that would change ids turns the own kernel off."""
    document = json.loads(bpe.document)
    for key, values in change.items():
        document[key] = {**document[key], **values} if key == "model" else values
    other = Tokenizer(json.dumps(document).encode())
    assert other.engine == "tokenizers" and other.why.startswith(why)
    assert other.encode_batch(pa.array(TEXTS)).to_pylist() == by_library(other, TEXTS)


@pytest.mark.parametrize("spec", [WORDPIECE, UNIGRAM], ids=["wordpiece", "unigram"])
def test_other_models_load_and_repeat(spec: TokenizeSpec) -> None:
    """WordPiece and Unigram files load in the library, with fixed special ids and fixed bytes."""
    made = train(spec)
    assert made.files == train(spec, pa.array(BATCH.to_pylist()[::-1])).files
    assert made.special_tokens == spec.special_tokens
    assert [made.id_of(token) for token in spec.special_tokens] == list(range(len(made._roles)))
    ids = made.encode_batch(pa.array(TEXTS)).to_pylist()
    assert ids == by_library(made, TEXTS)
    known = set(range(len(spec.special_tokens))) - {made.id_of("[UNK]")}
    assert not known & {number for row in ids for number in row}
    if spec.algo == "unigram":
        assert [made.decode(row) for row in ids] == TEXTS
    else:
        assert made.decode(ids[0]).startswith("The wheel turns , the wheel")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"special_tokens": ["<|a|>", "<|a|>"]}, "cannot be told from text"),
        ({"special_tokens": ["x"]}, "cannot be told from text"),
        ({"vocab_size": 300, "special_tokens": [f"<|{n}|>" for n in range(50)]}, "306 or more"),
        ({"algo": "wordpiece", "special_tokens": ["[PAD]"]}, "needs the special token '\\[UNK\\]'"),
        ({"algo": "unigram", "special_tokens": ["<pad>"]}, "needs the special token '<unk>'"),
        ({"algo": "wordpiece", "split": "none", "special_tokens": ["[UNK]"]}, "leaves '\\[UNK\\]'"),
        ({"algo": "unigram", "vocab_size": 300, "special_tokens": ["<unk>"]}, "vocab_size"),
    ],
)
def test_a_spec_that_cannot_work_is_refused(values: dict[str, object], message: str) -> None:
    """Each impossible wish is one line that says what to do."""
    with pytest.raises(SpecError, match=message):
        train(specs.parse(TokenizeSpec, values))


def test_unusable_files_are_refused(tmp_path: Path) -> None:
    """A missing folder, and files that are no tokenizer, are named."""
    with pytest.raises(InputError, match=r"nowhere: no such tokenizer"):
        Tokenizer.load(str(tmp_path / "nowhere"))
    for content in (b"", b"\xff", b"[]", b"{}", b'{"model": {"vocab": 3}}', b'{"model": []}'):
        (tmp_path / "tokenizer.json").write_bytes(content)
        with pytest.raises(InputError, match="not a tokenizer"):
            Tokenizer.load(str(tmp_path))


def test_shipped_specs_are_specs() -> None:
    """Each loads by its name; ``bpe-8k`` is the default."""
    names = specs.shipped(TokenizeSpec)
    assert {"bpe-8k", "bpe-32k", "wordpiece-30k", "unigram-32k"} == set(names)
    loaded = {name: specs.load(TokenizeSpec, file=name) for name in names}
    assert loaded["bpe-8k"] == TokenizeSpec()


@pytest.mark.skipif(not SAMPLE.exists(), reason="../shared/data is not here")
def test_the_text_sample_in_many_languages() -> None:
    """On real text of 59 languages ids are the library's and hold the text."""
    with gzip.open(SAMPLE, "rt", encoding="utf-8") as stream:
        texts = [json.loads(line)["text"] for line in stream][::40]
    made = train(SPEC.model_copy(update={"vocab_size": 4000}), pa.array(texts))
    ids = made.encode_batch(pa.array(texts)).to_pylist()
    assert ids == by_library(made, texts)
    assert [made.decode(row) for row in ids] == texts


def test_byte_characters_are_the_librarys() -> None:
    """The 256 characters are those of the library's byte-level alphabet."""
    assert sorted(byte_characters()) == sorted(pre_tokenizers.ByteLevel.alphabet())
