"""Elements escape whatever is put into them."""

import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from corpusforge.report import page

ANY = st.text(st.characters(), max_size=60) | st.text(alphabet="<>&\"'=/ ;#xX3cbp-![]", max_size=60)


@given(ANY, ANY)
@example("</p><script>", "\" onload='x")
@example("\ud800\udfff", "&lt;&#60;\x00")
def test_any_text_stays_text(inner, attribute):
    """A parser reads back the text of child and attribute, and no other element."""
    html = page.element("p", inner, class_=attribute)
    html.encode()
    tree = LexborHTMLParser(html)
    assert [node.tag for node in tree.body.traverse()] == ["body", "p"]
    assert tree.body.child.attributes == {"class": shown(attribute) or None} or not attribute
    assert tree.body.child.text() == shown(inner)


def shown(value):
    """What stands for ``value``, by the Unicode database: direction and controls by number."""
    hidden = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    for one in set(value):
        control = unicodedata.category(one) == "Cc" and one not in "\n\t"
        if control or unicodedata.bidirectional(one) in hidden:
            assert one not in page.text(one)
    return LexborHTMLParser(f"<p>{page.text(value)}</p>").css_first("p").text()


def test_direction_controls_are_shown():
    """Marks that reorder what is read are written out."""
    assert page.text("a\u202eb\u2066c\u200fd\x1b[0m\ufeff") == (
        "a[U+202E]b[U+2066]c[U+200F]d[U+001B][0m[U+FEFF]"
    )
    assert page.text("می‌خواهم 👩‍👩‍👧 é") == "می‌خواهم 👩‍👩‍👧 é"  # joiners are spelling


def test_names_break_after_their_punctuation():
    """Break marks never fall into an escape."""
    assert page.breakable("a.b_c/d?e=f") == "a.<wbr>b_<wbr>c/<wbr>d?<wbr>e=<wbr>f"
    assert LexborHTMLParser(page.breakable("<a&b.c>'\"")).text() == "<a&b.c>'\""


def test_numbers():
    """Whole numbers in full, others with four digits; a share of nothing is a dash."""
    assert [page.number(n) for n in (1234567, 100000.0, 0.123456, 1e-7)] == [
        "1,234,567", "100,000", "0.1235", "1e-07",
    ]  # fmt: skip
    assert [page.percent(*pair) for pair in ((1, 3), (1, 10**6), (0, 5), (0, 0))] == [
        "33.3\u00a0%", "< 0.1\u00a0%", "0.0\u00a0%", "–",
    ]  # fmt: skip
