"""What a page states of itself: each place it may stand, their order, and hostile values."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.kernels.extraction import metadata, parse
from corpusforge.kernels.extraction.metadata import Metadata, day, language, resolve

URL = "https://harbour.example/news/fog?x=1"


def read(html: str, url: str | None = URL) -> Metadata:
    return metadata.read(parse(html, depth=5000, nodes=1_000_000), url)


def linked(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return f'<script type="application/ld+json">{text}</script>'


def published(html: str) -> str | None:
    return read(f"<head>{html}</head><body><p>Fog.</p></body>").published


def test_a_page_that_states_everything() -> None:
    """Title, canonical address, day and language, each from its usual place."""
    got = read(
        "<html lang=de-AT><title> Nebel\n im  Hafen </title><link rel='shortcut canonical'"
        " href=/nebel#oben><meta property=article:published_time content=2019-03-05T23:10:00-08:00>"
    )
    assert got == Metadata("Nebel im Hafen", "https://harbour.example/nebel", "2019-03-05", "de")
    assert read("<svg><title>icon</title></svg><p>x</p>") == Metadata()
    assert read("") == Metadata()


def test_the_first_statement_of_an_address_counts() -> None:
    """A link goes before Open Graph, which stands in where the link is none; base is heeded."""
    graph = "<meta property=og:url content=https://b.example/og>"
    assert read(f"{graph}<link rel=canonical href=https://a.example/c>").canonical_url == (
        "https://a.example/c"
    )
    assert read(f"{graph}<link rel=canonical href='javascript:x()'>").canonical_url == (
        "https://b.example/og"
    )
    base = "<base href=https://c.example/deep/>"
    assert read(f"{base}<link rel=canonical href=c>").canonical_url == "https://c.example/deep/c"
    assert read("<link rel=canonical href=/c>", None).canonical_url is None
    inside = f"<p>{'x' * 50}<span><link rel=canonical href=https://evil.example/></span></p>"
    assert read(inside).canonical_url is None


def test_the_rest_of_a_broken_head_is_read() -> None:
    """An image in the head ends it; what follows lands in the body and counts all the same."""
    html = "<head><img src=x><title>Fog</title><link rel=canonical href=/c></head><body>x"
    assert read(html) == Metadata("Fog", "https://harbour.example/c")


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://a.example/x",
        "//user:pass@a.example/",
        "http://[::1",
        "http://a.example:99999/",
        "http://a.example:x/",
        "http:///path",
        "https://a.example/<script>",
        "https://a.example/a b",
        "https://a.example/" + "x" * 3000,
        "",
    ],
)
def test_hostile_addresses_are_none(link: str) -> None:
    """Only an absolute http(s) address with a host, and nothing that breaks out of it."""
    assert resolve(link, URL) is None


@given(st.text(max_size=60), st.none() | st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_address_is_safe(link: str, base: str | None) -> None:
    """Whatever is stated, what comes back is http(s) without white space or brackets."""
    got = resolve(link, base)
    assert got is None or (got.startswith(("http://", "https://")) and not set(got) & set(' <>"\n'))


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("2019-03-05", "2019-03-05"),
        (" 2019-3-5T10:00:00Z", "2019-03-05"),
        ("2019/03/05 08:09:09", "2019-03-05"),
        ("20190305", "2019-03-05"),
        ("20190305T1010", "2019-03-05"),
        ("Tue, 05 Mar 2019 10:00:00 GMT", "2019-03-05"),
        ("2019-02-30", None),
        ("2019-13-01", None),
        ("2019-03", None),
        ("201903051", None),
        ("05/03/2019", None),  # which of them is the month?
        ("0001-01-01", None),
        ("1970-01-01T00:00:00Z", None),
        ("yesterday", None),
        (20190305, None),
        (None, None),
    ],
)
def test_days(stated: object, expected: str | None) -> None:
    """ISO 8601 and RFC 5322 days that exist; nothing that must be guessed."""
    assert day(stated) == expected


def test_the_order_of_dates() -> None:
    """JSON-LD, then meta elements, then time elements; a date that is none gives way."""
    graph = linked({"@type": "NewsArticle", "datePublished": "2001-01-01"})
    meta = "<meta property=article:published_time content=2002-02-02>"
    dull = "<meta name=date content=2003-03-03>"
    time = "<body><time datetime=2004-04-04>today</time>"
    assert published(dull + meta + graph + time) == "2001-01-01"
    assert published(dull + meta + time) == "2002-02-02"
    assert published(dull + time) == "2003-03-03"
    assert published(time) == "2004-04-04"
    assert published(linked({"@type": "Article", "datePublished": "soon"}) + time) == "2004-04-04"
    assert published("<body><p>Published 2005-05-05</p>") is None


def test_only_a_date_of_the_page_counts() -> None:
    """In linked data an article goes before its page; comments, reviews, images do not count."""
    article = {"@type": ["Thing", "BlogPosting"], "datePublished": "2001-01-01"}
    page = {"@type": "WebPage", "datePublished": "2002-02-02"}
    comment = {"@type": "Comment", "datePublished": "2003-03-03"}
    assert published(linked({"@graph": [page, comment, article]})) == "2001-01-01"
    assert published(linked([comment, page])) == "2002-02-02"
    assert published(linked({"@type": "QAPage", "mainEntity": article})) == "2001-01-01"
    assert published(linked({**page, "comment": [comment]})) == "2002-02-02"
    assert published(linked(comment)) is None


def test_a_listing_states_no_date() -> None:
    """Several dates of one rank are dates of other pages."""
    posts = [{"@type": "Article", "datePublished": f"2001-01-0{n}"} for n in (1, 2)]
    assert published(linked(posts)) is None
    times = "<body><time datetime=2001-01-01>x</time><time datetime=2001-01-0{}>x</time>"
    assert published(times.format(2)) is None
    assert published(times.format(1)) == "2001-01-01"


@pytest.mark.parametrize("wrap", ["//<![CDATA[\n{}\n//]]>", "<![CDATA[{}]]>", "<!-- {} -->", "{};"])
def test_wrapped_linked_data(wrap: str) -> None:
    """Old habits around scripts do not hide the date; neither do raw line breaks in strings."""
    text = '{"@type": "Article", "name": "a\nb", "datePublished": "2001-01-01"}'
    assert published(linked(wrap.replace("{}", text))) == "2001-01-01"


def test_linked_data_is_bounded() -> None:
    """Deep nesting, size and breadth cost nothing but the date."""
    inner = '{"@type":"Article","datePublished":"2001-01-01"}'
    assert published(linked("[" * 100_000 + inner)) is None
    assert published(linked('{"@graph":' * 20_000 + inner)) is None
    assert published(linked(f'{{"x":"{"y" * 300_000}","a":{inner}}}')) is None
    assert published(linked("[" + "0," * 50_000 + inner + "]")) is None
    assert published(linked('{"n":' + "9" * 5000 + ',"datePublished":"2001-01-01"}')) is None


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("en", "en"),
        ("EN_us", "en"),
        ("zh-Hant-TW", "zh"),
        ("pt_BR.UTF-8", "pt"),
        ("sr-Latn-RS-x", None),
        ("gsw", "gsw"),
        ("iw", "he"),
        ("utf-8", None),
        ("english", None),
        ("en, fr", None),
        ("x-default", None),
        ("und", None),
        ("", None),
        (None, None),
    ],
)
def test_language_tags(tag: str | None, expected: str | None) -> None:
    """The primary subtag, lower case; what is no tag, or no one language, is none."""
    assert language(tag) == expected


def test_the_order_of_languages() -> None:
    """The root element, then the header's stand-in, then Open Graph."""
    head = "<meta http-equiv=Content-Language content=fr><meta property=og:locale content=es_ES>"
    assert read(f"<html lang=de>{head}").language == "de"
    assert read(f"<html lang='{{{{lang}}}}'>{head}").language == "fr"
    assert read("<meta property=og:locale content=es_ES>").language == "es"
