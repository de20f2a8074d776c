"""The plan depends on inputs and spec only; wrong inputs are one line."""

import importlib.util
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusforge.errors import ExtraMissing, InputError, UsageError
from corpusforge.plan import InputFile, Unit, estimate, find_inputs, largest_first, make_units
from corpusforge.spec import Plan

READABLE = (".jsonl", ".warc.gz")


def write(path, text="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_sources_are_label_and_relative_path(tmp_path):
    """Folders give label/relative path, files their name, labels replace the name."""
    write(tmp_path / "in/b.jsonl"), write(tmp_path / "in/sub/a.jsonl"), write(tmp_path / "in/x.txt")
    single = write(tmp_path / "c.jsonl")
    found = find_inputs([single, f"crawl={tmp_path}/in"], READABLE)
    assert [f.source for f in found] == ["c.jsonl", "crawl/b.jsonl", "crawl/sub/a.jsonl"]
    assert [f.source for f in find_inputs([f"{tmp_path}/in/*.jsonl"], READABLE)] == ["b.jsonl"]


def test_order_of_arguments_does_not_matter(tmp_path):
    """The same files in any order give the same list."""
    paths = [write(tmp_path / name) for name in ("b.jsonl", "a.jsonl", "c.jsonl")]
    assert find_inputs(paths, READABLE) == find_inputs(paths[::-1], READABLE)


def test_glob_matches_are_named_below_the_fixed_part(tmp_path):
    """Files of one name in several folders are told apart; labels go before."""
    for name in ("x/p.jsonl", "y/p.jsonl"):
        write(tmp_path / "d" / name)
    pattern = f"{tmp_path}/d/*/p.jsonl"
    assert [f.source for f in find_inputs([pattern], READABLE)] == ["x/p.jsonl", "y/p.jsonl"]
    labelled = find_inputs([f"crawl={pattern}"], READABLE)
    assert [f.source for f in labelled] == ["crawl/x/p.jsonl", "crawl/y/p.jsonl"]


@pytest.mark.skipif(importlib.util.find_spec("s3fs") is not None, reason="s3fs is installed")
def test_a_store_without_its_package_names_the_extra():
    """s3:// without s3fs is the pip line, exit code 2."""
    with pytest.raises(ExtraMissing, match=r"pip install 'corpusforge\[s3\]'"):
        find_inputs(["s3://bucket/a.jsonl"], READABLE)


def test_what_forge_wrote_is_not_its_input(tmp_path):
    """A folder that holds a run folder is read without it, so ``forge clean .`` can be repeated."""
    write(tmp_path / "in/a.jsonl")
    for name in ("log.jsonl", "spec.toml", "corpus/part-00000.jsonl"):
        write(tmp_path / "in/run/clean" / name)
    assert [f.source for f in find_inputs([f"{tmp_path}/in"], READABLE)] == ["in/a.jsonl"]


def test_a_path_may_hold_an_equals_sign(tmp_path):
    """An argument that exists as it stands is a path, not label=path."""
    path = write(tmp_path / "lang=en/a.jsonl")
    assert [f.source for f in find_inputs([path], READABLE)] == ["a.jsonl"]
    assert [f.source for f in find_inputs([f"{tmp_path}/lang=en"], READABLE)] == ["lang=en/a.jsonl"]


def test_two_inputs_of_one_label_are_refused(tmp_path):
    """The remedy names labels."""
    one, two = write(tmp_path / "x/a.jsonl"), write(tmp_path / "y/a.jsonl")
    with pytest.raises(UsageError, match=r"two inputs are called 'a.jsonl'.*give them labels"):
        find_inputs([one, two], READABLE)
    assert len(find_inputs([f"x={one}", f"y={two}"], READABLE)) == 2


def test_one_file_given_twice_is_refused(tmp_path):
    """Under two labels, by a link, or with its folder: its records would count twice."""
    path = write(tmp_path / "in/a.jsonl")
    (tmp_path / "link.jsonl").symlink_to(path)
    for other in (f"b={path}", str(tmp_path / "link.jsonl"), str(tmp_path / "in")):
        with pytest.raises(UsageError, match=r"one file is given twice, as .*give it once"):
            find_inputs([path, other], READABLE)


def test_text_files_beside_data_are_notes(tmp_path):
    """A folder of texts is read; where there is other data, texts must be named."""
    endings = (*READABLE, ".txt")
    for name in ("in/a.txt", "in/sub/B.TXT"):
        write(tmp_path / name)
    sources = [f.source for f in find_inputs([f"{tmp_path}/in"], endings)]
    assert sources == ["in/a.txt", "in/sub/B.TXT"]
    write(tmp_path / "in/b.jsonl")
    assert [f.source for f in find_inputs([f"{tmp_path}/in"], endings)] == ["in/b.jsonl"]
    named = find_inputs([f"{tmp_path}/in", f"{tmp_path}/in/*.txt"], endings)
    assert [f.source for f in named] == ["a.txt", "in/b.jsonl"]


def test_the_plan_says_what_cannot_be_cut():
    """A large file in one unit, and why; nothing is said of small ones."""
    files = [InputFile(f"/{n}", n, size, "m") for n, size in (("a", 1 << 20), ("b", 1 << 16))]
    plan = Plan(unit_bytes=1 << 17)
    cut = make_units(files, [("warc", "gzip")] * 2, plan)
    assert len(cut) == 9 and "one unit" not in estimate(cut, 2, plan)
    whole = make_units(files, [("warc", "gzip")] * 2, plan, ["a"])
    assert len(whole) == 2
    says = "plan: a is one gzip member or a few large ones, so it is one unit"
    assert estimate(whole, 2, plan).endswith(says)
    packed = make_units(files, [("jsonl", "zstd")] * 2, plan)
    assert "plan: a is packed with zstd as a whole, so it is one unit" in estimate(packed, 2, plan)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: str(p / "none.jsonl"), "no such file or folder"),
        (lambda p: str(p / "*.warc.gz"), "no file matches this pattern"),
        (lambda p: write(p / "d/readme.txt").rsplit("/", 1)[0], "holds no readable file"),
        (lambda p: write(p / "empty.jsonl", ""), r"empty \(0 bytes\)"),
    ],
)
def test_unusable_inputs_are_one_line(tmp_path, make, message):
    """Each names the path; exit code 3."""
    with pytest.raises(InputError, match=message) as caught:
        find_inputs([make(tmp_path)], READABLE)
    assert str(tmp_path) in str(caught.value)
    assert caught.value.exit_code == 3


