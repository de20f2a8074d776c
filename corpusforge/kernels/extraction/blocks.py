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

    def open(self, tag: str, parent: int, role: int) -> int:
        """Append an element and return its index."""
        self.tag.append(tag)
        self.parent.append(parent)
        self.role.append(role)
        self.end.append(0)
        self.first.append(len(self.text))
        self.last.append(0)
        return len(self.tag) - 1

    def close(self, element: int) -> int:
        """End an element and return its parent."""
        self.end[element] = len(self.tag)
        self.last[element] = len(self.text)
        return self.parent[element]

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
    current = -1
    stack: list[tuple[LexborNode, str]] = []
    node = root
    while True:
        seen += 1
        if seen > nodes:
            raise OverLimit("nodes", seen)
        tag = node.tag or "-comment"  # processing instructions have none
        child: LexborNode | None = None
        if tag == "-text":
            text = node.text_content or ""
            if pieces or in_pre or not text.isspace():  # most are the white space between tags
                pieces.append(text)
                run.append(node)
                if in_link:
                    linked += len(text)
        elif tag in INLINE:
            child = node.first_child
            if child is not None and tag == "a":
                in_link += 1
        elif tag in SKIPPED:
            pass
        elif tag == "br" and in_pre:
            pieces.append("\n")
            run.append(node)
        else:
            if pieces:
                page.add(pieces, run, linked, current, in_pre > 0)
                pieces, run, linked = [], [], 0
            if tag != "br":
                child = node.first_child
                if child is not None:
                    current = page.open(tag, current, roles.read(tag, node.attributes))
                    in_pre += tag in PREFORMATTED
        if child is not None:
            stack.append((node, tag))
            if len(stack) > depth:
                raise OverLimit("depth", len(stack))
            node = child
            continue
        while (following := node.next) is None and stack:
            node, tag = stack.pop()
            if tag in INLINE:
                if tag == "a":
                    in_link -= 1
                continue
            if pieces:
                page.add(pieces, run, linked, current, in_pre > 0)
                pieces, run, linked = [], [], 0
            in_pre -= tag in PREFORMATTED
            current = page.close(current)
        if following is None:
            return page
        node = following
