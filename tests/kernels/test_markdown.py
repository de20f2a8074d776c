"""Markdown: what each element becomes, and that a parser reads the same text back.

Oracle: markdown-it-py, a CommonMark parser with GitHub's tables and strikethrough.
"""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from corpusforge.kernels.extraction import Output, extract, visible_text

LIMITS = {"depth": 5000, "nodes": 1_000_000}
PAGES = Path(__file__).parents[3] / "shared" / "data" / "extraction_dev.jsonl.gz"
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
URL = "https://harbour.example/a/b"


def markdown(html: str, *, links: bool = False) -> str:
    return visible_text(html, **LIMITS, url=URL, output=Output(True, links)).text


def bare(text: str) -> str:
    """Text without what plain text and Markdown write differently: white space, bars of tables."""
    return "".join(text.replace("\0", "\ufffd").replace("|", "").split())


def content(source: str) -> str:
    """The text that a parser finds; markup that should be text shows as a foreign word."""
    found = []
    for token in PARSER.parse(source):
        if token.type == "inline":
            for part in token.children or []:
                if part.type in ("text", "code_inline"):
                    found.append(part.content)
                elif part.type == "image" or part.type == "s_open":
                    found.append(f"?{part.type}?")
                elif part.type == "html_inline" and part.content != "<br>":
                    found.append("?html?")
        elif token.type in ("fence", "code_block", "html_block"):
            found.append(token.content if token.type == "fence" else f"?{token.type}?")
    return bare("".join(found))


def kinds(source: str) -> list[str]:
    return [token.type for token in PARSER.parse(source)]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<h1>Fog</h1><p>One.<p>Two.", "# Fog\n\nOne.\n\nTwo."),
        ("<h3><div>Fog</div><div>and <b>rain</b> #</div></h3>", "### Fog and rain \\#"),
        ("<p>One<br>two<br><br>three", "One  \ntwo\n\nthree"),
        ("<ul><li>a<li>b</ul><p>c", "- a\n- b\n\nc"),
        ("<ol start=3><li>a<li>b<ul><li>c</ul><li>d</ol>", "3. a\n4. b\n   - c\n5. d"),
        ("<ul><li><p>a<p>b<li>c</ul>", "- a\n\n  b\n- c"),
        ("<ul><li>a<ol start=7><li>b</ol></ul>", "- a\n\n  7. b"),
        ("<ul><li><ul><li>a<li>b</ul><li>c</ul>", "- a\n- b\n\n- c"),
        (
            "<blockquote><p>a<p>b<blockquote>c</blockquote></blockquote>d",
            "> a\n>\n> b\n>\n> > c\n\nd",
        ),
        ("<pre>\n  a\n\n\tb  \n</pre>", "```\n  a\n\n\tb\n```"),
        ("<pre><code class='hljs language-rust'>f();</code></pre>", "```rust\nf();\n```"),
        ("<div class='highlight-python3 x'><div><pre>1</pre></div></div>", "```python3\n1\n```"),
        ("<div class=lang-en><pre>1</pre></div>", "```\n1\n```"),
        ("<pre>a\n```\nb</pre>", "````\na\n```\nb\n````"),
        ("<ul><li>a<pre>b\n\n c</pre></ul>", "- a\n\n  ```\n  b\n\n   c\n  ```"),
        ("<p>a <b>b</b> <i> c </i>d <strong><em>e</em></strong>", "a **b** *c* d *e*"),
        ("<p>a<b>(b)</b>c <b>d</b><i>e</i>", "a(b)c **d**e"),
        ("<p><code>a`b</code> <kbd>*</kbd> <code><b>c</b></code>", "``a`b`` `*` `c`"),
        ("<p># a<p>- b<p>1. c<p>+ d<p>&gt; e<p>--- <p>===<p>[x] f", None),
        ("<p>*a* _b_ `c` &lt;d> &amp;amp; [e](f) ~~g~~ \\* h\\", None),
        ("<p>snake_case 2 * 3 [1] a|b C# x~y", "snake_case 2 * 3 [1] a|b C# x\\~y"),
    ],
)
def test_elements(html: str, expected: str | None) -> None:
    """Each element has its form; text that looks like markup is escaped, and only that."""
    got = markdown(html)
    assert expected is None or got == expected
    assert content(got) == bare(visible_text(html, **LIMITS).text)


def test_escaped_paragraphs_stay_paragraphs() -> None:
    """Nothing that a paragraph begins with makes it a heading, a list, a rule, a definition."""
    for text in (
        "# a",
        "- b",
        "1. c",
        "2) c",
        "+ d",
        "> e",
        "---",
        "- - -",
        "===",
        "[a]: b",
        "| a",
    ):
        html = f"<p>{text.replace('>', '&gt;')}"
        assert kinds(markdown(html)) == ["paragraph_open", "inline", "paragraph_close"], text
        assert content(markdown(html)) == bare(text)
        assert kinds(markdown(f"<p>a | b<br>{text.replace('>', '&gt;')}"))[0] == "paragraph_open"


ROWS = "<tr><th>Boat<th>Load<tr><td>Ada<td>timber<tr><td>Bee<td>a|b"


