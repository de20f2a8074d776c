"""Word vectors: files of word2vec and GloVe, turned to the model's width, in the token table."""

import gzip

import numpy as np
import pytest
import torch
from tiny import SUBJECTS, small

from corpusforge.errors import InputError
from corpusforge.tokenizer import Tokenizer
from corpusforge.train.model import Transformer
from corpusforge.train.trainer import Trainer, train
from corpusforge.train.word_vectors import read, start_from, to_width

WORDS = sorted({word for text in SUBJECTS for word in text.split()})


def vectors(size, seed=3):
    """A vector a word."""
    draw = np.random.default_rng(seed)
    return {word: draw.standard_normal(size).astype(np.float32) for word in WORDS}


def lines(table):
    """Words and numbers, as GloVe writes them."""
    return "".join(f"{w} {' '.join(map(repr, v.tolist()))}\n" for w, v in table.items())


def write(path, table, kind):
    """Write a file of a kind."""
    size = len(next(iter(table.values())))
    head = f"{len(table)} {size}\n"
    if kind == "binary":
        rows = [word.encode() + b" " + v.tobytes() + b"\n" for word, v in table.items()]
        path.write_bytes(head.encode() + b"".join(rows))
    else:
        text = (head if kind.startswith("word2vec") else "") + lines(table)
        path.write_bytes(gzip.compress(text.encode()) if kind.endswith("gz") else text.encode())
    return str(path)


@pytest.mark.parametrize("kind", ["word2vec", "binary", "glove", "glove.gz"])
def test_files_say_the_same(tmp_path, kind):
    """Every kind gives the words and numbers that were written."""
    table = vectors(8)
    found = dict(read(write(tmp_path / "v", table, kind)))
    assert list(found) == list(table)
    for word, vector in table.items():
        np.testing.assert_array_equal(found[word], vector)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"2 3\na 1 2 3\nb 1 2\n", "line 3: 2 numbers"),
        (b"a 1 2 3\nb 1 x 3\n", "line 2: "),
        (b"2 3\n" + b"a " + bytes(12) + b"\nb " + bytes(5), "vector 2 of 2 is cut short"),
        (None, "No such file"),
    ],
)
def test_damaged_files_are_one_line(tmp_path, content, message):
    """The file, the row and what was expected."""
    path = tmp_path / "v"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(read(str(path)))


@pytest.mark.parametrize("width", [4, 8, 12])
def test_another_width(width):
    """Narrower: the principal axes, as an SVD gives them. Wider: all inner products stay."""
    given = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32) * np.arange(1, 9)
    turned = to_width(given.astype(np.float32), width, 0)
    assert turned.shape == (50, width) and turned.dtype == np.float32
    if width >= 8:
        np.testing.assert_allclose(turned @ turned.T, given @ given.T, rtol=1e-3, atol=1e-3)
    else:
        centred = given - given.mean(axis=0)
        axes = np.linalg.svd(centred, full_matrices=False)[2][:width]
        wanted = given @ axes.T
        np.testing.assert_allclose(turned @ turned.T, wanted @ wanted.T, rtol=1e-3, atol=1e-2)


def test_rows_of_tokens_are_their_words(tokens, tmp_path):
    """With and without the space before them; others keep their start; the scale is the table's."""
    tokenizer = Tokenizer.load(f"{tokens}/tokenizer")
    spec = small()
    model, plain = (Transformer(spec.model, tokenizer.vocab_size, 32, 0) for _ in range(2))
    table = vectors(spec.model.width)
    share = start_from(model, tokenizer, write(tmp_path / "v", table, "glove"), 0)
    named = {n: name.strip(" ") for n, name in tokenizer.names.items()}
    rows = [n for n, name in named.items() if name in table or name.lower() in table]
    assert share == len(rows) / tokenizer.vocab_size and len(rows) > 3
    new, old = model.tokens.weight.detach(), plain.tokens.weight.detach()
    exact = [n for n in rows if named[n] in table]
    ratios = {float((new[n] / torch.from_numpy(table[named[n]])).mean()) for n in exact}
    assert max(ratios) - min(ratios) < 1e-5
    assert float(new[rows].norm(dim=1).mean()) == pytest.approx(float(old.norm(dim=1).mean()), 1e-4)
    others = [n for n in range(len(new)) if n not in rows]
    assert torch.equal(new[others], old[others])


def test_a_frozen_table_stays_and_resumes(tokens, tmp_path):
    """It is what it started as after training; the run says which share was found."""
    file = write(tmp_path / "v", vectors(24), "word2vec")
    spec = small(vectors__file=file, vectors__freeze=True)
    fresh = Trainer([tokens], tmp_path / "fresh", spec, lambda record: None)
    start = fresh.model.tokens.weight.detach().clone()
    fresh.close()
    done = train([tokens], str(tmp_path / "run"), spec)
    assert 0 < done["vectors_found"] < 1
    again = Trainer([tokens], tmp_path / "run", spec, lambda record: None)
    assert torch.equal(again.model.tokens.weight, start)
    one, other = (part.model.blocks[0].attention.out.weight for part in (again, fresh))
    assert not torch.equal(one, other)
    again.close()
    moved = train([tokens], str(tmp_path / "moved"), small(vectors__file=file))
    assert moved["last_loss"] != done["last_loss"]
