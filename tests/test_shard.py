"""Shards: whole or absent, equal rows back in every format, trusted only when committed."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusforge import shard
from corpusforge.schema import CORPUS, LEDGER, check
from corpusforge.shard import ShardWriter

TEXT = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=30))


def corpus(texts):
    rows = [
        {"id": n.to_bytes(16, "big"), "source": "s", "offset": n, "ordinal": 0, "text": text}
        for n, text in enumerate(texts)
    ]
    return pa.RecordBatch.from_pylist(rows, CORPUS)


@pytest.mark.parametrize("suffix", [".arrow", ".parquet", ".jsonl"])
@given(texts=st.lists(TEXT, max_size=8), cut=st.integers(0, 8))
def test_rows_come_back_as_written(tmp_path_factory, suffix, texts, cut):
    """Slicing, writing and reading give equal rows, in each output format."""
    root, batch = str(tmp_path_factory.mktemp("run")), corpus(texts)
    writer = ShardWriter(root, f"corpus/a{suffix}", CORPUS)
    writer.write(batch.slice(0, cut))
    writer.write(batch.slice(cut))
    done = writer.close()
    assert done.rows == len(texts)
    assert shard.read_table(root, done.name, CORPUS).to_pylist() == batch.to_pylist()
    assert shard.file_sha256(root, done.name) == (done.bytes, done.sha256)


def test_same_rows_same_bytes(tmp_path):
    """Two writes of equal batches give equal files."""
    for suffix in (".arrow", ".parquet", ".jsonl"):
        found = set()
        for name in ("a", "b"):
            writer = ShardWriter(str(tmp_path), f"{name}{suffix}", CORPUS)
            writer.write(corpus(["x", None, "y"]))
            found.add(writer.close().sha256)
        assert len(found) == 1


def test_an_unfinished_file_has_no_final_name(tmp_path):
    """Before close there is only a temporary name; discard removes it."""
    writer = ShardWriter(str(tmp_path), "a.arrow", CORPUS)
    writer.write(corpus(["x"]))
    assert [p.name.split(".tmp-")[0] for p in tmp_path.iterdir()] == ["a.arrow"]
    assert not (tmp_path / "a.arrow").exists()
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_commit_is_trusted_only_for_its_key_and_whole_files(tmp_path):
    """Another key, a shorter file, a missing file or a torn commit: not done."""
    root = str(tmp_path)
    writer = ShardWriter(root, "a.arrow", CORPUS)
    writer.write(corpus(["x"]))
    shard.commit(root, "stage", "u", "key", [writer.close()], rows=1)
    done = shard.committed(root, "stage", "u", "key")
    assert done is not None
    assert done["rows"] == 1
    assert shard.committed(root, "stage", "u", "other") is None
    whole = (tmp_path / "a.arrow").read_bytes()
    (tmp_path / "a.arrow").write_bytes(whole[:-1])
    assert shard.committed(root, "stage", "u", "key") is None
    (tmp_path / "a.arrow").unlink()
    assert shard.committed(root, "stage", "u", "key") is None
    (tmp_path / "a.arrow").write_bytes(whole)
    path = tmp_path / "commits/stage/u.commit.json"
    path.write_text(path.read_text()[:-5])
    assert shard.committed(root, "stage", "u", "key") is None


def test_check_names_the_column():
    """A missing column, another type and a null where none may be are told apart."""
    batch = corpus(["x"])
    assert check(batch, CORPUS) is batch
    with pytest.raises(TypeError, match="column 'outcome' is missing"):
        check(batch, LEDGER)
    with pytest.raises(TypeError, match="column 'text' is int64, not string"):
        check(batch.set_column(batch.schema.get_field_index("text"), "text", pa.array([1])), CORPUS)
    with pytest.raises(TypeError, match="column 'source' holds nulls"):
        check(batch.set_column(1, "source", pa.array([None], pa.string())), CORPUS)