def test_tables() -> None:
    """A data table is one; empty cells, spans and bars keep its columns."""
    assert markdown(f"<table>{ROWS}</table>") == (
        "| Boat | Load |\n| --- | --- |\n| Ada | timber |\n| Bee | a\\|b |"
    )
    html = "<table><tr><td rowspan=2>a<td colspan=2>b<tr><td></td><td>c<td><tr><td>d<td>e</table>"
    assert markdown(html) == "| | | |\n| --- | --- | --- |\n| a | b | |\n| | | c |\n| d | e | |"
    bold = "<table><tr><td><b>x</b><td><b>y</b><tr><td>1<td><p>2<p>3</table>"
    assert markdown(bold) == "| x | y |\n| --- | --- |\n| 1 | 2<br>3 |"
    captioned = markdown(f"<table><caption>Boats</caption>{ROWS}</table>")
    assert captioned.startswith("Boats\n\n| Boat | Load |\n")


@pytest.mark.parametrize(
    "html",
    [
        "<table><tr><td>a<td>b</table>",  # one row
        "<table><tr><td>a<tr><td>b</table>",  # one column
        f"<table><tr><td>a<td>b<tr><td>c<td><table>{ROWS}</table></table>",
        f"<table role=presentation>{ROWS}</table>",
        "<table><tr><td>a<td>b<tr><td><h2>c</h2><td>d</table>",
        "<table><tr><td>a<td>b<tr><td>c<td>" + "<p>boats and ships " * 40 + "</table>",
        "<table><tr>" + "<td>a" * 70 + "<tr>" + "<td>b" * 70 + "</table>",
        "<table><tr><td colspan=99999>a<td colspan=9999999>b<tr><td>c<td>d</table>",
    ],
)
def test_layout_tables_are_paragraphs(html: str) -> None:
    """What is no grid of values is written as the blocks it holds."""
    got = markdown(html)
    assert not got.startswith("|") and content(got) == bare(visible_text(html, **LIMITS).text)


def test_addresses_end_before_they_are_most_of_the_text() -> None:
    """One link that is never closed stands around every block, with all of its address."""
    page = f"<a href=http://a.test/{'x' * 1500}>" + "<p>Some words of a paragraph.</p>" * 3000
    output = Output(markdown=True, links=True)
    text = extract(page, depth=5000, nodes=300_000, output=output).text
    assert 3 * len(page) < len(text) < 6 * len(page)


def test_links() -> None:
    """Links are off, or written with absolute addresses; what is no address is text."""
    html = (
        "<p>See! <a href='/x (1)#y'>the <b>[log]</b></a>, <a href=#z>here</a>,"
        "<a href='javascript:x()'>run</a><a href=http://b.example>b</a>"
    )
    assert markdown(html) == "See! the **[log]**, here,runb"
    assert markdown(html, links=True) == (
        "See! [the \\[log\\]](https://harbour.example/x%20%281%29#y), here,run[b](http://b.example)"
    )


TAGS = ["a href=/x", "b", "i", "code", "p", "div", "ul", "ol start=2", "li", "blockquote", "br"]
TAGS += ["table", "tr", "td", "th", "td colspan=2", "h2", "pre", "hr", "dl", "dd", "img", "span"]
MARKUP = ["#", "- ", "1. ", "*", "**", "_", "`", "```", "~~", "[a](b)", "[a]: b", "![", "](", "|"]
MARKUP += [
    "|-|-|",
    "---",
    "===",
    ":-",
    "\\",
    "&lt;b>",
    "&amp;lt;",
    "&gt; ",
    "    ",
    "\n",
    "a",
    "é.",
]
PIECES = st.one_of(
    st.sampled_from([f"<{tag}>" for tag in TAGS] + [f"</{tag.split()[0]}>" for tag in TAGS]),
    st.sampled_from(MARKUP),
    st.text(st.characters(exclude_characters="<", exclude_categories=["Cs"]), max_size=6),
)


@given(st.lists(PIECES, max_size=50).map("".join), st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_parser_reads_the_same_text(html: str, links: bool) -> None:
    """Any markup and any text: parsed, the Markdown gives the plain text, nothing more or less."""
    assert content(markdown(html, links=links)) == bare(visible_text(html, **LIMITS).text)


@pytest.mark.skipif(not PAGES.exists(), reason="the labelled pages are not beside the repository")
def test_real_pages() -> None:
    """The same on real pages, with and without links."""
    with gzip.open(PAGES, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for number, line in enumerate(lines) if number % 20 == 3]
    for row in rows:
        want = bare(extract(row["html"], **LIMITS).text)
        for links in (False, True):
            page = extract(row["html"], **LIMITS, url=row["url"], output=Output(True, links))
            assert content(page.text) == want, row["url"]


def test_deep_and_wide_pages_are_written() -> None:
    """Nesting beyond what Markdown can show, and many columns and items, cost no more than text."""
    deep = "<ul><li>x" * 1500
    assert content(markdown(deep)) == "x" * 1500
    wide = "<table>" + "<tr><td rowspan=900>a<td>b" * 900 + "</table>"
    assert content(markdown(wide)) == "ab" * 900
    assert content(markdown("<h1>" * 1500 + "x")) == "x"
    assert content(markdown("<b><i>" * 1000 + "x")) == "x"
