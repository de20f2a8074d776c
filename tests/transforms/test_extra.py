"""Own Python: what it declares is checked, what it adds is kept, what is wrong is one line."""

from pathlib import Path

import pyarrow as pa
import pytest

from corpusforge.errors import SpecError
from corpusforge.transform import chain
from corpusforge.transforms.extra import load

HEAD = "import pyarrow as pa\nimport pyarrow.compute as pc\n"
DECLARED = "f.reads = ('text',)\nf.adds = {'size': pa.int64()}\n"
SIZE = "pc.cast(pc.binary_length(batch.column('text')), pa.int64())"
GOOD = f"def f(batch):\n    return batch.append_column('size', {SIZE})\n"
BATCH = pa.RecordBatch.from_pydict({"id": [b"1", b"2", b"3"], "text": ["a", None, "ccc"]})


def module(folder: Path, body: str) -> str:
    """Name of the function f in a new file."""
    file = folder / "own.py"
    file.write_text(HEAD + body)
    return f"{file}:f"


def test_columns_are_added(tmp_path: Path) -> None:
    """Rows and columns stay; another source is another digest."""
    name = module(tmp_path, GOOD + DECLARED)
    (extra,) = load([name], ("text",))
    after = chain(extra)(BATCH)
    assert after.column("size").to_pylist() == [1, None, 3]
    assert after.select(["id", "text"]).equals(BATCH)
    module(tmp_path, GOOD + DECLARED + "# changed\n")
    assert load([name], ())[0].source != extra.source


@pytest.mark.parametrize(
    ("body", "match"),
    [
        ("def g(batch): return batch\n", "has no function 'f'; known: g"),
        ("f = 3\n", "has no function 'f'"),
        (GOOD, "does not say what it reads"),
        (GOOD + "f.reads = ('text',)\n", "does not say what it adds"),
        (GOOD + "f.reads = ()\nf.adds = {'size': pa.list_(pa.int8())}\n", "of the type"),
        (GOOD + "f.reads = ()\nf.adds = {'text': pa.string()}\n", "'text', which is there already"),
        ("import not_there_at_all\n" + GOOD, "no module 'not_there_at_all', which"),
        ("1 / 0\n", "cannot be imported: ZeroDivisionError"),
    ],
)
def test_wrong_declarations(tmp_path: Path, body: str, match: str) -> None:
    """Told when the spec is loaded."""
    with pytest.raises(SpecError, match=match):
        load([module(tmp_path, body)], ("id", "text"))


@pytest.mark.parametrize(
    ("body", "match"),
    [
        ("batch.slice(1)", "returned 2 rows for 3; keep every row"),
        ("batch.take(pa.array([2, 1, 0]))", "changed the ids"),
        ("batch", "adds no column 'size'"),
        ("batch.append_column('size', pa.array([1.5] * len(batch)))", "'size' as double; cast it"),
        ("1 / 0", "raised ZeroDivisionError"),
        ("None", "returned NoneType"),
        (
            "batch.append_column('size', pa.array([len(batch)] * len(batch)))",
            "other values of 'size' when a batch is cut",
        ),
    ],
)
def test_broken_laws(tmp_path: Path, body: str, match: str) -> None:
    """Told by the first batch that shows it."""
    (extra,) = load([module(tmp_path, f"def f(batch):\n    return {body}\n{DECLARED}")], ())
    with pytest.raises(SpecError, match=match):
        extra(BATCH)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("no_colon", "expected module:function"),
        ("no_such_module:f", "no module 'no_such_module'; install it, or name its file"),
        ("missing.py:f", "missing.py: transforms.extra"),
    ],
)
def test_wrong_names(name: str, match: str) -> None:
    """One line each."""
    with pytest.raises(SpecError, match=match):
        load([name], ())


def test_reading_what_is_not_there(tmp_path: Path) -> None:
    """The nearest column is named."""
    body = GOOD + DECLARED.replace("('text',)", "('txt',)")
    (extra,) = load([module(tmp_path, body)], ())
    with pytest.raises(SpecError, match=r"reads 'txt'.*did you mean 'text'"):
        extra(BATCH)
