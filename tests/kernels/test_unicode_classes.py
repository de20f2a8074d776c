"""The frozen Unicode tables equal the engine inside Hugging Face tokenizers."""

import sys

import numpy as np
import pytest
from tokenizers import Regex
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Split

from corpusforge.kernels.unicode_classes import (
    CODE_POINTS,
    general_category,
    is_category,
    is_sentence_terminal,
    is_white_space,
    simple_lower,
)

SURROGATES = range(0xD800, 0xE000)
POINTS = [point for point in range(CODE_POINTS) if point not in SURROGATES]
EVERYTHING = "".join(map(chr, POINTS))


def members(pattern: str) -> np.ndarray:
    """Which code points the engine's ``pattern`` matches: what it removes from all of them."""
    others = Split(Regex(f"{pattern}+"), "removed").pre_tokenize_str(EVERYTHING)
    inside = np.ones(CODE_POINTS, bool)
    inside[SURROGATES] = False
    inside[np.frombuffer("".join(part for part, _ in others).encode("utf-32-le"), np.uint32)] = (
        False
    )
    return inside


@pytest.mark.parametrize("name", ["L", "M", "N", "P", "S", "Z", "Lu", "Nd"])
def test_categories_equal_the_engine(name: str) -> None:
    """Same members of every class that a rule or a pre-token pattern asks for."""
    np.testing.assert_array_equal(is_category(name), members(rf"\p{{{name}}}"))


def test_properties_equal_the_engine() -> None:
    """Sentence_Terminal and White_Space as well."""
    np.testing.assert_array_equal(is_sentence_terminal(), members(r"\p{Sentence_Terminal}"))
    np.testing.assert_array_equal(is_white_space(), members(r"\p{White_Space}"))


def test_lower_case_equals_python_where_both_know_the_character() -> None:
    """Single-character lower case; Python's Unicode may be older or newer than the table's."""
    lower = simple_lower()
    for point in POINTS:
        known = chr(point).lower()
        if len(known) == 1 and known != chr(point) and general_category()[point] != 0:
            assert lower[point] == ord(known)
    assert lower[0x130] == ord("i")
    assert lower[0x10D50] == ord(Lowercase().normalize_str(chr(0x10D50)))  # new in Unicode 16


def test_tables_are_read_only() -> None:
    """They are shared by every kernel of the process."""
    for table in (general_category(), simple_lower()):
        assert len(table) == sys.maxunicode + 1
        with pytest.raises(ValueError, match="read-only"):
            table[0] = 1
