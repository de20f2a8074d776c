"""Plain text files: one document a file, in bounded memory."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import random
from functools import partial
from pathlib import Path

import pytest
import zstandard
from synthetic import read

from corpusforge.spec import Limits, Read

PACK = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": zstandard.compress,
    ".bz2": bz2.compress,
    ".xz": partial(lzma.compress, preset=0),
}
TEXT = "Grüße aus Köln\n\nzweiter Absatz, 東京\n"


@pytest.mark.parametrize("ending", list(PACK))
def test_one_file_is_one_document(tmp_path: Path, ending: str) -> None:
    """As it is, whatever it is packed with; the second piece of a cut has nothing to read."""
    path = tmp_path / f"a.txt{ending}"
    path.write_bytes(PACK[ending](TEXT.encode()))
    (row,) = read(path).to_pylist()
    assert (row["text"], row["html"], row["outcome"]) == (TEXT, None, "kept")
    assert (row["offset"], row["ordinal"], row["decode_errors"]) == (0, 0, 0)


@pytest.mark.parametrize("ending", [".gz", ".zst", ".bz2", ".xz"])
def test_a_cut_or_long_file_fails(tmp_path: Path, ending: str) -> None:
    """Half a text is not taken for a text; a bomb is not unpacked."""
    path = tmp_path / f"a.txt{ending}"
    path.write_bytes(PACK[ending](random.Random(1).randbytes(90_000).hex().encode())[:-90])
    (row,) = read(path).to_pylist()
    assert (row["outcome"], row["text"]) == ("failed", None)
    assert row["detail"] == "the file ends inside its compressed data"
    path.write_bytes(PACK[ending](b"a" * 3_000_000))
    (row,) = read(path, spec=Read(limits=Limits(line_bytes=10_000))).to_pylist()
    assert row["reasons"][0]["rule"] == "limit:line_bytes" and row["text"] is None
    assert (row["reasons"][0]["value"], row["reasons"][0]["threshold"]) == (10_001, 10_000)


@pytest.mark.parametrize(
    ("data", "outcome", "rule"),
    [
        (b" \n", "dropped", "empty"),
        (b"%PDF-1.4", "dropped", "mime-magic"),
        (random.Random(1).randbytes(3000), "dropped", "mime-magic"),
    ],
)
def test_what_is_no_text_is_dropped(tmp_path: Path, data: bytes, outcome: str, rule: str) -> None:
    """By the rules of pages."""
    (tmp_path / "a.txt").write_bytes(data)
    (row,) = read(tmp_path / "a.txt").to_pylist()
    assert (row["outcome"], row["reasons"][0]["rule"]) == (outcome, rule)


@pytest.mark.parametrize(
    ("data", "charset", "errors"),
    [
        (codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"), "utf-16le", 0),
        (codecs.BOM_UTF8 + TEXT.encode(), "utf-8", 0),
        (TEXT.encode() + b"\xff", "utf-8", 1),
    ],
)
def test_charsets(tmp_path: Path, data: bytes, charset: str, errors: int) -> None:
    """By the mark, else UTF-8; what cannot be decoded is counted."""
    (tmp_path / "a.txt").write_bytes(data)
    (row,) = read(tmp_path / "a.txt").to_pylist()
    assert row["text"] == TEXT + "\ufffd" * errors
    assert (row["charset"], row["decode_errors"]) == (charset, errors)
