"""Pre-tokens are those of the Hugging Face regex engine, on any Unicode text.

Run as a script, this file writes the class table from the installed ``tokenizers`` library.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

import corpusforge.kernels.pretokens as pretokens
from corpusforge.errors import SpecError

TABLE = Path(pretokens.__file__).parent / "pretoken_classes.npz"
SETS = {
    pretokens.SPACE: r"\s",
    pretokens.NUMBER: r"\p{N}",
    pretokens.LETTER: r"\p{L}",
    pretokens.UPPER: r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]",
    pretokens.LOWER: r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]",
    pretokens.NEWLINE: r"[\r\n]",
}
SPLITS = [name for name in pretokens.PATTERNS if name != "none"]

# Characters that the expressions tell apart, with every length in UTF-8 and several of each class.
TELLING = (
    " \t\n\r\u00a0\u3000'sStTrReEvVmMlLdD\u017f019\u0661\u00b2\u216b!./-\u3002aZ\u00e9\u00c9"
    "\u01c5\u02b0\u4e2d\u0301\u0903\u200b\ufeff\U0001f600\U00010400\U00010428\U0001d7d8\x1c\x85"
    "\u2028\x00_"
)


def engine_classes() -> np.ndarray:
    """Flags of all code points as the engine behind ``tokenizers.Regex`` sees them."""
    flags = np.zeros(0x110000, dtype=np.uint8)
    points = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    for flag, expression in SETS.items():
        split = pre_tokenizers.Split(Regex(expression), "removed")
        for low in range(0, len(points), 4096):
            some = points[low : low + 4096]
            hit = np.ones(len(some), dtype=bool)
            for _, (start, end) in split.pre_tokenize_str("".join(map(chr, some))):
                hit[start:end] = False
            flags[np.array(some)[hit]] |= flag
    return flags


def expected_ends(text: str, split: str) -> list[int]:
    """Ends in bytes of the pieces that the library cuts ``text`` into."""
    cutter = pre_tokenizers.Split(Regex(pretokens.PATTERNS[split]), "isolated")
    lengths = [len(piece.encode()) for piece, _ in cutter.pre_tokenize_str(text)]
    return np.cumsum(lengths, dtype=np.int64).tolist()


def test_classes_are_the_engines() -> None:
    """The shipped table agrees with the engine on every code point."""
    assert np.array_equal(engine_classes(), pretokens.classes())


@pytest.mark.parametrize("split", SPLITS)
@settings(max_examples=400, deadline=None)
@given(st.text(alphabet=TELLING, max_size=24))
def test_cuts_as_the_library_on_telling_characters(split: str, text: str) -> None:
    """The scanner cuts where the expression does, on every mix of classes."""
    assert pretokens.ends(pa.array([text]), split).tolist() == expected_ends(text, split)


@pytest.mark.parametrize("split", SPLITS)
@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=64))
def test_cuts_as_the_library_on_any_unicode(split: str, text: str) -> None:
    """The scanner cuts where the expression does, on any text."""
    assert pretokens.ends(pa.array([text]), split).tolist() == expected_ends(text, split)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("before", ["'", "'l", "'r", "'v", "x'", "X'", "'L", "'R", "'V"])
def test_contractions_with_every_letter(split: str, before: str) -> None:
    """Only the letters that the engine folds complete a contraction."""
    table = pretokens.classes()
    letters = np.flatnonzero(table[:0x3000] & pretokens.LETTER)
    text = "".join(f"{before}{chr(point)}\n" for point in letters)
    assert pretokens.ends(pa.array([text]), split).tolist() == expected_ends(text, split)


def test_rows_are_cut_apart_and_none_cuts_nothing() -> None:
    """A pre-token never spans rows; slices and nulls are read right; ``none`` keeps rows whole."""
    text = pa.array(["skip", "ab", None, "", "cd  "]).slice(1)
    assert pretokens.ends(text, "llama3").tolist() == [2, 4, 6]
    assert pretokens.ends(text, "none").tolist() == [2, 6]
    assert pretokens.ends(text.cast(pa.large_string()), "none").tolist() == [2, 6]
    assert pretokens.ends(pa.array([], pa.string()), "gpt2").tolist() == []


def test_an_unknown_split_names_the_nearest() -> None:
    """A typo is refused with what was meant."""
    with pytest.raises(SpecError, match="did you mean 'llama3'"):
        pretokens.code_of("lama3")


if __name__ == "__main__":
    found = engine_classes()
    changes = np.flatnonzero(np.diff(found, prepend=255)).astype(np.int32)
    np.savez_compressed(TABLE, starts=changes, flags=found[changes])
