"""General signals equal a slow reference in plain Python."""

import math
from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.kernels.general import measure

PARTS = [
    "word ",
    "http://a.b/c?d ",
    "https://x",
    "www.y",
    "htt",
    "\n",
    "\r\n",
    "語",
    "かな",
    "Ж",
    "é",
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=30).map("".join))
def test_against_reference(text: str) -> None:
    """Entropy, longest word and line, scripts."""
    got = {name: column[0] for name, column in measure(pa.array([text])).items()}
    shares = [count / len(text) for count in Counter(text).values()]
    assert abs(got["char_entropy"] + sum(p * math.log2(p) for p in shares)) < 1e-6
    assert got["longest_word"] == max(map(len, text.split()), default=0)
    assert got["longest_line"] == max(map(len, text.splitlines()), default=0)
    letters = [c for c in text if c.isalpha()]
    for name, members in (("han", "語"), ("kana", "かな"), ("cyrillic", "Ж")):
        assert got[f"{name}_ratio"] == sum(c in members for c in letters) / max(len(letters), 1)


def test_addresses_and_null() -> None:
    """Addresses count up to white space, from their first character."""
    got = measure(pa.array(["see http://a.b/c now", "xhttps://a www.b", "http", None]))
    assert got["url_char_ratio"][:3].tolist() == [12 / 20, 14 / 16, 0]
    assert np.isnan(got["latin_ratio"][3]) and got["longest_word"][3] == 0
