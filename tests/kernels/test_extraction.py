"""Main content of HTML pages: what each rule keeps and drops, on pages written for it."""

from dataclasses import fields

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.kernels.extraction import extract, extract_batch, parse, visible_text
from corpusforge.kernels.extraction.blocks import OverLimit, walk
from corpusforge.kernels.extraction.containers import measure
from corpusforge.kernels.extraction.selection import by_rules
from corpusforge.kernels.extraction.text import render

LIMITS = {"depth": 5000, "nodes": 1_000_000}
STORY = [
    "The harbour master counted eleven boats before the fog closed the bay for the whole night.",
    "By morning only nine of them had answered the horn, and nobody could say just why that was.",
    "The two that were missing came home at noon, loaded with good timber from a wrecked barge.",
    "Their crews were fined for salvage without a permit, then bought a round for all the town.",
]
BODY = "".join(f"<p>{line}</p>" for line in STORY)


def text(html: str) -> str:
    return extract(html, **LIMITS).text


def ruled(html: str) -> str:
    """What the rules choose without the learned trees."""
    root = parse(html, **LIMITS).root
    assert root is not None
    seen = walk(root, **LIMITS)
    return render(seen, by_rules(seen, measure(seen)))


def page(body: str, head: str = "") -> str:
    return f"<html><head>{head}</head><body>{body}</body></html>"


@pytest.mark.parametrize(
    "beside",
    [
        "<nav><ul><li>Harbour news of the week<li>Tide tables of the month</ul></nav>",
        "<footer><p>Printed and published by the press at the old fish market.</p></footer>",
        "<div class='related-posts'><h3>More</h3><a href=/b>Ten knots to know</a></div>",
        "<div class='mainMenu'><p>Boats and ships and everything that floats on water.</p></div>",
        "<div id=cookie-banner><p>We keep biscuits in a jar and you agree to that.</p></div>",
        "<div class=promo>Buy a boat</div>",
        "<div aria-hidden=true><a href=/c>Skip to the harbour</a></div>",
        "<script>var boats = 'eleven';</script><style>p { color: navy }</style>",
        "<ul><li><a href=1>One long link</a><li><a href=2>Another long link</a></ul>",
    ],
)
def test_boilerplate_beside_an_article_goes(beside: str) -> None:
    """Menus, footers, notices, related links, scripts leave; the article stays as it is."""
    assert ruled(page(f"<main>{BODY}</main>{beside}")) == "\n".join(STORY)
    assert ruled(page(f"<div>{BODY}{beside}{BODY}</div>")) == "\n".join(STORY * 2)


def test_a_name_is_not_believed_against_the_text() -> None:
    """An article that stands in an element called sidebar stays, a short sidebar does not."""
    beside = f"<p>{STORY[0]} {STORY[1]}</p>"
    assert ruled(page(f"<div class=sidebar>{BODY}</div>{beside}")).startswith("\n".join(STORY))
    assert ruled(page(f"<div class=sidebar>{beside}</div>{BODY * 2}")) == "\n".join(STORY * 2)


def test_weak_names_and_hidden_text_count_where_there_is_no_prose() -> None:
    """A banner with a sentence of its own is content, one with a slogan is not."""
    slogan, prose = "Buy a boat, sell a boat, rent a boat", f"{STORY[0]} {STORY[1]}"
    assert slogan not in ruled(page(f"<main><div class=banner>{slogan}</div>{BODY * 2}</main>"))
    assert prose in ruled(page(f"<main><div class=banner>{prose}</div>{BODY * 2}</main>"))
    assert prose in ruled(page(f"<main><div style='display: none'>{prose}</div>{BODY * 2}</main>"))


def test_what_stands_before_the_main_part_is_left() -> None:
    """Lines beside the container of the text are not content, but a heading is."""
    html = page(f"<div>Monday, 12 degrees</div><div><h1>Fog</h1></div><div>{BODY}</div>")
    assert ruled(html) == "\n".join(["Fog", *STORY])
    assert ruled(page(f"<main>{BODY}</main><div>{BODY[:120]}</div>")) == "\n".join(STORY)


def test_the_strongest_name_counts() -> None:
    """Of several words in the names of an element each counts, wherever it stands."""
    for names in ("class='widget-area' id=siteNav", "class='siteNav widget-area'"):
        beside = f"<div {names}>{STORY[0]} {STORY[1]}</div>"
        assert ruled(page(f"<main>{beside}{BODY * 2}</main>")) == "\n".join(STORY * 2)


