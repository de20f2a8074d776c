"""Texts that are made to hurt: every splitter, family and edit is linear and does not crash."""

import json
import time

import numpy as np
import pyarrow as pa
import pytest

from corpusforge.kernels import contamination, families, linear, pii
from corpusforge.kernels.edits import EDITORS
from corpusforge.kernels.splitters import SPLITTERS

MB = 1_000_000
TEXTS = {
    "one line": lambda size: ("word and other words, " * (size // 22 + 1))[:size],
    "one word": lambda size: "x" * size,
    "one word of marks": lambda size: "([{" * (size // 3),
    "empty lines": lambda size: "\n" * size,
    "only repeats": lambda size: "the same again\n" * (size // 15),
    "brackets": lambda size: "[1" * (size // 2),
    "citations": lambda size: "[" * size,
    "dots": lambda size: "a." * (size // 2),
    "apostrophes": lambda size: "a'" * (size // 2),
    "hosts": lambda size: "com.a" * (size // 5),
    "schemes": lambda size: "http://" * (size // 7),
    "numbers": lambda size: "1.2.3." * (size // 6),
    "addresses": lambda size: "a@" * (size // 2),
    "white space": lambda size: "\u3000" * (size // 3),
    "ideographs": lambda size: "\u6587\u5b57" * (size // 6),
}

ITEMS = contamination.index(pa.array(["the same again " * 9, "com a " * 9, "x " * 13]), 13)

pytestmark = pytest.mark.faults


def seconds(text: str, splitter: str) -> float:
    """CPU seconds of everything that can be done to one text."""
    column = pa.array([text])
    before = time.process_time()
    families.measure(column, families.NAMES, splitter)
    for editor in EDITORS.values():
        editor.edit(column, dict.fromkeys(editor.rules, 3.0), splitter)
    for dialect in ("forge", "datatrove"):
        pii.mask(column, pii.KINDS if dialect == "forge" else ("email", "ip"), dialect=dialect)
    contamination.match(column, ITEMS)
    linear.score(column, np.ones(1 << 10, np.float32), 0.0)
    return time.process_time() - before


@pytest.mark.parametrize("splitter", SPLITTERS)
@pytest.mark.parametrize("kind", TEXTS)
def test_linear(kind: str, splitter: str) -> None:
    """Ten times the text takes less than sixty times the time; quadratic would be a hundred."""
    if splitter == "spacy":
        pytest.importorskip("spacy")
    small, large = TEXTS[kind](MB), TEXTS[kind](10 * MB)
    seconds(small, splitter)  # compiled, and spaCy loaded
    base = max(seconds(small, splitter), 0.02)
    assert seconds(large, splitter) < 60 * base


def test_fifty_megabytes() -> None:
    """One line, and ten million empty lines."""
    for text in (TEXTS["one line"](50 * MB), TEXTS["empty lines"](10 * MB)):
        values = families.measure(pa.array([text]), families.NAMES)
        assert values["chars"][0] == len(text)


def test_lone_surrogates() -> None:
    """Escaped in JSON they are valid there and nowhere else; as read, they are replaced."""
    text = json.loads('"a \\ud800 b \\udfff."').encode("utf-8", "replace").decode()
    assert families.measure(pa.array([text]), families.NAMES)["chars"][0] == 8
