"""PII: what is a value and what is not, equal fakes for equal values, and nothing left to do."""

import gzip
import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpusforge.kernels import pii
from corpusforge.kernels.pii import KINDS, mask

SHARED = Path(__file__).parents[3] / "shared" / "data"


def masked(text: str, *kinds: str, **options: str) -> tuple[str, list[int]]:
    """The text of one document and its counts, of all kinds unless some are named."""
    column, counts = mask(pa.array([text]), kinds or KINDS, **options)  # type: ignore[arg-type]
    return column[0].as_py(), counts[0].tolist()


def marked(text: str) -> str:
    """The text with markers instead of values of any kind."""
    return masked(text, replace="marker")[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # addresses: punctuation around them stays, what is no top-level domain is none of theirs
        ("Write to (jo.do+x@mail.site.co.uk).", "Write to ([EMAIL])."),
        ("邮箱jo@site.cn。", "邮箱[EMAIL]。"),
        ("mailto:jo@site.de?to=a_b@site.de", "mailto:[EMAIL]?to=[EMAIL]"),
        ("-jo@site.com-", "-[EMAIL]-"),
        ("jo@site.com.123", "[EMAIL].123"),
        ("a..jo@site.com", "a..[EMAIL]"),
        ("npm i pkg@1.2.3 lodash@v4", "npm i pkg@1.2.3 lodash@v4"),
        (
            "jo@localhost @handle a@ @b.com jo.@site.com",
            "jo@localhost @handle a@ @b.com jo.@site.com",
        ),
        (
            "jo@example.com x@a.example.org y@host.example",
            "jo@example.com x@a.example.org y@host.example",
        ),
        # IPv4: whole numbers, public ones
        ("ping 8.8.8.8, 8.8.4.4:53", "ping [IP], [IP]:53"),
        ("10.0.0.1 192.168.1.1 127.0.0.1 224.0.0.5 203.0.113.9", None),
        ("v4.0.0.1 1.2.3.4.5 11.2.3.4a 256.1.1.1 01.2.3.4 1.2.3 7.1.2.3.4", None),
        ("地址9.9.9.9是", "地址[IP]是"),
        ("root@9.9.9.9:/", "root@[IP]:/"),
        # IPv6: global unicast
        ("[2606:4700::6810:84e5]:443", "[[IP]]:443"),
        ("at 2606:4700:0:0:0:0:6810:84e5: up", "at [IP]: up"),
        ("fe80::1 ::1 2001:db8::7 3fff:1::2 std::string 20:30:40 2001:1 2606::g", None),
        # phone: international
        ("+49 (0)30 123-4567, +1.202.456.1111", "[PHONE], [PHONE]"),
        ("+1 202-555-0123; 5+4123456789 +123 456 +0301234567 +1234567890123456", None),
        # IBAN: country, length, check digits
        ("IBAN DE89 3704 0044 0532 0130 00.", "IBAN [IBAN]."),
        ("GB82WEST12345698765432", "[IBAN]"),
        ("DE88 3704 0044 0532 0130 00 DE89370400440532013000X ZZ89370400440532013000", None),
        # cards: issuer, length, Luhn; no numbers of tables, decimals or identifiers
        ("4111 1111 1111 1111; 378282246310005", "[CARD]; [CARD]"),
        ("5555-5555-5555-4444; 3782 822463 10005", "[CARD]; [CARD]"),
        ("4111 1111 1111 1112 0.4111111111111111 4111111111111111x", None),
        ("1234 4111 1111 1111 1111 4111 1111 1111 1111 1234", None),
        # overlap: the earlier, then the longer
        ("9.9.9.9@site.com", "[EMAIL]"),
        ("+4915112345678@site.com", "[PHONE]@site.com"),
    ],
)
def test_what_is_a_value(text: str, expected: str | None) -> None:
    """Each kind finds its values and leaves what only looks like one; None: nothing is found."""
    assert marked(text) == (text if expected is None else expected)


def test_equal_values_have_equal_fakes_of_reserved_space() -> None:
    """However they are written, in any text; other values have others; counts are by kind."""
    texts = ["Jo@Site.com, 4111 1111 1111 1111", None, "4111111111111111 jo@site.com lo@site.com"]
    column, counts = mask(pa.array(texts), ("card", "email"))
    first, none, second = column.to_pylist()
    assert none is None
    assert counts.tolist() == [[1, 1], [0, 0], [1, 2]]
    email, card = first.split(", ")
    assert re.fullmatch(r"user[0-9a-f]{8}@example\.(com|org)", email)
    assert second.split()[:2] == [card.replace(" ", ""), email]
    assert second.split()[2] != email
    assert re.fullmatch(r"0000( \d{4}){3}", card)


