"""A parsed page as flat lists: its block elements in document order, and the text they hold.

One iterative walk visits every node once; nesting and node counts are limited there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from selectolax.lexbor import LexborNode

from corpusforge.kernels.extraction import roles


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


HEADINGS = _names("h1 h2 h3 h4 h5 h6")
INLINE = _names(
    "a abbr acronym b basefont bdi bdo big cite code data del dfn em font i img ins kbd label mark"
    " nobr q rb rp rt rtc ruby s samp small span strike strong sub sup time tt u var wbr"
)
SKIPPED = _names(
    "-comment -doctype applet area audio base button canvas col colgroup datalist dialog embed"
    " frame frameset head iframe input link map math meta meter noframes object param progress rp"
    " script select source style svg template textarea title track video"
)
PREFORMATTED = _names("listing plaintext pre xmp")
# What the walk does with a node, by the number that Lexbor gives its tag: asking for the number is
# several times as fast as asking for the name.
_INLINE, _LINK, _SKIP, _BREAK, _BLOCK, _PRE = range(6)
_KNOWN: dict[int, tuple[int, str]] = {}
_NUMBERED = 1024  # those of tags that Lexbor knows are below; others are given anew in each page
_TEXT = 2  # LXB_TAG__TEXT in Lexbor's tag/const.h


class OverLimit(Exception):
    """A page exceeds the limit ``name`` ("depth" or "nodes"); ``value`` is what was reached."""

    def __init__(self, name: str, value: int) -> None:
        super().__init__(name, value)
        self.name, self.value = name, value


@dataclass(slots=True)
class Blocks:
    """Elements (parallel lists, parents before children) and blocks (runs of inline text).

    Elements: ``tag``; ``parent``, -1 for the root; ``role``, bits of `roles`; ``end``, one past
    the last element of the subtree; ``first`` and ``last``, half-open range of its blocks.
    Blocks: ``text``, white space collapsed except in preformatted elements; ``linked``, how many
    of its characters stand in links; ``owner``, the element that holds it; ``nodes``, its text
    nodes (and ``br`` where preformatted), from which writers climb to what stands around them.
    """

    tag: list[str] = field(default_factory=list)
    parent: list[int] = field(default_factory=list)
    role: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    last: list[int] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    linked: list[int] = field(default_factory=list)
    owner: list[int] = field(default_factory=list)
    nodes: list[list[LexborNode]] = field(default_factory=list)

    def add(
        self,
        pieces: list[str],
        nodes: list[LexborNode],
        linked: int,
        owner: int,
        preformatted: bool,
    ) -> None:
        """Append the block that ``pieces`` make, if they hold more than white space."""
        raw = "".join(pieces)
        text = raw.strip("\r\n").rstrip() if preformatted else " ".join(raw.split())
        if text:
            self.text.append(text)
            self.linked.append(min(linked, len(text)))
            self.owner.append(owner)
            self.nodes.append(nodes)


def walk(root: LexborNode, *, depth: int, nodes: int) -> Blocks:
    """Return the blocks below ``root``.

    Raises OverLimit where nodes nest deeper than ``depth`` or are more than ``nodes``.
    """
    page = Blocks()
    pieces: list[str] = []
    run: list[LexborNode] = []  # the nodes of pieces
    linked = 0  # characters of pieces that stand in links
    in_link = in_pre = seen = 0
    tags, parents, end, first, last = page.tag, page.parent, page.end, page.first, page.last
    current = -1  # the open element
    stack: list[tuple[LexborNode, int]] = []
    node = root
    while True:
        seen += 1
        if seen > nodes:
            raise OverLimit("nodes", seen)
        number = node.tag_id
        child: LexborNode | None = None
        if number == _TEXT:
            # Most are the white space between tags.
            if pieces or in_pre or not node.is_empty_text_node:
                text = node.text_content or ""
                if pieces or in_pre or not text.isspace():
                    pieces.append(text)
                    run.append(node)
                    if in_link:
                        linked += len(text)
        else:
            known = _KNOWN.get(number)
            kind, tag = known or _look_up(node, number)
            if kind <= _LINK:
                child = node.first_child
                if child is not None and kind == _LINK:
                    in_link += 1
            elif kind == _SKIP:
                pass
            elif kind == _BREAK and in_pre:
                pieces.append("\n")
                run.append(node)
            else:
                if pieces:
                    page.add(pieces, run, linked, current, in_pre > 0)
                    pieces, run, linked = [], [], 0
                if kind >= _BLOCK:
                    child = node.first_child
                    if child is not None:
                        parents.append(current)
                        current = len(tags)
                        tags.append(tag)
                        page.role.append(roles.read(tag, node.attributes))
                        first.append(len(page.text))
                        end.append(0)
                        last.append(0)
                        in_pre += kind == _PRE
        if child is not None:
            stack.append((node, kind))
            if len(stack) > depth:
                raise OverLimit("depth", len(stack))
            node = child
            continue
        while (following := node.next) is None and stack:
            node, kind = stack.pop()
            if kind <= _LINK:
                in_link -= kind
                continue
            if pieces:
                page.add(pieces, run, linked, current, in_pre > 0)
                pieces, run, linked = [], [], 0
            in_pre -= kind == _PRE
            end[current], last[current] = len(tags), len(page.text)
            current = parents[current]
        if following is None:
            return page
        node = following


def _look_up(node: LexborNode, number: int) -> tuple[int, str]:
    """Return what the walk does with a node that is no text, and its tag."""
    tag = (node.tag or "-comment").lower()  # processing instructions have none
    kind = (
        _LINK if tag == "a"
        else _INLINE if tag in INLINE
        else _SKIP if tag in SKIPPED
        else _BREAK if tag == "br"
        else _PRE if tag in PREFORMATTED
        else _BLOCK
    )  # fmt: skip
    if number < _NUMBERED:
        _KNOWN[number] = kind, tag
    return kind, tag