def test_the_tail_of_an_article_goes() -> None:
    """What follows the last paragraph stays only where it is text."""
    tail = "<div>Posted on Monday</div><p><a href=1>Read on</a></p>"
    assert ruled(page(f"<main>{BODY}{tail}</main>")) == "\n".join(STORY)
    assert ruled(page(f"<main>{BODY}{tail}<p>The end</p></main>")).endswith("\nThe end")


def test_words_count_only_where_they_stand_alone() -> None:
    """ "navy" and "sharepoint" are no navigation and no sharing."""
    inner = f"<p class='navy sharepoint'>{STORY[3]}</p>"
    assert STORY[3] in text(page(f"<div>{BODY}{inner}</div>"))


def test_comments_go_under_an_article_and_stay_in_a_forum() -> None:
    """Comments are judged as one: dropped beside an article, kept where they are the page."""
    posts = "".join(f"<div class=comment><p>{line}</p></div>" for line in STORY * 15)
    article = "".join(f"<p>{line}</p>" for line in STORY * 12)
    assert ruled(page(f"<article>{article}</article>{posts}")).count(STORY[0]) == 12
    assert ruled(page(f"<article>{BODY * 2}</article>{posts[:300]}")).count(STORY[0]) == 2
    forum = ruled(page(f"<h1>Fog</h1><p>{STORY[0]} {STORY[1]}</p>{posts}"))
    assert forum.count(STORY[0]) == 16


def test_headings_and_lists_are_lines() -> None:
    """Headings and list items stand on lines of their own, in order."""
    items = "<ul><li>One <b>skipper</b></li><li>Two</ul>"
    body = f"<h1>Fog in the bay</h1>{BODY}<h2>Crew</h2>{items}{BODY}"
    lines = text(page(f"<article>{body}</article>")).split("\n")
    assert lines == ["Fog in the bay", *STORY, "Crew", "One skipper", "Two", *STORY]


def test_table_rows_are_lines() -> None:
    """A data table gives a line a row with its cells separated; a layout table its blocks."""
    rows = "<tr><th>Boat<th>Load</tr><tr><td>Ada</td><td><p>timber</p></td></tr>"
    got = text(page(f"<article>{BODY}<table>{rows}</table>{BODY}</article>"))
    assert got.split("\n")[4:6] == ["Boat | Load", "Ada | timber"]
    layout = text(page(f"<table><tr><td>{BODY}</td><td>{BODY}</td></tr></table>"))
    assert layout.split("\n") == STORY * 2


def test_preformatted_text_keeps_its_white_space() -> None:
    """Code keeps line breaks and indentation; other text has its white space collapsed."""
    code = "def dock(boat):\n    if boat.fog:\n        return None"
    body = f"{BODY}<pre><code>\n{code}\n</code></pre><p>  spaced \n  out\ttext </p>{BODY}"
    assert f"\n{code}\nspaced out text\n" in text(page(f"<article>{body}</article>"))


def test_line_breaks_separate_lines() -> None:
    """``br`` ends a line as a paragraph does."""
    assert text(page("<div>" + "<br><br>".join(STORY) + "</div>")) == "\n".join(STORY)


def test_links_are_content_where_there_is_no_prose() -> None:
    """A listing keeps its linked cards."""
    cards = "".join(
        f"<div class=card><h3><a href=/{n}>Boat number {n}</a></h3>"
        f"<span>{n} metres, {n}00 crowns</span></div>"
        for n in range(10, 30)
    )
    got = text(page(f"<nav><a href=/>Home</a></nav><main>{cards}</main>"))
    assert "Boat number 17\n17 metres, 1700 crowns" in got and "Home" not in got


def test_near_empty_results_fall_back_to_more() -> None:
    """A page without any paragraph gives its unlinked text rather than nothing."""
    days = ["Mondays we mend nets", "Tuesdays we fish", "Fridays we sell", "Sundays we sleep"]
    html = "".join(f"<div class=notice>{day}</div>" for day in days)
    assert text(page(f"<nav><a href=/>Home</a></nav>{html}")) == "\n".join(days)


def test_noscript_holds_the_page_that_scripts_replace() -> None:
    """Forums put their posts into noscript for readers without scripts; they are read."""
    assert text(page(f"<div id=app></div><noscript>{BODY}</noscript>")) == "\n".join(STORY)


