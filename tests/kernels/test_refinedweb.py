"""RefinedWeb's line rules: equal to a slow reference that does what DCLM's modifiers.py says."""

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge import rules
from corpusforge.kernels import addresses
from corpusforge.kernels.refinedweb import LIMITED, RULES, edit

LIMITS = dict(zip(LIMITED, (2.0, 0.5, 0.999999, 2.0), strict=True))
LIMITS = dict.fromkeys(RULES, 0.0) | LIMITS
COUNTER = re.compile(
    r"^\W*\d(?:,|\.|\d)*(?:K|k|M|m|B|b)?\s+(?:likes|shares|comments|retweets|reposts|quotes"
    r"|bookmarks|upvotes|downvotes|downloads|views|followers)\W*$"
)
PIECES = {
    "items_in_cart": re.compile(r"\s?items in cart", re.I),
    "read_more": re.compile(r"\s?read more...$", re.I),
    "sign_in": re.compile(r"^sign-in\s?", re.I),
}


MORE = r"[-a-zA-Z0-9()@:%_\+.~#?&//=]*"
IPV4 = re.compile(
    rf"\s{{0,10}}\b((https?|ftp)://)?(?:[0-2]?[0-9]{{1,2}}\.){{3}}[0-2]?[0-9]{{1,2}}{MORE}"
)


@cache
def named_addresses() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """DCLM's expressions: what a text must begin with, and an address with a domain."""
    names = json.loads((Path(addresses.__file__).parent / "top_level_domains.json").read_text())
    domains = "|".join(" ".join(names["names"]).split())
    host = rf"(?:((https?|ftp)://))?[-a-zA-Z0-9@:%._\+~#=]{{1,256}}\.({domains})\b"
    return re.compile(f"(?:{domains})", re.I), re.compile(rf"\s{{0,10}}{host}({MORE})")


def without_addresses(text: str) -> tuple[str, int]:
    """What url_removal_modifier leaves, and how many it cuts."""
    begin, named = named_addresses()
    one = 0
    if begin.match(text):
        text, one = named.subn("", text)
    text, two = IPV4.subn("", text)
    return text, one + two


def reference(text: str, limits: dict[str, float]) -> tuple[str, list[int]]:
    """The text that is left, and what each rule did."""
    did = []
    for rule in RULES:
        if rule not in limits:
            did.append(0)
            continue
        if rule == "urls":
            text, cut = without_addresses(text)
            did.append(cut)
            continue
        if rule == "max_newlines":
            before = len(text)
            text = re.sub(r"\n{3,}", "\n\n", text)
            did.append(before - len(text))
            continue
        kept, touched = [], 0
        for line in text.split("\n"):
            left = line
            if rule == "max_upper_share":
                drop = line and sum(c.isupper() for c in line) / len(line) > limits[rule]
            elif rule == "max_digit_share":
                drop = line and sum(c.isdigit() for c in line) / len(line) > limits[rule]
            elif rule == "counters":
                drop = COUNTER.search(line.lower())
            elif rule == "min_line_words":
                drop = line and len(line.split()) < limits[rule]
            elif len(line.split()) <= 10:
                left = PIECES[rule].sub("", line)
                drop = line and not left.strip()
            else:
                drop = False
            touched += bool(drop) or left != line
            if not drop:
                kept.append(left)
        text = "\n".join(kept)
        text = text if rule == "min_line_words" else text.strip()
        did.append(touched)
    return text, did


PARTS = st.sampled_from(
    [
        *("word", "Word", "AB", "É", "ß", "12", "٣", "²", "_", ".", ",", "-", " ", " ", "\n", "\n"),
        *("3 likes", "1,234.5k  Views", "2m shares!", "K", "\t", "\u00a0", "\x1c", "\r", "我"),
        *(
            "items in cart",
            " Items in Cart",
            "Read more...",
            " read more",
            "…",
            "sign-in",
            "Sign-In ",
        ),
        "one two three four five six seven eight nine",
    ]
)


ADDRESSES = st.sampled_from(
    [
        *(
            "http://",
            "https://",
            "ftp://",
            "www.",
            ".com",
            ".de",
            ".org/a?b=(c)",
            "com",
            "the",
            ".",
        ),
        *(
            "1.2.3.4",
            "255.",
            "12.",
            "300.",
            "7",
            "/",
            ":",
            "@",
            " ",
            "\n",
            "\u3000",
            "x",
            "é",
            "中国",
        ),
        *(".中国", "_", "a" * 255, "b" * 300, " " * 12),
    ]
)


@settings(max_examples=600, deadline=None)
@given(st.lists(ADDRESSES, max_size=25).map("".join))
def test_addresses_equal_the_regular_expressions(text: str) -> None:
    """Also long hosts, schemes inside words, white space before them, numbers of four parts."""
    for one in (text, "in " + text):
        left, counts, _ = edit(pa.array([one]), {"urls": 0.0}, "unicode")
        assert (left[0].as_py(), counts[0, 0]) == without_addresses(one)


@settings(max_examples=400, deadline=None)
@given(st.lists(PARTS, max_size=40).map("".join), st.sets(st.sampled_from(RULES)))
def test_any_rules_equal_the_slow_reference(text: str, chosen: set[str]) -> None:
    """Also with some of them left out."""
    limits = {name: LIMITS[name] for name in RULES if name in chosen}
    left, counts, _ = edit(pa.array(["other", text])[1:], limits, "unicode")
    assert (left[0].as_py(), counts[0].tolist()) == reference(text, limits)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Plain words here\n3 likes", "Plain words here"),
        ("3 likes here\n1,200 Views.\n4k followers", "3 likes here"),
        ("MOST OF ALL this\nhalf HALF\nok ok", "half HALF\nok ok"),
        (" 12\nsome words\n 12 34", "some words\n 12 34"),
        (
            "Go on, read more...\nSign-in now please\n4 items in cart now",
            "Go on,\nnow please\n4 now",
        ),
        ("Read more!!!\nRead more.. to go", "Read more.. to go"),
        ("alone\n\n\n\n\ntwo words", "two words"),
    ],
)
def test_examples(text: str, left: str) -> None:
    """All rules together."""
    assert edit(pa.array([text]), LIMITS, "unicode")[0][0].as_py() == left


def test_share_of_words_and_nulls() -> None:
    """Words that went; nothing left is 1; a null stays null."""
    texts = pa.array(["one two three\nfour", None, "ALL GONE", "", "stays as is"])
    text, counts, signals = edit(texts, LIMITS, "unicode")
    assert text.to_pylist() == ["one two three", None, "", "", "stays as is"]
    share = signals["refinedweb_removed_word_ratio"]
    np.testing.assert_array_equal(share, [0.25, np.nan, 1, 1, 0])
    assert counts[:, RULES.index("min_line_words")].tolist() == [1, 0, 0, 0, 0]


def test_the_set_has_every_line_rule() -> None:
    """Addresses and newlines are cut earlier, by a set of their own."""
    chosen = rules.choose({"dialect": "dclm", "use": ["urls-newlines", "refinedweb"]})
    assert [rule.name for rule in chosen.edits] == list(RULES)
    assert chosen.rules[-1].signal == "refinedweb:refinedweb_removed_word_ratio"
