"""General signals equal a slow reference in plain Python."""

import math
import re
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
@given(
    st.lists(st.sampled_from(PARTS), max_size=30).map("".join), st.just(0) | st.integers(4080, 4100)
)
def test_against_reference(text: str, before: int) -> None:
    """Entropy, longest word and line, scripts."""
    text = ("some. " * before)[:before] + text
    got = {name: column[0] for name, column in measure(pa.array([text])).items()}
    urls = re.findall(r"(?:https://|http://(?=[\s\S])|www\.)\S*", text)
    assert got["url_char_ratio"] == sum(map(len, urls)) / max(len(text), 1)
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


def lz4(text: str) -> int:
    """Bytes of an LZ4 block by the library."""
    return len(pa.Codec("lz4_raw").compress(text.encode(), asbytes=True))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=300) | st.sampled_from(PARTS), max_size=60).map("".join))
def test_compression_is_near_lz4(text: str) -> None:
    """The size is near that of the library, whose search differs."""
    size = len(text.encode()) / measure(pa.array([text]))["compression_ratio"][0] if text else 1
    assert abs(size - lz4(text)) <= 8 + 0.2 * lz4(text)


def test_compression_of_known_texts() -> None:
    """Repeats are copies; what has none grows by its lengths; neighbours do not matter."""
    texts = ["ab" * 5000, "".join(map(chr, range(33, 127))), "", "ab" * 5000]
    got = measure(pa.array(texts))["compression_ratio"]
    sizes = [lz4(text) for text in texts]
    assert sizes[1] == 94 + 2 and got[1] == 94 / 96
    assert abs(10_000 / got[0] - sizes[0]) <= 2 and got[0] == got[3] and got[2] == 0
