"""What disks and stores have in common: a file is there whole or not at all, the first put wins."""

import tempfile
import uuid
from pathlib import Path

import pytest

from corpusforge import api, storage
from corpusforge.errors import RunError, UsageError
from corpusforge.spec import TokenizeSpec

SAMPLE = str(Path(__file__).parent.parent / "sample_data/notes.jsonl")


@pytest.fixture(params=["disk", "memory"])
def root(request, tmp_path):
    return str(tmp_path) if request.param == "disk" else f"memory://{uuid.uuid4().hex}"


def test_a_file_appears_on_commit_only(root, tmp_path_factory, monkeypatch):
    """Before there is nothing under its name, after a discard neither; no temporary file stays."""
    near = tmp_path_factory.mktemp("near")
    monkeypatch.setattr(tempfile, "tempdir", str(near))
    kept, lost = storage.AtomicFile(f"{root}/a/kept"), storage.AtomicFile(f"{root}/a/lost")
    kept.write(b"one")
    lost.write(b"two")
    for file in (kept, lost):
        assert not file.fs.exists(file.path)
    kept.commit()
    lost.discard()
    assert storage.read_bytes(f"{root}/a/kept") == b"one" and not list(near.iterdir())
    assert [path.rpartition("/")[2] for path in kept.fs.find(kept.path.rpartition("/")[0])] == [
        "kept"
    ]


def test_of_two_that_put_the_first_wins(root):
    """The second is told so and changes nothing; a put that is repeated after a lost answer won."""
    assert storage.put_new(f"{root}/lease", b"mine")
    assert not storage.put_new(f"{root}/lease", b"other")
    assert storage.read_bytes(f"{root}/lease") == b"mine"


def test_a_range_is_read_alone(root):
    """Bytes [start, end)."""
    storage.write_bytes(f"{root}/x", b"0123456789")
    assert storage.read_bytes(f"{root}/x", 2, 5) == b"234"
    storage.remove(f"{root}/x")
    storage.remove(f"{root}/x")
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(f"{root}/x")


def test_an_unknown_protocol_is_one_line():
    """With what can be used."""
    with pytest.raises(RunError, match=r"nosuch://x: .*nosuch.*s3://"):
        storage.file_system("nosuch://x")


@pytest.mark.parametrize(
    "call",
    [
        lambda path: api.train([path], "model"),
        lambda path: api.train(["tok"], path),
        lambda path: api.generate(path, "x"),
        lambda path: api.finetune(path, "rows.jsonl", "out"),
        lambda path: api.predict(path, "rows.jsonl", "out"),
        lambda path: api.classify("good", "bad", path),
        lambda path: api.explain(path, step=1),
    ],
)
def test_what_needs_a_disk_says_so(call):
    """Before anything is read or made."""
    with pytest.raises(UsageError, match=r"memory://there/run: .*local disk.*copy it"):
        call("memory://there/run")


def test_a_tokenizer_and_a_corpus_are_exported_to_a_store(tmp_path):
    """As to a disk; a folder that holds something is refused."""
    api.clean([SAMPLE], f"{tmp_path}/run")
    api.tokenize([f"{tmp_path}/run"], f"{tmp_path}/tok", TokenizeSpec(algo="bpe", vocab_size=400))
    out = f"memory://{uuid.uuid4().hex}"
    api.export(f"{tmp_path}/tok", to=("hf", f"{out}/hf"))
    for file in (tmp_path / "tok/tokenizer").iterdir():
        assert storage.read_bytes(f"{out}/hf/{file.name}") == file.read_bytes()
    rows = api.export(f"{tmp_path}/run", f"{out}/corpus")["rows"]
    assert rows == api.verify(f"{tmp_path}/run")["counts"]["kept"]
    with pytest.raises(UsageError, match="is not empty"):
        api.export(f"{tmp_path}/run", f"{out}/corpus")
