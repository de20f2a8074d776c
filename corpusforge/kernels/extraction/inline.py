"""The text of one block as inline Markdown: emphasis, code, links, and the escapes they need.

Source: CommonMark 0.31.2, https://spec.commonmark.org/0.31.2/, and GitHub Flavored Markdown.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from itertools import groupby

from selectolax.lexbor import LexborNode

from corpusforge.kernels.extraction.blocks import INLINE

_MARK = {"b": "**", "strong": "**", "em": "*", "i": "*"}
_EMPHASIS = ("*", "**")
_CODE = {"code", "kbd", "samp", "tt"}
_CLIMB = 16  # inline elements around a text that are looked at

# Where a character is markup; a literal replacement for each keeps the work on hostile text in C.
_MARKUP = tuple(
    (char, re.compile(pattern), rf"\{char}".replace("\\", r"\\"))
    for char, pattern in (
        ("\\", r"\\(?=[!-/:-@\[-`{-~]|$)"),  # first: it escapes the others
        ("`", "`"),
        ("*", r"\*(?!(?<=\s\*)\s)"),
        ("_", r"_(?!(?<=\s_)\s|(?<=[^\W_]_)[^\W_])"),  # not in snake_case
        ("~", r"~(?<!\s~)"),  # can open there, but every one that could close is escaped
        ("<", "<(?=[A-Za-z/!?])"),
        ("&", "&(?=#?[0-9A-Za-z]+;)"),
        ("]", r"\](?=\()"),
    )
)
_START = re.compile(
    r"#{1,6}(?=\s|$)|[>\[|]|[-+](?=\s|$)|[-:|][-:|\s]*$|=+\s*$|\d{1,9}(?=[.)](?:\s|$))"
)
_CLOSING = re.compile(r"(?:^|(?<=\s))#+$")

Resolver = Callable[[str], "str | None"]  # href -> absolute address, None: write no link


def _escaped(text: str, link: bool = False) -> str:
    """Return ``text`` so that nothing in it is markup inside a line, or in the text of a link."""
    for char, pattern, literal in _MARKUP[:-1] if link else _MARKUP:
        if char in text:
            text = pattern.sub(literal, text)
    return text.replace("[", r"\[").replace("]", r"\]") if link else text


def start(line: str) -> str:
    """Return the inline Markdown ``line`` so that it begins no block but a paragraph."""
    found = _START.match(line)
    if not found:
        return line
    at = found.end() if line[0].isdigit() else 0
    return f"{line[:at]}\\{line[at:]}"


def heading(line: str) -> str:
    """Return the inline Markdown ``line`` so that it does not close a heading."""
    return _CLOSING.sub(r"\\\g<0>", line)


def code(text: str) -> str:
    """Return ``text`` as a code span."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if text[0] == "`" or text[-1] == "`" else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def render(
    nodes: list[LexborNode],
    resolver: Resolver | None,
    *,
    emphasis: bool = True,
    paragraph: bool = True,
) -> str:
    """Return the text ``nodes`` of a block as one line; links only with a ``resolver``.

    Where it is a ``paragraph`` it is written so that it does not begin another block.
    """
    merged: list[tuple[str, str]] = []
    parts = _parts(nodes, resolver, emphasis)
    for place, (style, text) in enumerate(parts):
        if style in _EMPHASIS:
            before = parts[place - 1][1][-1] if place else ""
            after = parts[place + 1][1][0] if place + 1 < len(parts) else ""
            touches = merged and merged[-1][0] in _EMPHASIS
            style = "" if touches or not _flanked(before, text, after) else style
        if not style and merged and not merged[-1][0]:
            merged[-1] = "", merged[-1][1] + text
        else:
            merged.append((style, text))
    written = ""
    for style, text in merged:
        if style == "":
            piece = _escaped(text)
            written += start(piece) if paragraph and not written else piece
        elif style == "`":
            written += code(text)
        elif style in _EMPHASIS:
            written += f"{style}{_escaped(text)}{style}"
        else:
            if written.endswith("!"):
                written = written[:-1] + "\\!"
            written += f"[{_escaped(text, link=True)}]({style})"
    return written


def _parts(
    nodes: list[LexborNode], resolver: Resolver | None, emphasis: bool
) -> list[tuple[str, str]]:
    """Runs of equal style with white space collapsed; a style is a mark or a link's address."""
    styled = [(_style(node, resolver, emphasis), node.text_content or "") for node in nodes]
    parts: list[tuple[str, str]] = []
    space = False
    for style, group in groupby(styled, key=lambda item: item[0]):
        raw = "".join(text for _, text in group)
        words = " ".join(raw.split())
        if not words:
            space = space or bool(raw)
            continue
        if parts and (space or raw[0].isspace()):
            parts.append(("", " "))
        parts.append((style, words))
        space = raw[-1].isspace()
    return parts


def _style(node: LexborNode, resolver: Resolver | None, emphasis: bool) -> str:
    """Mark of the innermost element around a text that has one; a link's address goes first."""
    style, inside = "", True  # inside: no block has been left yet
    around = node.parent
    for _ in range(_CLIMB):
        if around is None or (style == "`" and resolver is None):
            break
        tag = around.tag or ""
        if tag == "a" and resolver is not None:
            return resolver(around.attributes.get("href") or "") or style
        if tag not in INLINE:
            if resolver is None:
                break
            inside = False
        elif inside and tag in _CODE:
            style = "`"
        elif inside and emphasis and not style:
            style = _MARK.get(tag, "")
        around = around.parent
    return style


def _flanked(before: str, text: str, after: str) -> bool:
    """Whether emphasis around ``text`` is read as such between its neighbours."""
    opens = not _sign(text[0]) or _gap(before)
    closes = not _sign(text[-1]) or _gap(after)
    return opens and closes and before not in ("*", "_") and after not in ("*", "_")


def _sign(char: str) -> bool:
    return unicodedata.category(char)[0] in "PS"


def _gap(char: str) -> bool:
    return not char or char.isspace() or unicodedata.category(char)[0] == "P"