@given(
    sizes=st.lists(st.integers(1, 1 << 20), min_size=1, max_size=20),
    unit=st.integers(1 << 16, 1 << 19),
    kind=st.sampled_from([("warc", "gzip"), ("jsonl", "gzip"), ("parquet", "none")]),
)
def test_units_cover_every_byte_once(sizes, unit, kind):
    """Pieces tile each file; only files that can be cut are cut; JSON form is lossless."""
    files = [InputFile(f"/{i}", f"{i:03}", size, "m") for i, size in enumerate(sizes)]
    units = make_units(files, [kind] * len(files), Plan(unit_bytes=unit))
    for file in files:
        pieces = [p for u in units for p in u.pieces if p.source == file.source]
        assert pieces[0].start == 0
        assert pieces[-1].end == file.size
        assert all(a.end == b.start for a, b in pairwise(pieces))
        if kind == ("jsonl", "gzip"):
            assert len(pieces) == 1
        elif file.size > unit:
            assert max(p.end - p.start for p in pieces) <= unit
    assert [Unit.from_json(u.to_json()) for u in units] == units
    assert sorted(u.name for u in largest_first(units)) == [u.name for u in units]


def test_a_changed_file_changes_the_fingerprint():
    """Size or change mark of a file is part of what a unit depends on."""
    kinds = [("jsonl", "none")]
    one = make_units([InputFile("/a", "a", 10, "1")], kinds, Plan())[0]
    assert (
        one.fingerprint == make_units([InputFile("/b", "a", 10, "1")], kinds, Plan())[0].fingerprint
    )
    assert (
        one.fingerprint != make_units([InputFile("/a", "a", 10, "2")], kinds, Plan())[0].fingerprint
    )
    assert (
        one.fingerprint != make_units([InputFile("/a", "a", 11, "1")], kinds, Plan())[0].fingerprint
    )