def test_other_scripts_weigh_as_much() -> None:
    """Chinese paragraphs are paragraphs although they have few characters."""
    line = "雾锁海湾之前，港务长数过一共有十一条船，第二天早上只有九条船回应了汽笛声。"
    links = "<ul><li><a href=1>更多新闻</a><li><a href=2>港口的历史</a></ul>"
    assert text(page(f"<div>{links}{f'<p>{line}</p>' * 4}</div>")) == "\n".join([line] * 4)


def test_blocks_are_counted() -> None:
    """How many blocks the page has, and how many of them make its text."""
    got = extract(f"<nav><a href=/>Home</a></nav>{BODY}", **LIMITS)
    assert (got.blocks_kept, got.blocks_seen) == (4, 5)


def test_visible_text_keeps_everything_shown() -> None:
    """Without boilerplate removal menus stay, scripts do not."""
    html = page("<nav><a href=/>Home</a></nav><p>Short.</p><script>x()</script>")
    assert visible_text(html, **LIMITS).text == "Home\nShort."


@pytest.mark.parametrize("html", ["", " ", "\0", "<", "<!doctype html>", "plain", "<html></html>"])
def test_pages_that_hardly_are_pages(html: str) -> None:
    """No input is too small to be a page."""
    assert text(html) == ("plain" if html == "plain" else "<" if html == "<" else "")


def test_limits_name_what_is_exceeded() -> None:
    """Too deep and too large pages are refused with the limit and what was reached."""
    with pytest.raises(OverLimit) as over:
        extract("<div>" * 101 + "x", depth=100, nodes=1000)
    assert (over.value.name, over.value.value) == ("depth", 101)
    with pytest.raises(OverLimit) as over:
        extract("<p>x</p>" * 501, depth=100, nodes=1000)
    assert over.value.name == "nodes" and over.value.value > 1000
    assert extract("<div>" * 90 + "x", depth=100, nodes=1000).text == "x"


def test_a_batch_reports_each_page_by_itself() -> None:
    """Null stays null, a limit and a bug belong to their page, the others are extracted."""

    def broken(html: bytes, **limits):  # type: ignore[no-untyped-def]
        if b"fog" not in html:
            raise TypeError("no fog")
        return extract(html, **limits)

    html = pa.array([None, BODY, "<div>" * 600, "<p>clear</p>"])
    limits = {"depth": 100, "nodes": 1000}
    got = extract_batch(html, extractor=broken, **limits)
    assert got.text.to_pylist() == [None, "\n".join(STORY), None, None]
    assert got.error.to_pylist() == [None, None, "TypeError: no fog", "TypeError: no fog"]
    got = extract_batch(html[2:], **limits)
    assert got.limit.to_pylist() == ["depth", None]
    assert got.limit_value.to_pylist() == [101, None]
    assert got.text.to_pylist() == [None, "clear"]


TAGS = ["a", "b", "p", "div", "span", "ul", "li", "table", "tr", "td", "nav", "h1", "pre", "br"]
TAGS += ["script", "style", "svg", "math", "select", "template", "noscript"]
PIECES = st.one_of(
    st.sampled_from([f"<{tag}>" for tag in TAGS] + [f"</{tag}>" for tag in TAGS]),
    st.sampled_from(
        ["<div class='nav", "<!--", "-->", "<![CDATA[", "]]>", '<a href="', "&#0;", "<"]
    ),
    st.text(max_size=12),
)
PAGES = st.lists(PIECES, max_size=60).map("".join)


@given(PAGES)
@settings(max_examples=300, deadline=None)
def test_any_markup_is_extracted(html: str) -> None:
    """No markup breaks the extractor, and what it returns was on the page."""
    got = extract(html, **LIMITS)
    shown = visible_text(html, **LIMITS).text
    assert all(line in shown for line in got.text.split("\n"))
    assert got.blocks_kept <= got.blocks_seen


@given(st.lists(st.none() | PAGES, max_size=6), st.integers(0, 6))
@settings(max_examples=50, deadline=None)
def test_batches_may_be_cut_anywhere(html: list[str | None], cut: int) -> None:
    """The result of two batches together is the results of each."""
    whole = extract_batch(pa.array(html, pa.string()), **LIMITS)
    parts = [
        extract_batch(pa.array(part, pa.string()), **LIMITS) for part in (html[:cut], html[cut:])
    ]
    for name in (field.name for field in fields(whole)):
        joined = pa.concat_arrays([getattr(part, name) for part in parts])
        assert getattr(whole, name).equals(joined)
