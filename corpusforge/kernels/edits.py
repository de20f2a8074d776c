"""Editors: named ways to cut parts out of texts by rules, which yield signals of their own.

An editor is a pure function ``edit(text, limits, splitter)``: ``limits`` maps the rules that apply
(names of ``rules``) to their thresholds, 0 where a rule has none. It returns the edited texts, what
each rule did (rows, rules) int64 in the order of ``rules``, and its ``signals`` by name (rows,).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpusforge.kernels import c4, refinedweb
from corpusforge.kernels.family import Signal


@dataclass(frozen=True)
class Editor:
    """What an editor can do: ``rules`` name what it cuts, ``limited`` those with a threshold."""

    rules: tuple[str, ...]
    limited: tuple[str, ...]
    signals: tuple[Signal, ...]
    edit: Callable[
        [pa.StringArray, dict[str, float], str],
        tuple[pa.StringArray, np.ndarray, dict[str, np.ndarray]],
    ]


EDITORS = {
    "c4": Editor(c4.RULES, ("max_word_chars", "min_line_words"), c4.SIGNALS, c4.edit),
    "refinedweb": Editor(refinedweb.RULES, refinedweb.LIMITED, refinedweb.SIGNALS, refinedweb.edit),
}
