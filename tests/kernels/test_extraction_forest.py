"""The learned evidence for blocks, against plain Python; and pages in the style of known software.

The pages are written for these tests.
"""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.kernels.extraction import extract, features, forest

LIMITS = {"depth": 5000, "nodes": 1_000_000}
TEXTS = st.lists(
    st.text(alphabet="aZ9 ,.!?:;、。，！？…।؟é界\n", min_size=1, max_size=12), min_size=1
)


@given(TEXTS)
@settings(max_examples=200, deadline=None)
def test_characters_are_counted(texts: list[str]) -> None:
    """Counts of each block agree with Python's strings."""
    data = [text.encode() for text in texts]
    ends = np.cumsum([len(item) for item in data]).astype(np.int32)
    got = features.characters(np.frombuffer(b"".join(data), np.uint8), ends)
    for row, text, item in zip(got, texts, data, strict=True):
        stops = sum(c in "。！？…।؟" for c in text) + sum(
            c in ".!?" and (i + 1 == len(text) or text[i + 1] in " \n!") for i, c in enumerate(text)
        )
        last = text[-1]
        assert row[:9].tolist() == [
            len(item),
            len(text),
            text.count(" "),
            sum(c in ",;、，" for c in text),
            stops,
            text.count("9"),
            text.count("Z"),
            text.count("a"),
            2 if last in ".!?。！？…।؟" else 1 if last == ":" else 0,
        ]
    same = [texts.count(text) for text in texts]
    assert features._repeats(got[:, 9]).tolist() == same


@given(st.lists(st.integers(-8, 8), max_size=9), st.integers(0, 6))
@settings(max_examples=200, deadline=None)
def test_smoothing_finds_the_best_choice(gain: list[int], cost: int) -> None:
    """No other choice of blocks gains more than the one found."""

    def worth(chosen: tuple[bool, ...]) -> int:
        turns = sum(a != b for a, b in pairwise(chosen))
        return sum(g for g, c in zip(gain, chosen, strict=True) if c) - cost * turns

    got = forest.smooth(np.array(gain, np.float64), float(cost))
    every = product([False, True], repeat=len(gain))
    assert worth(tuple(got.tolist())) == max(worth(choice) for choice in every)


def test_trees_are_followed_as_they_are_stored() -> None:
    """The sum over the shipped trees is that of a plain walk, and every branch ends in a leaf."""
    root, feature, threshold, after, leaf = forest.trees()
    assert threshold.dtype == np.float32 and leaf.dtype == np.float64
    rng = np.random.default_rng(5)
    x = threshold[rng.integers(0, len(threshold), (40, int(feature.max()) + 1))]
    want = []
    for row in x:
        total = 0.0
        for node in root.tolist():
            while node >= 0:
                node = int(after[node][1 if row[feature[node]] > threshold[node] else 0])
            total += float(leaf[~node])
        want.append(total)
    assert forest.evaluate(x, root, feature, threshold, after, leaf).tolist() == want
    assert np.all(after[:, 0] != np.arange(len(after)))
    reached = sorted(place for pair in after.tolist() for place in pair)
    inner = [place for place in reached if place >= 0]
    assert sorted(inner + root.tolist()) == list(range(len(feature)))
    assert sorted(~place for place in reached if place < 0) == list(range(len(leaf)))


