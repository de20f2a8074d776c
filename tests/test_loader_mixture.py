"""Mixtures: streams by folder, source or language, in shares or in epochs, by rows or by blocks."""

import numpy as np
import pytest
from token_folders import every_piece, load, same, write

from corpusforge.errors import InputError, SpecError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Documents of three sources and three languages, one without a language."""
    lengths = np.maximum(2, np.random.default_rng(5).lognormal(3, 1, 200)).astype(np.int64)
    names = ["web/a.warc.gz", "web/b.warc.gz", "books/x.jsonl"]
    return write(
        tmp_path_factory.mktemp("mixture"),
        "tok",
        lengths,
        source=lambda number: names[number % 3],
        language=lambda number: ["en", "de", "fr", None][number % 4],
    )


def shares_of(loader, column):
    """Share of the first 10,000 rows that each value of a column of the documents has."""
    rows, _ = loader.order.at(0, 10_000)
    pieces = every_piece(loader)
    values = dict(
        zip(pieces.column("row").to_pylist(), pieces.column(column).to_pylist(), strict=True)
    )
    found, counts = np.unique([str(values[row]) for row in rows.tolist()], return_counts=True)
    return dict(zip(found.tolist(), (counts / 10_000).tolist(), strict=True))


def test_weights_by_source_and_label(folder):
    """A source is named by its path or by its label; "*" is all others."""
    by_path = load(folder, by="source", weights={"web/a.warc.gz": 3.0, "*": 1.0})
    found = shares_of(by_path, "source")
    assert found["web/a.warc.gz"] == pytest.approx(0.75, abs=1e-3)
    by_label = load(folder, by="source", weights={"web": 1.0, "books": 4.0})
    assert shares_of(by_label, "source")["books/x.jsonl"] == pytest.approx(0.8, abs=1e-3)


def test_weights_by_language(folder):
    """Rows of one language hold no other; documents without a language are of "*"."""
    loader = load(folder, by="language", weights={"en": 1.0, "de": 2.0, "*": 1.0})
    rows, _ = loader.order.at(0, 10_000)
    stream = np.searchsorted(loader.order.bounds, rows, side="right") - 1
    found = np.bincount(stream, minlength=3) / 10_000
    assert np.abs(found - [0.25, 0.5, 0.25]).max() < 1e-3  # "*", de, en: sorted by name
    assert loader.plan.names == ("*", "de", "en")


def test_epochs_are_readings(folder):
    """While a stream of 1 is read once, one of 3 is read three times; ``epochs`` counts them."""
    loader = load(folder, by="source", epochs={"web": 1.0, "books": 3.0})
    web = loader.order.bounds[-1] - loader.order.bounds[1]
    books = loader.order.bounds[1]
    loader.position = web + 3 * books
    assert loader.epochs()["web"] == pytest.approx(1, abs=0.02)
    assert loader.epochs()["books"] == pytest.approx(3, abs=0.06)


def test_a_mixture_holds_each_token_of_each_stream(folder):
    """Streams split the documents: with and without a mixture the plan holds the same tokens."""
    whole = every_piece(load(folder)).group_by("source_id").aggregate([("length", "sum")])
    mixed = load(folder, by="language", weights={"en": 1.0, "*": 1.0})
    parts = every_piece(mixed).group_by("source_id").aggregate([("length", "sum")])
    assert whole.sort_by("source_id") == parts.sort_by("source_id")


def test_wrong_streams_are_refused(folder):
    """A name without documents, and a document without a name, are errors that name them."""
    for weights, message in [
        ({"en": 1.0, "dee": 1.0, "*": 1.0}, "'dee', no language.*de"),
        ({"en": 1.0, "de": 1.0}, "leaves out the language"),
    ]:
        with pytest.raises(SpecError, match=message):
            load(folder, by="language", weights=weights)
    with pytest.raises(InputError, match="none of the documents of books"):
        load(folder, by="source", weights={"web": 1, "books": 1}, split="heldout", heldout=1e-9)
    for block in (1, 8):
        with pytest.raises(InputError, match=r"none of the documents of \*"):
            load(folder, by="source", weights={"web": 1, "books": 1, "*": 1}, block=block)


def test_block_order_reads_neighbours(folder):
    """With blocks, rows read together are packed from documents that lie together."""
    loader = load(folder, block=4, batch=4)
    plain = load(folder)
    assert every_piece(loader).column("length").to_numpy().sum() == (
        every_piece(plain).column("length").to_numpy().sum()
    )
    spread, usual = [], []
    for one, other in zip(
        (next(loader) for _ in range(20)),
        (plain.batch(i * 4, 0, 6) for i in range(20)),
        strict=True,
    ):
        for batch, found, of in ((one, spread, loader), (other, usual, plain)):
            numbers = [
                int(name.split("/")[-1])
                for name in of.documents(batch.rows, batch.epochs).column("source_id").to_pylist()
            ]
            found.append(max(numbers) - min(numbers))
    assert np.median(spread) < np.median(usual) / 3
    loader.position = 44
    again = load(folder, block=4, batch=4)
    again.load_state(loader.state())
    assert same(next(loader), next(again))


def test_verify_reads_every_shard_once(folder, tmp_path):
    """A changed byte and an id outside of the vocabulary are found; what was checked is kept."""
    tokens = load(folder).tokens
    memory = tmp_path / "verified.json"
    tokens.verify(str(memory))
    assert memory.exists()
    tokens.verify(str(memory))
    spoilt = write(tmp_path, "tok", [40] * 30)
    with open(f"{spoilt}/tokens/part-00001.arrow", "r+b") as file:  # noqa: PTH123
        file.seek(200)
        byte = file.read(1)
        file.seek(200)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(InputError, match=r"part-00001.arrow: the checksum"):
        load(spoilt).tokens.verify()
    large = write(tmp_path, "large", [40] * 30, first=60_000, width=32)
    with pytest.raises(InputError, match=r"token id 6\d+; expected below 50000"):
        load(large).tokens.verify()
    empty = write(tmp_path, "empty", [40, 0, 40], shards=1)
    with pytest.raises(InputError, match="without tokens"):
        load(empty).tokens.verify()
