"""The guard weighs pages before they are parsed; the parser itself is the oracle."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from corpusforge.kernels.extraction.guard import DEPTH, FINE, NODES, weigh

TAGS = re.findall(
    r"\S+",
    "a b p div span i font li ul ol table tr td th caption dd dt dl button option h1 h2 form pre"
    " object em section blockquote br img ruby rt address nobr label code center main x-y",
)


def weighed(html: str, depth: int, nodes: int = 1_000_000) -> tuple[int, int]:
    code, value = weigh(np.frombuffer(html.encode(), np.uint8), depth, nodes)
    return int(code), int(value)


def parsed(html: str) -> tuple[int, int]:
    """Depth and number of elements of the parsed tree."""
    deepest = elements = depth = 0
    node = LexborHTMLParser(html).root
    while node is not None:
        elements += node.is_element_node
        deepest = max(deepest, depth)
        if node.first_child is not None:
            node, depth = node.first_child, depth + 1
            continue
        while node is not None and node.next is None:
            node, depth = node.parent, depth - 1
        node = node.next if node is not None else None
    return deepest, elements


TAG = st.builds(
    "<{}{}{}>".format,
    st.sampled_from(["", "", "", "/"]),
    st.sampled_from(TAGS),
    st.sampled_from(["", "", " class=x", " id=%d"]),
)
SOUP = st.builds(
    lambda tags, times: "".join(tag.replace("%d", str(n)) for n in range(times) for tag in tags),
    st.lists(
        st.one_of(TAG, st.sampled_from(["x", "<!-- </div> -->", "<p title='</p>'>"])), max_size=8
    ),
    st.integers(1, 60),
)


@given(SOUP)
@settings(max_examples=400, deadline=None, derandomize=True)
def test_what_is_fine_parses_within_bounds(html: str) -> None:
    """A page found fine at depth 20 nests no deeper than that, the parts of tables not counted."""
    if weighed(html, depth=20)[0] == FINE:
        depth, elements = parsed(html)
        assert depth <= 4 * 20 + 6
        assert elements <= 22 * (html.count("<") + 3)


@given(st.lists(st.sampled_from(["div", "section", "span", "b", "ul"]), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_depth_is_exact_for_well_formed_pages(tags: list[str]) -> None:
    """Properly nested elements count one each: fine at their depth, refused below it."""
    html = "".join(f"<{tag} id={n}>" for n, tag in enumerate(tags)) + "x"
    html += "".join(f"</{tag}>" for tag in reversed(tags))
    repeated = html * 20
    assert weighed(repeated, depth=len(tags) + 1) == (FINE, 0)
    assert weighed(repeated, depth=len(tags) - 1)[0] == DEPTH


@pytest.mark.parametrize(
    "html",
    [
        "<p>x" * 6_000,
        "<ul>" + "<li>x" * 6_000,
        "<table>" + "<tr><td>x" * 6_000,
        "<dl>" + "<dt>x<dd>y" * 6_000,
        "<select>" + "<option>x" * 5_000,
        "<p><b>x</p>" * 2_000,
        "<p><font size=2>x" * 5_000,
        "<br>" * 6_000 + "<img src=x>" * 6_000,
        "<div><a href=x>y</a></div>" * 6_000,
        "<script>" + "if (a<b) document.write('<div>');" * 6_000 + "</script><p>x",
        "<script><!-- <script> </script>" + "<div>" * 6_000 + "--></script><p>x",
        "<!-- " + "<div>" * 6_000 + " --><p>x",
        "<svg>" + "<path d='M0'/>" * 6_000 + "</svg>",
        "<p title='" + "<div>" * 6_000 + "'>x",
        "<textarea>" + "<div>" * 6_000 + "</textarea>x",
    ],
    ids=lambda html: html[:24],
)
def test_sloppy_pages_are_fine(html: str) -> None:
    """Large flat pages pass, with unclosed elements, scripts, comments, attributes."""
    assert weighed(html, depth=500) == (FINE, 0)


@pytest.mark.parametrize(
    ("html", "code"),
    [
        ("<div>" * 6_000, DEPTH),
        ("<div>" * 100_000, DEPTH),
        ("<ul><li>" * 100_000, DEPTH),
        ("<table><tr><td>" * 100_000, DEPTH),
        ("<svg>" * 100_000, DEPTH),
        ("<a><div>" * 100_000, DEPTH),
        ("<b><div></b>" * 100_000, DEPTH),
        ("<a><ol><section><table><a><table></section></table>" * 1_000, DEPTH),
        ("".join(f"<p><font id={n}>" for n in range(2_000)), NODES),
        ("".join(f"<div><font id={n}>x</div>" for n in range(2_000)), NODES),
        ("<p " + " ".join(f"a{n}" for n in range(4_000)) + ">", NODES),
        ("".join(f"<html a{n}>" for n in range(4_000)), NODES),
        ("<div>" * 4_000 + "<p></p>" * 4_000, NODES),
        ("<select>" + "<option selected>" * 3_000, NODES),
        ("<img>" * 20_001, NODES),
        ("".join(f"<p a{n}></p>" for n in range(4_000)), NODES),
        ("".join(f"<x{n}></x{n}>" for n in range(4_000)), NODES),
        ("".join(f"</x a{n}>" for n in range(4_000)), NODES),
        ("".join(f"<!doctype x{n}>" for n in range(4_000)), NODES),
        ("<p " + " ".join(f"a{n}" for n in range(4_000)), NODES),  # cut before its end
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else None,
)
def test_hostile_pages_are_refused(html: str, code: int) -> None:
    """Deep nesting and what makes the parser quadratic are refused, named by their limit."""
    depth, nodes = (500, 1_000_000) if code == DEPTH else (5_000, 20_000)
    found, value = weighed(html, depth, nodes)
    assert found == code
    assert value > (depth if code == DEPTH else nodes)


@pytest.mark.parametrize(
    "piece", ["<b id=%d>", "<", "</", "<!--", "<a b='", "<script>", "<![CDATA[", "&", "</p", "x>"]
)
def test_much_of_anything_is_weighed(piece: str) -> None:
    """Unfinished markup of every kind ends; a search that starts anew at each piece would not."""
    html = "".join(piece.replace("%d", str(n)) for n in range(200_000 // len(piece)))
    assert weighed(html, depth=500)[0] == (DEPTH if "%d" in piece else FINE)
