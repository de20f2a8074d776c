"""Frozen Unicode tables of signals and dialects: word break classes, a few properties, scripts.

Written by ``tools/text_tables.py``. Source: Unicode Character Database 16.0, WordBreakProperty.txt,
emoji-data.txt, DerivedCoreProperties.txt, Scripts.txt; digits of Python 3.11 (Unicode 14.0).
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import numpy as np

WORD_BREAKS = (
    *("Other", "CR", "LF", "Newline", "Extend", "ZWJ", "Format", "WSegSpace"),
    *("ALetter", "Hebrew_Letter", "Numeric", "Katakana", "ExtendNumLet", "Regional_Indicator"),
    *("Single_Quote", "Double_Quote", "MidNumLet", "MidLetter", "MidNum"),
)  # the code of a class is its place here

# Bits of the properties.
PICTOGRAPH, ALPHABETIC, UPPERCASE, DIGIT = (1 << bit for bit in range(4))

SCRIPTS = {
    "latin": ("Latin",),
    "cyrillic": ("Cyrillic",),
    "greek": ("Greek",),
    "arabic": ("Arabic",),
    "hebrew": ("Hebrew",),
    "devanagari": ("Devanagari",),
    "bengali": ("Bengali",),
    "tamil": ("Tamil",),
    "thai": ("Thai",),
    "hangul": ("Hangul",),
    "kana": ("Hiragana", "Katakana"),
    "han": ("Han",),
}  # the code of a script is its place here and one; others are 0


@cache
def word_breaks() -> np.ndarray:
    """Return the word break class of every code point: (0x110000,) uint8, read-only."""
    return _load("breaks")


@cache
def properties() -> np.ndarray:
    """Return the property bits of every code point: (0x110000,) uint8, read-only."""
    return _load("properties")


@cache
def scripts() -> np.ndarray:
    """Return the script code of every code point: (0x110000,) uint8, read-only."""
    return _load("script")


def _load(name: str) -> np.ndarray:
    source = resources.files(__package__) / "text_tables.npz"
    with source.open("rb") as file, np.load(file) as tables:
        table = np.asarray(tables[name])
    table.setflags(write=False)
    return table
