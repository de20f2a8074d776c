"""HTML: elements that escape whatever is put into them, and the shell of the page.

``Html`` is text that is markup already. Anything else becomes text, so a hostile document cannot
write markup; and it cannot steer the reader's screen, since control and bidi characters are shown
by their number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from corpusforge.report.style import STYLE

# No script, no network, no forms: the browser holds the page to it.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
CUT = 300  # characters of a document's text that are shown
LONGEST = 1000  # characters of any text, so that no input makes the page large

# Controls but newline and tab; bidi controls and other marks of direction; line separators;
# surrogates and noncharacters, which are no text; invisible operators, tags, byte order mark.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)


class Html(str):
    """Markup: put into an element as it is."""

    __slots__ = ()


Child = Html | str | int | float | None
Cell = Child  # of a table: None is an empty cell


def text(value: object, longest: int = LONGEST) -> Html:
    """Escape the first ``longest`` characters; those that are not seen are shown as [U+202E]."""
    if isinstance(value, Html):
        return value
    return Html(escape(visible(cut(str(value), longest)), quote=True))


def visible(value: str) -> str:
    """Show characters that are not seen by their number."""
    return _UNSEEN.sub(lambda match: f"[U+{ord(match[0]):04X}]", value)


def cut(value: str, length: int = CUT) -> str:
    """Return at most ``length`` characters of ``value``, with an ellipsis if there were more."""
    return value if len(value) <= length else value[: length - 1] + "…"


def element(name: str, /, *children: Child, **attributes: str) -> Html:
    """Return an element; ``class_`` and ``aria_label`` stand for class and aria-label."""
    named = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"' for key, value in attributes.items()
    )
    if name == "meta":  # the one void element here
        return Html(f"<{name}{named}>")
    inner = "".join(text(child) for child in children if child is not None)
    return Html(f"<{name}{named}>{inner}</{name}>")


def join(parts: Iterable[Child]) -> Html:
    """Concatenate ``parts``."""
    return Html("".join(text(part) for part in parts if part is not None))


def number(value: float) -> str:
    """Write a whole number with separators, any other number with four significant digits."""
    whole = isinstance(value, int) or (value.is_integer() and abs(value) < 1e15)
    return f"{int(value):,}" if whole else f"{value:.4g}"


def breakable(value: str) -> Html:
    """Return a name (rule, URL, path) that may be broken after its punctuation."""
    return Html(re.sub(r"([._/?=-])(?=\w)", r"\1<wbr>", text(value)))


def percent(part: float, whole: float) -> str:
    """Write ``part`` of ``whole`` as a percentage; a dash where there is no whole."""
    if not whole:
        return "–"
    value = 100 * part / whole
    return "< 0.1\u00a0%" if 0 < value < 0.1 else f"{value:.1f}\u00a0%"


def bar(part: float, whole: float, kind: str = "kept") -> Html:
    """Return a percentage with a bar of that length; ``kind`` names its colour."""
    width = min(100.0, 100 * part / whole) if whole else 0.0
    return join(
        [
            element("span", percent(part, whole), class_="share"),
            element("span", element("i", class_=kind, style=f"width:{width:.1f}%"), class_="bar"),
        ]
    )


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Html:
    """Return a table; the first cell of a row names it, numbers stand right."""
    rows = list(rows)
    if not rows:
        return element("p", f"{caption}: none.", class_="none")
    texts = [any(isinstance(cell, str) for cell in column) for column in zip(*rows, strict=True)]
    titles = join(
        element("th", title, scope="col", **({} if is_text else {"class_": "n"}))
        for title, is_text in zip(head, texts, strict=True)
    )
    inner = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", titles)),
        element("tbody", join(_row(row) for row in rows)),
    )
    return element("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _row(cells: Sequence[Cell]) -> Html:
    first, *rest = cells
    name = breakable(first) if isinstance(first, str) and not isinstance(first, Html) else first
    return element("tr", element("th", name, scope="row"), join(_cell(cell) for cell in rest))


def _cell(value: Cell) -> Html:
    if value is None:
        return element("td", "–", class_="n")
    if isinstance(value, str):
        return element("td", value)
    return element("td", number(value), class_="n")


def facts(pairs: Iterable[tuple[str, Cell]]) -> Html:
    """Return the main numbers of a run, each with its name."""
    return element(
        "dl",
        join(
            element("div", element("dt", name), element("dd", _plain(value)))
            for name, value in pairs
        ),
        class_="facts",
    )


def _plain(value: Cell) -> Child:
    return value if value is None or isinstance(value, str) else number(value)


class Section(NamedTuple):
    """A part of the page that its top links to."""

    title: str
    body: Html

    @property
    def anchor(self) -> str:
        """The fragment that names the section."""
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")

    @property
    def html(self) -> Html:
        """The section under its heading."""
        return element("section", element("h2", self.title), self.body, id=self.anchor)


def section(title: str, *children: Child) -> Section:
    """Return a section that holds ``children``."""
    return Section(title, join(children))


def details(summary: Child, *children: Child) -> Html:
    """Return a part that opens on demand."""
    return element("details", element("summary", summary), *children)


def quote(value: str, length: int = CUT) -> Html:
    """Return the beginning of a document's text, in its own direction, without empty lines."""
    return element("blockquote", cut(re.sub(r"\s*\n", "\n", value.strip()), length), dir="auto")


def page(title: str, sections: Sequence[Section], note: str = "") -> str:
    """Return the whole page; ``note`` stands under its heading."""
    links = [element("li", element("a", one.title, href=f"#{one.anchor}")) for one in sections]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", Html(STYLE)),
    )
    body = element(
        "body",
        element(
            "header",
            element("h1", title),
            element("p", note, class_="note") if note else None,
            element("nav", element("ul", join(links)), aria_label="Sections"),
        ),
        element("main", join(one.html for one in sections)),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"