TALE = [
    "The harbour master counted eleven boats before the fog closed the bay for the whole night.",
    "By morning only nine of them had answered the horn, and nobody could say just why that was.",
    "The two that were missing came home at noon, loaded with good timber from a wrecked barge.",
    "Their crews were fined for salvage without a permit, then bought a round for all the town.",
]
FOOT = "<div id=footer><p>Copyright of the harbour press. All rights reserved.</p></div>"
MENU = "<div class=menu><ul><li><a href=1>Boats<a><li><a href=2>Login</a></ul></div>"
POSTS = "".join(
    f"<div class='post bg2'><dl class=postprofile><dt><a>skipper{n}</a></dt><dd>Joined: Monday</dd>"
    f"</dl><div class=postbody><h3>Re: boats</h3><div class=content>{line}</div></div></div>"
    for n, line in enumerate(TALE)
)
ANSWERS = "".join(
    f"<div class=answer><div class='s-prose js-post-body'><p>{line}</p><pre>tie(knot)\nrun()</pre>"
    "</div><div class=user-info><a>jack</a></div></div>"
    for line in TALE[2:]
)
HASHED = "".join(f"<div class=css-p>{line}</div>" for line in TALE)
ARABIC = [
    "أحصى مدير الميناء أحد عشر قاربا قبل أن يغلق الضباب الخليج طوال الليل كله.",
    "وفي الصباح أجاب تسعة منها فقط على البوق، ولم يعرف أحد لماذا حدث ذلك.",
    "وعاد القاربان المفقودان عند الظهر محملين بالأخشاب من سفينة غارقة قرب الشاطئ.",
]
BLOG = [
    "霧が湾を閉ざす前に、港長は十一隻の船を数えた。",
    "朝になると、汽笛に答えたのは九隻だけで、その理由は誰にもわからなかった。",
    "行方不明だった二隻は、難破した船の木材を積んで正午に帰ってきた。",
]


@pytest.mark.parametrize(
    ("html", "holds", "lacks"),
    [
        pytest.param(
            f"<div id=wrap>{MENU}{POSTS}{FOOT}</div>", TALE, ["Login", "rights"], id="forum"
        ),
        pytest.param(
            "<div id=mainbar role=main><div class=question><div class=js-post-body>"
            f"<p>{TALE[0]}</p><p>{TALE[1]}</p></div></div><div id=answers>{ANSWERS}"
            f"</div></div><div id=sidebar><h4>Related</h4><a href=3>Knots</a></div>{FOOT}",
            [*TALE, "tie(knot)\nrun()"],
            ["Knots", "rights"],
            id="questions",
        ),
        pytest.param(
            "<div class=css-1><a href=1>World</a><a href=2>Sport</a></div><div class=css-9>"
            f"<h1>Lost</h1>{HASHED}</div><div class=css-z><h2>More</h2><div>"
            "<a href=5>Ten knots to know</a></div><div><a href=6>Why it went dark</a></div></div>",
            ["Lost", *TALE],
            ["Sport", "Ten knots", "dark"],
            id="names-without-meaning",
        ),
        pytest.param(
            f"<table><tr><td colspan=2><a href=1>Home</a> | <a href=2>News</a></td></tr><tr><td><a"
            f" href=3>Knots</a><br><a href=4>Weather</a></td><td>{'<br><br>'.join(TALE)}</td></tr>"
            "</table>",
            TALE,
            ["Knots", "Weather"],
            id="layout-table",
        ),
        pytest.param(
            "<header><ul><li><a href=1>الرئيسية</a><li><a href=2>رياضة</a></ul></header>"
            f"<main><h1>قاربان</h1>{''.join(f'<p>{line}</p>' for line in ARABIC)}"
            "<div class=related><a href=3>تاريخ</a></div></main>"
            "<footer><p>جميع الحقوق محفوظة للموقع</p></footer>",
            ["قاربان", *ARABIC],
            ["رياضة", "تاريخ", "جميع"],
            id="arabic",
        ),
        pytest.param(
            f"<div id=main><div class=entry><div class=entry-body>{'<br><br>'.join(BLOG * 2)}</div>"
            "<div class=entry-footer>カテゴリ：<a href=1>日記</a></div></div></div>"
            "<div id=side><h4>アーカイブ</h4><ul>"
            "<li><a href=2>3月</a><li><a href=3>2月</a></ul></div>",
            BLOG,
            ["日記", "2月"],
            id="japanese-blog",
        ),
    ],
)
def test_pages_of_many_styles(html: str, holds: list[str], lacks: list[str]) -> None:
    """What people came for is kept, what every page of the site has is not."""
    text = extract(f"<html><body>{html}</body></html>", **LIMITS).text
    assert [line for line in holds if line not in text] == []
    assert [line for line in lacks if line in text] == []
