"""Options of a tokenizer: digits, reserved slots, alphabets, weights, sweeps, engines, exports."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_tokenizer import BATCH, SPEC, TEXTS, by_library, train
from tokenizers import Tokenizer as Library
from tokenizers import models, pre_tokenizers, trainers

from corpusforge import api, export_tokens, manifest, sweep, token_tally, weights
from corpusforge.errors import RunError, SpecError, UsageError
from corpusforge.kernels.counts import add
from corpusforge.shard import read_batches
from corpusforge.spec import TokenizeSpec
from corpusforge.tokenizer import Tokenizer, count

UNICODE = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40)


def with_(**changes: object) -> TokenizeSpec:
    """The default spec of these tests with some values changed."""
    return TokenizeSpec(**{"vocab_size": 600, **changes})


@pytest.mark.parametrize("digits", [1, 3])
@pytest.mark.parametrize("split", ["gpt2", "llama3", "qwen2", "o200k"])
def test_numbers_are_cut_in_pieces(split: str, digits: int) -> None:
    """No pre-token has more digits than asked for, and the file says so to the library too."""
    made = train(with_(split=split, digits=digits))
    texts = [*TEXTS, "1234567 12 x9999", "٣٤٥٦ ½1²"]
    assert made.encode_batch(pa.array(texts)).to_pylist() == by_library(made, texts)
    assert made.engine == "own"
    longest = max(
        len(token) for token in json.loads(made.document)["model"]["vocab"] if token.isdigit()
    )
    assert longest <= digits


def test_digits_need_a_split_that_cuts_numbers() -> None:
    """White space does not; the line says what to do."""
    with pytest.raises(SpecError, match=r"digits=0"):
        count(BATCH, with_(split="whitespace", digits=1))


def test_reserved_slots_have_fixed_ids() -> None:
    """They stand behind the named ones, and text that spells one is plain text."""
    made = train(with_(reserved=3))
    names = ["<|endoftext|>", "<|pad|>", "<|reserved_0|>", "<|reserved_1|>", "<|reserved_2|>"]
    assert [made.id_of(name) for name in names] == [0, 1, 2, 3, 4]
    ids = made.encode_batch(pa.array(["<|reserved_1|>"])).to_pylist()[0]
    assert 3 not in ids and made.decode(ids) == "<|reserved_1|>"


@pytest.mark.parametrize("longest", [2, 4])
def test_tokens_have_a_greatest_length(longest: int) -> None:
    """Vocabulary and merges are Hugging Face's under ``max_token_length`` of one more."""
    made = json.loads(train(with_(max_token_length=longest, special_tokens=[])).document)["model"]
    library = Library(models.BPE())
    split = json.loads(train(SPEC).document)["pre_tokenizer"]["pretokenizers"]
    assert split[-1]["type"] == "ByteLevel"
    from tokenizers import Regex

    library.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split[0]["pattern"]["Regex"]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        min_frequency=2,
        show_progress=False,
        max_token_length=longest + 1,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    library.train_from_iterator([text for text in BATCH.to_pylist() if text], trainer)
    wanted = json.loads(library.to_str())["model"]
    assert made["vocab"] == wanted["vocab"] and made["merges"] == wanted["merges"]


@pytest.fixture(scope="module")
def letters() -> Tokenizer:
    """A BPE of characters, of which the rarest are left to bytes."""
    return train(with_(alphabet="characters", max_alphabet=60, vocab_size=500))


@settings(max_examples=100, deadline=None)
@given(st.lists(UNICODE, max_size=3))
def test_characters_with_byte_fallback(letters: Tokenizer, texts: list[str]) -> None:
    """Ids are the library's, and bytes give back what is not in the alphabet."""
    texts = [*TEXTS, *texts]
    ids = letters.encode_batch(pa.array(texts)).to_pylist()
    assert ids == by_library(letters, texts)
    assert [letters.decode(row) for row in ids] == texts


def test_a_sweep_is_a_training_each() -> None:
    """A smaller vocabulary cut from a larger one is the one that training gives."""
    spec = with_(sweep=[300, 400])
    table = add([count(BATCH, spec).table])
    made = Tokenizer.train(table, spec)
    costs = []
    for size in (300, 400, 600):
        smaller = sweep.cut(made, size) if size < 600 else made
        assert json.loads(smaller.document) == json.loads(train(with_(vocab_size=size)).document)
        measured = sweep.measure(smaller, table)
        ids = smaller.encode_batch(BATCH)
        assert measured["tokens"] == len(ids.values)
        assert measured["bytes"] == sum(len((text or "").encode()) for text in BATCH.to_pylist())
        costs.append(measured["bytes_per_token"])
    assert costs == sorted(costs)
    with pytest.raises(SpecError, match="sizes from 258 to vocab_size = 600"):
        sweep.check(with_(sweep=[900]))


def batch_of(rows: list[tuple[str, str, str]]) -> pa.RecordBatch:
    """Rows of language, source and text."""
    columns = dict(zip(("language", "source", "text"), zip(*rows, strict=True), strict=True))
    return pa.RecordBatch.from_pydict({name: pa.array(list(v)) for name, v in columns.items()})


def test_weights_are_texts_counted_more_often() -> None:
    """By language, and by the longest source named; 0 leaves a text out."""
    rows = [("en", "web/a", TEXTS[0]), ("fr", "web/b", TEXTS[1]), ("ja", "books", TEXTS[3])]
    spec = with_(
        weights={"language": {"en": 3, "fr": 0.5}, "source": {"web": 2, "web/b": 4, "books": 0}}
    )
    parts = add([one.table for one in weights.weighted_counts(batch_of(rows), spec)])
    found = weights.whole(parts)
    wanted = add([count(pa.array([TEXTS[0]] * 6 + [TEXTS[1]] * 2), spec).table])
    assert found.sort_by("word").equals(wanted.sort_by("word"))


