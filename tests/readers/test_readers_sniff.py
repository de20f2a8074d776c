"""What a file is, and the one line for a file that cannot be an input."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import pytest
import zstandard
from synthetic import member, page

from corpusforge.errors import InputError
from corpusforge.readers import READABLE, sniff

LINE = b'{"text": "a"}\n'


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("a.warc", page(1), ("warc", "none")),
        ("a.warc.gz", member(page(1)), ("warc", "gzip")),
        ("a.WARC.GZ", member(page(1)), ("warc", "gzip")),
        ("a.warc.wet.gz", member(page(1)), ("warc", "gzip")),
        ("a.warc.zst", zstandard.compress(page(1)), ("warc", "zstd")),
        ("a.warc", member(page(1)), ("warc", "gzip")),
        ("download", member(page(1)), ("warc", "gzip")),
        ("a.warc.gz", member(page(1))[:30], ("warc", "gzip")),
        ("a.jsonl", LINE, ("jsonl", "none")),
        ("a.jsonl", b"bad\n", ("jsonl", "none")),
        ("a.jsonl.gz", gzip.compress(LINE), ("jsonl", "gzip")),
        ("a.json.xz", lzma.compress(LINE), ("jsonl", "xz")),
        ("a.ndjson.zst", zstandard.compress(LINE), ("jsonl", "zstd")),
        ("download", LINE, ("jsonl", "none")),
        ("a.parquet", b"PAR1", ("parquet", "none")),
        ("download", b"PAR1", ("parquet", "none")),
        ("a.arrow", b"ARROW1\0\0", ("arrow", "none")),
        ("a.feather", b"ARROW1\0\0", ("arrow", "none")),
        ("a.arrows", b"\xff\xff\xff\xff\x10\0\0\0", ("arrow", "none")),
        ("a.arrows.zst", zstandard.compress(b"\xff\xff\xff\xff"), ("arrow", "zstd")),
        ("a.txt", b"PAR1 is a mark", ("text", "none")),
        ("a.txt.bz2", bz2.compress(b"text"), ("text", "bz2")),
    ],
)
def test_kinds(tmp_path: Path, name: str, data: bytes, kind: tuple[str, str]) -> None:
    """The bytes decide, the name says what to expect."""
    path = tmp_path / name
    path.write_bytes(data)
    assert sniff(str(path)) == kind


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.warc.gz", None, "no such file"),
        ("a.warc.gz", b"", "0 bytes"),
        ("a.warc.gz", b"just some text\n", "holds no gzip data"),
        ("a.warc", b"just some text\n", "holds no WARC data: it begins with b'just some text"),
        ("a.warc.gz", gzip.compress(b"just some text"), "holds no WARC data"),
        ("a.warc.gz", gzip.compress(b""), "holds no WARC data"),
        ("a.jsonl.zst", LINE, "holds no zstd data"),
        ("a.arc.gz", gzip.compress(b"filedesc://a.arc"), "ARC files are not read"),
        ("a.warc.gz", gzip.compress(b"filedesc://a.arc"), "ARC files are not read"),
        ("a.warc.xz", lzma.compress(page(1)), "WARC data in xz"),
        ("a.csv", b"a,b\n1,2\n", "of no known format"),
        ("a.parquet", LINE, "holds no Parquet data"),
        ("a.arrow", LINE, "holds no Arrow data"),
        ("a.parquet", b"ARROW1\0\0", "the name says parquet, but it holds arrow"),
        ("a.jsonl", page(1), "the name says jsonl, but it holds warc"),
        ("a.parquet.gz", gzip.compress(b"PAR1"), "Parquet data in gzip"),
        ("a.parquet", b"PARE", "encrypted"),
        ("a.feather", b"FEA1", "Feather files of version 1"),
    ],
)
def test_refusals(tmp_path: Path, name: str, data: bytes | None, says: str) -> None:
    """One line that names the file and says what to do, with the exit code of inputs."""
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        sniff(str(path))
    line = str(caught.value)
    assert line.startswith(str(path)) and says in line and "\n" not in line
    assert "; " in line and caught.value.exit_code == 3


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """The planner lists folders; a reader gets files."""
    with pytest.raises(InputError, match="folder"):
        sniff(str(tmp_path))


def test_readable_suffixes() -> None:
    """What a folder is searched for."""
    assert {".warc.gz", ".wet.gz", ".warc.zst", ".jsonl", ".jsonl.bz2"} <= set(READABLE)
    assert {".parquet", ".arrow", ".arrows.gz", ".txt", ".txt.xz"} <= set(READABLE)
    assert not {".json", ".warc.xz", ".arc.gz", ".parquet.gz"} & set(READABLE)
