"""URL lists: a vector for every reason, and the same answer as a plain reading of the rules."""

import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.kernels.url_lists import LISTS, UrlLists, match

LINES = {
    "domains": b"# one a line\nbad.example\n .Evil.ORG. \r\n\nxn--bcher-kva.example\n",
    "urls": b"http://www.site.com/Path/\nother.com/a?b=1\n",
    "hard_words": b"casino\nHot-Deals\n",
    "soft_words": b"bet\nbonus\nspin\n",
    "substrings": b"free-gold\nxxl",
}


def found(url: str | None, **lines: bytes) -> dict[str, str]:
    """List -> first entry found, of the lists that the URL is on."""
    counts, entries = match(pa.array([url], pa.string()), UrlLists.of(lines or LINES))
    names = {name: n for name, n in zip(LISTS, counts[0].tolist(), strict=True) if n}
    first = dict(zip(LISTS, entries[0].as_py() or [None] * 5, strict=True))
    assert {name for name in first if first[name]} == set(names)
    return {name: first[name] for name in names}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://bad.example/", {"domains": "bad.example"}),
        ("https://a.b.bad.example:8080/x", {"domains": "bad.example"}),
        ("https://user:pw@EVIL.org?x", {"domains": "evil.org"}),
        ("//evil.org", {}),
        ("bad.example.", {"domains": "bad.example"}),
        ("http://www.bad.example", {"domains": "bad.example"}),
        ("http://notbad.example/ http", {}),
        ("http://ok.com/?u=http://bad.example/", {}),
        ("http://bad.example.com/", {}),
        ("https://site.com/path", {"urls": "site.com/path"}),
        ("site.com/path/", {"urls": "site.com/path"}),
        ("http://site.com/path/more", {}),
        ("http://other.com/a?b=1", {"urls": "other.com/a?b=1"}),
        ("http://h.com/Casino-x", {"hard_words": "casino"}),
        ("http://h.com/casinos", {}),
        ("http://h.com/hotdeals", {"hard_words": "hotdeals"}),
        ("http://h.com/bet/bet", {"soft_words": "bet"}),
        ("http://h.com/FREE_go-ld.html", {"substrings": "freegold"}),
        ("http://h.com/xx-l", {"substrings": "xxl"}),
        ("", {}),
        (None, {}),
    ],
)
def test_every_reason(url: str | None, expected: dict[str, str]) -> None:
    """Parent domains, case, scheme, words, and words across punctuation."""
    assert found(url) == expected


def test_words_count_once_each() -> None:
    """Two spins are one soft word; spin and bonus are two."""
    urls = pa.array(["http://h/spin/spin", "http://h/spin-bonus", "http://h/spin/bonus/bet/spin"])
    counts, _ = match(urls, UrlLists.of(LINES))
    assert counts[:, LISTS.index("soft_words")].tolist() == [1, 2, 3]


NAMES = st.sampled_from(["a", "b", "bad", "good", "x1", "com"])
HOSTS = st.lists(NAMES, min_size=1, max_size=4).map(".".join)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(HOSTS, max_size=4),
    st.lists(NAMES, max_size=2),
    HOSTS,
    st.lists(NAMES, max_size=3),
    st.sampled_from(["/", "-", "_", "?"]),
)
def test_as_a_plain_reading(
    domains: list[str], words: list[str], host: str, path: list[str], glue: str
) -> None:
    """Suffixes of the host in the set of domains; words and substrings by Python's own tools."""
    url = f"http://{host}/{glue.join(path)}"
    lines = {
        "domains": "\n".join(domains).encode(),
        "hard_words": "\n".join(words).encode(),
        "substrings": "\n".join(words).encode(),
    }
    parts = host.split(".")
    expected = {
        name for name in (".".join(parts[n:]) for n in range(len(parts))) if name in domains
    }
    got = found(url, **lines)
    assert ("domains" in got) == bool(expected)
    assert ("hard_words" in got) == bool(set(words) & set(re.split("[^a-z0-9]+", url)))
    flat = re.sub("[^a-z0-9]", "", url)
    assert ("substrings" in got) == any(word in flat for word in words)