def test_only_the_kinds_asked_for() -> None:
    """Default spec: none at all."""
    text = "jo@site.com 9.9.9.9"
    assert masked(text, "ip")[0].startswith("jo@site.com ")
    assert masked(text, "email")[0].endswith(" 9.9.9.9")
    assert mask(pa.array([text]), ())[0][0].as_py() == text


VALUES = st.sampled_from(
    [
        *("jo@site.com", "a.b@x.y.org", "9.9.9.9", "10.0.0.1", "2606:4700::6810:84e5"),
        *("2001:db8::1", "+49 30 1234567", "DE89 3704 0044 0532 0130 00", "378282246310005"),
        *("GB82WEST12345698765432", "4111 1111 1111 1111", "XX00123456789012345678"),
        *("0000 1111 2222 3333", "+1 212-555-0100"),
    ]
)
GLUE = st.text(alphabet=" .,-+@:/_1aFé0中\n(", max_size=3)
TEXTS = st.lists(st.tuples(GLUE, VALUES, GLUE).map("".join), max_size=5).map("".join)


@example(["378282246310005-9.9.9.9"], "marker", 0)
@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.none() | TEXTS, max_size=4), st.sampled_from(["fake", "marker"]), st.integers(0, 4)
)
def test_a_second_pass_changes_nothing_and_rows_stand_alone(
    texts: list[str | None], replace: str, cut: int
) -> None:
    """mask(mask(t)) = mask(t) with nothing counted; mask(concat) = concat(mask); nulls stay."""
    column = pa.array(texts, pa.string())
    once, counts = mask(column, KINDS, replace=replace)  # type: ignore[arg-type]
    once.validate(full=True)
    twice, again = mask(once, KINDS, replace=replace)  # type: ignore[arg-type]
    assert twice.to_pylist() == once.to_pylist()
    assert again.sum() == 0
    assert once.is_null().equals(column.is_null())
    parts = [mask(column[:cut], KINDS, replace=replace), mask(column[cut:], KINDS, replace=replace)]  # type: ignore[arg-type]
    assert once.to_pylist() == [text for part, _ in parts for text in part.to_pylist()]
    assert counts.tolist() == [row for _, part in parts for row in part.tolist()]


@pytest.mark.parametrize(
    "piece", ["@", "a@a.", "1.", "9.9.9.9", "1 ", "AB12 ", "+1(", "2001:", "a-"]
)
def test_hostile_texts_are_read_once(piece: str) -> None:
    """A megabyte of near values; twice as much must not cost four times (it would take minutes)."""
    text = piece * (1_000_000 // len(piece))
    column, _ = mask(pa.array([text]), KINDS)
    assert len(column[0].as_py()) > 0
    mask(pa.array([text[:100_000]]), KINDS, dialect="datatrove")


@pytest.mark.skipif(not SHARED.exists(), reason="the recorded decisions are not beside the clone")
def test_the_dialect_datatrove_counts_what_datatrove_counts() -> None:
    """Emails and IPs of every text that has one, against datatrove 0.10.1's own counts."""
    with gzip.open(SHARED / "filters_dev.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines if '"pii"' in line]
    wanted = {
        row["id"]: (row["values"]["emails"], row["values"]["ips"])
        for row in rows
        if row["filter"] == "pii" and row["values"]["emails"] + row["values"]["ips"]
    }
    ids, texts = [], []
    for name in ("text_sample", "extraction_dev"):
        with gzip.open(SHARED / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                if row["id"] in wanted:
                    ids.append(row["id"])
                    texts.append(row["text"])
    assert len(ids) > 300
    _, counts = mask(pa.array(texts), ("email", "ip"), dialect="datatrove")
    assert {i: tuple(c) for i, c in zip(ids, counts.tolist(), strict=True)} == wanted


def test_the_fakes_pass_their_own_test() -> None:
    """Every fake of many values is of reserved space and is left alone."""
    many = [
        f"u{n}@h{n}.com 9.{n % 200}.8.{n % 250} 2606:47::{n:x} +4930{n:07d}" for n in range(500)
    ]
    once, counts = mask(pa.array(many), ("email", "ip", "phone"))
    assert counts.sum(axis=0).tolist() == [500, 1000, 500]
    assert pii.mask(once, KINDS)[1].sum() == 0
    assert len(set(once.to_pylist())) == 500