def test_an_engine_that_errs_is_found() -> None:
    """The check compares ids with the library's, and names the first record that differs."""
    made, other = train(SPEC), train(with_(vocab_size=300))
    made.check(BATCH)
    made._own = other._own  # another vocabulary
    made.use("own")
    with pytest.raises(RunError, match="gives other ids"):
        made.check(BATCH)


def test_gigatoken_gives_the_same_ids() -> None:
    """Where the package is there; else the line says how to install it."""
    pytest.importorskip("gigatoken", reason="the extra 'fast' is not installed")
    made = train(with_(split="gpt2"))
    wanted = made.encode_batch(BATCH, end=True)
    made.use("gigatoken")
    assert made.encode_batch(BATCH, end=True).equals(wanted)


def test_what_is_not_given_back_is_counted() -> None:
    """Sums by language, and documents whose ids give another text."""
    made = train(with_(normalizer="nfkc", algo="bpe"))
    texts = ["plain text", "two words", None]
    rows = {
        "id": [bytes([n]) * 16 for n in range(3)],
        "language": ["en", "en", None],
        "text": texts,
    }
    columns = {name: pa.array(values) for name, values in rows.items()}
    columns["ids"] = made.encode_batch(columns["text"])
    found = token_tally.tally(pa.RecordBatch.from_pydict(columns), made)
    tokens = len(columns["ids"].values)
    assert found["languages"] == {"en": [2, 19, 4, tokens], "": [1, 0, 0, 0]}
    assert found["round_trip"] == {"documents": 3, "unequal": 0, "first": []}
    columns["ids"] = columns["ids"].take(pa.array([1, 0, 2]))
    lost = token_tally.tally(pa.RecordBatch.from_pydict(columns), made)["round_trip"]
    assert lost == {"documents": 3, "unequal": 2, "first": ["00" * 16, "01" * 16]}
    assert token_tally.total([found, found])["languages"]["en"] == [4, 38, 8, 2 * tokens]


# -- token shards elsewhere ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[list[int]]]:
    """A tokenize run and the ids of its documents in order."""
    folder = tmp_path_factory.mktemp("exports")
    lines = [json.dumps({"id": str(n), "text": f"{n} {TEXTS[n % 6]}"}) for n in range(500)]
    (folder / "a.jsonl").write_text("\n".join(lines) + "\n")
    run = str(folder / "tok")
    api.tokenize([str(folder / "a.jsonl")], run, SPEC, workers=1)
    ids = []
    for shard in manifest.read(run, "tokenize").in_folder("tokens"):
        for batch in read_batches(run, shard.name):
            ids += batch.column("ids").to_pylist()
    return run, ids


def test_megatron(tokens: tuple[str, list[list[int]]], tmp_path: Path) -> None:
    """The index says where each document lies, as Megatron-LM reads it."""
    run, ids = tokens
    assert api.export(run, to=("megatron", str(tmp_path / "m")))["rows"] == len(ids)
    index, data = (tmp_path / "m/ids.idx").read_bytes(), (tmp_path / "m/ids.bin").read_bytes()
    assert index[:9] == b"MMIDIDX\0\0"
    version, code, sequences, documents = struct.unpack("<QBQQ", index[9:34])
    assert (version, code, sequences, documents) == (1, 8, len(ids), len(ids) + 1)
    sizes = np.frombuffer(index, "<i4", sequences, 34)
    places = np.frombuffer(index, "<i8", sequences, 34 + 4 * sequences)
    bounds = np.frombuffer(index, "<i8", documents, 34 + 12 * sequences)
    assert bounds.tolist() == list(range(documents))
    for size, place, wanted in zip(sizes, places, ids, strict=True):
        assert np.frombuffer(data, "<u2", size, place).tolist() == wanted


def test_nanogpt(tokens: tuple[str, list[list[int]]], tmp_path: Path) -> None:
    """All documents, whole, in one of two files of bare ids."""
    run, ids = tokens
    api.export(run, to=("nanogpt", str(tmp_path / "n")))
    found = [np.fromfile(tmp_path / f"n/{name}.bin", "<u2") for name in ("train", "val")]
    rows = []
    for part in found:
        rows += [row.tolist() for row in np.split(part, np.flatnonzero(part == 0) + 1) if len(row)]
    assert sorted(rows) == sorted(ids) and 0 < len(found[1]) < len(found[0]) / 20


def test_hf_dataset(tokens: tuple[str, list[list[int]]], tmp_path: Path) -> None:
    """The folder opens with datasets, where that is installed, and as an Arrow stream."""
    run, ids = tokens
    api.export(run, to=("hf-dataset", str(tmp_path / "d")))
    with pa.OSFile(str(next((tmp_path / "d").glob("*.arrow")))) as file:
        table = pa.ipc.open_stream(file).read_all()
    assert table["input_ids"].to_pylist() == ids and table["source_id"][0].as_py() == "0"
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    assert datasets.load_from_disk(str(tmp_path / "d"))["input_ids"][:] == ids


def test_an_export_writes_over_nothing(tokens: tuple[str, list[list[int]]], tmp_path: Path) -> None:
    """A folder with files, and an unknown format, are refused in one line."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="not an empty folder"):
        export_tokens.export(tokens[0], "megatron", str(tmp_path))
    with pytest.raises(UsageError, match="megatron"):
        api.export(tokens[0], to=("megatorn", str(tmp_path / "x")))
