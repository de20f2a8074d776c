"""Frozen Unicode tables: category, simple lower case and Sentence_Terminal of every code point.

Python's own tables change with its version, and results may not; so the tables are package data of
one pinned version, written by ``tools/unicode_tables.py``. Source: Unicode Character Database,
UnicodeData.txt fields 2 (General_Category) and 13 (Simple_Lowercase_Mapping), PropList.txt.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import numpy as np

UNICODE_VERSION = "16.0.0"
CODE_POINTS = 0x110000

CATEGORIES = (
    *("Cn", "Cc", "Cf", "Co", "Cs"),
    *("Ll", "Lm", "Lo", "Lt", "Lu"),
    *("Mc", "Me", "Mn"),
    *("Nd", "Nl", "No"),
    *("Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps"),
    *("Sc", "Sk", "Sm", "So"),
    *("Zl", "Zp", "Zs"),
)  # the code of a category is its place here; unassigned is 0


@cache
def general_category() -> np.ndarray:
    """Return the category code of every code point: (0x110000,) uint8, read-only."""
    return _frozen(_load("category"))


@cache
def simple_lower() -> np.ndarray:
    """Return the single-character lower case of every code point: (0x110000,) uint32, read-only.

    A character without one stands for itself.
    """
    points = np.arange(CODE_POINTS, dtype=np.int32)
    return _frozen((points + _load("lower_shift")).astype(np.uint32))


def is_category(*names: str) -> np.ndarray:
    """Return which code points have one of the categories ``names``: (0x110000,) bool.

    A name is a category (``"Lu"``) or the first letter of several (``"L"``).
    """
    codes = [code for code, name in enumerate(CATEGORIES) if name.startswith(names)]
    return np.isin(general_category(), codes)


def is_sentence_terminal() -> np.ndarray:
    """Return which code points have the property Sentence_Terminal: (0x110000,) bool."""
    return _load("sentence_terminal")


def is_white_space() -> np.ndarray:
    """Return which code points have the property White_Space: (0x110000,) bool."""
    white = is_category("Z")
    white[[*range(0x09, 0x0E), 0x85]] = True
    return white


def _load(name: str) -> np.ndarray:
    source = resources.files(__package__) / "unicode_tables.npz"
    with source.open("rb") as file, np.load(file) as tables:
        return np.asarray(tables[name])


def _frozen(table: np.ndarray) -> np.ndarray:
    table.setflags(write=False)
    return table
