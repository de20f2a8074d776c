"""Chosen blocks as Markdown: headings, lists, quotes, tables, code, paragraphs.

Source: CommonMark 0.31.2, https://spec.commonmark.org/0.31.2/; tables:
https://github.github.com/gfm/#tables-extension-.
"""

from __future__ import annotations

import re

from selectolax.lexbor import LexborNode

from corpusforge.kernels.extraction import inline, tables
from corpusforge.kernels.extraction.blocks import HEADINGS, INLINE, PREFORMATTED, SKIPPED, Blocks
from corpusforge.kernels.extraction.inline import Resolver
from corpusforge.kernels.extraction.tables import Table, climb

_DEEPEST = 8  # lists and quotes inside each other; what is deeper stands at this depth
_HEADING_BLOCKS = 3  # a heading of more is an element that was not closed
_HEADING_TEXT = 300  # characters, likewise
_STEPS = 32  # nodes between two lines that are looked at
# What highlighters write into classes: on the code itself, and around it.
_LANGUAGE = re.compile(
    r"(?:^|\s)(?:language-|lang-|brush:\s*|sourceCode\s+|highlight-)([A-Za-z][A-Za-z0-9+#._]{0,19})"
)
_AROUND = re.compile(
    r"(?:^|\s)(?:highlight-source-|highlight-|language-)([A-Za-z][A-Za-z0-9+#._]{0,19})"
)
_BOLD = re.compile(r"\*\*((?:[^*\\]|\\.)+)\*\*")
_NO_LANGUAGE = {"default", "none", "notranslate"}


def render(page: Blocks, chosen: list[int], resolver: Resolver | None = None) -> str:
    """Return the ``chosen`` blocks as Markdown; links only where there is a ``resolver``.

    Parsed, it gives the text that `text.render` writes, but for white space and the bars of
    tables. A table that is layout gives its blocks as paragraphs.
    """
    return _Writer(page, chosen, resolver).write()


class _Writer:
    """Lines written so far, and which lists and quotes are open at their end."""

    def __init__(self, page: Blocks, chosen: list[int], resolver: Resolver | None) -> None:
        self.page, self.chosen, self.resolver = page, chosen, resolver
        self.lines: list[str] = []
        self.open: tuple[int, ...] = ()
        self.last = ""  # kind of the last thing written
        self.indent: dict[int, str] = {}  # by list item
        self.starts: dict[int, int] = {}  # first number, by list
        self.tables = tables.find(page, chosen)
        count = len(page.tag)
        self.path: list[tuple[int, ...]] = [()] * count  # list items and quotes around an element
        self.unit = [-1] * count  # the heading, pre or data table in which it stands
        self.number = [0] * count  # of a list item in its list
        items: dict[int, int] = {}
        hollow = _hollow(page)
        for element, tag in enumerate(page.tag):
            parent = page.parent[element]
            path = self.path[parent] if parent >= 0 else ()
            if tag in ("li", "blockquote") and len(path) < _DEEPEST and element not in hollow:
                path = (*path, element)
            if tag == "li" and element not in hollow:
                items[parent] = self.number[element] = items.get(parent, 0) + 1
            self.path[element] = path
            unit = self.unit[parent] if parent >= 0 else -1
            self.unit[element] = element if unit < 0 and self._is_unit(element) else unit

    def _is_unit(self, element: int) -> bool:
        page, tag = self.page, self.page.tag[element]
        if tag in HEADINGS:
            first, last = page.first[element], page.last[element]
            return last - first <= _HEADING_BLOCKS and (
                sum(map(len, page.text[first:last])) <= _HEADING_TEXT
            )
        return tag in PREFORMATTED or element in self.tables

    def write(self) -> str:
        place = 0
        while place < len(self.chosen):
            block = self.chosen[place]
            owner = self.page.owner[block]
            unit = self.unit[owner] if owner >= 0 else -1
            following = place + 1
            if unit in self.tables:
                table = self.tables[unit]
                while (
                    following < len(self.chosen) and self.chosen[following] < self.page.last[unit]
                ):
                    following += 1
                self._table(unit, table, self.chosen[place:following])
            elif unit >= 0:
                while (
                    following < len(self.chosen) and self.chosen[following] < self.page.last[unit]
                ):
                    following += 1
                blocks = self.chosen[place:following]
                if self.page.tag[unit] in HEADINGS:
                    self._heading(unit, blocks)
                else:
                    self._code(unit, blocks)
            else:
                while following < len(self.chosen) and self._continues(self.chosen[following]):
                    following += 1
                lines = [self._inline(one) for one in self.chosen[place:following]]
                self._put([f"{line}  " for line in lines[:-1]] + lines[-1:], owner, block, "text")
            place = following
        return "\n".join(self.lines)

    def _inline(self, block: int, *, emphasis: bool = True, paragraph: bool = True) -> str:
        nodes = self.page.nodes[block]
        return inline.render(nodes, self.resolver, emphasis=emphasis, paragraph=paragraph)

    def _heading(self, unit: int, blocks: list[int]) -> None:
        texts = [self._inline(block, emphasis=False, paragraph=False) for block in blocks]
        line = inline.heading(" ".join(texts))
        self._put([f"{'#' * int(self.page.tag[unit][1])} {line}"], unit, blocks[0], "heading")

    def _code(self, unit: int, blocks: list[int]) -> None:
        text = "\n".join(self.page.text[block] for block in blocks)
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        longest = max((len(run) for run in re.findall("`{3,}", text)), default=2)
        fence = "`" * (longest + 1)
        name = _language(self.page.nodes[blocks[0]][0])
        self._put([fence + name, *text.split("\n"), fence], unit, blocks[0], "code")

    def _table(self, unit: int, table: Table, blocks: list[int]) -> None:
        beside = [block for block in blocks if block not in table.blocks]  # captions
        for block in beside:
            if block < min(table.blocks):
                self._put([self._inline(block)], unit, block, "text")
        rows = [[self._cell(cell) for cell in cells] for cells in table.rows]
        width = len(rows[0])
        head = [""] * width
        bold = [_BOLD.fullmatch(cell) for cell in rows[0] if cell]
        if table.head or (bold and all(bold)):
            head = [_BOLD.sub(r"\1", cell) for cell in rows.pop(0)]
        lines = [_row(head), "|" + " --- |" * width, *map(_row, rows)]
        self._put(lines, unit, min(table.blocks), "table")
        for block in beside:
            if block > min(table.blocks):
                self._put([self._inline(block)], unit, block, "text")

    def _cell(self, blocks: list[int]) -> str:
        texts = [self._inline(block, paragraph=False) for block in blocks]
        return "<br>".join(texts).replace("|", "\\|")

    def _continues(self, block: int) -> bool:
        """Whether a single line break parts the block from the one before it."""
        page = self.page
        owner = page.owner[block]
        if not block or page.owner[block - 1] != owner or owner < 0 or self.unit[owner] >= 0:
            return False
        return _breaks(page.nodes[block - 1][-1], page.nodes[block][0]) == 1

    def _put(self, lines: list[str], owner: int, block: int, kind: str) -> None:
        """Append ``lines`` inside the lists and quotes of ``owner``, begun where they are new."""
        path = self.path[owner] if owner >= 0 else ()
        common = 0
        while common < min(len(path), len(self.open)) and path[common] == self.open[common]:
            common += 1
        kept = "".join(self._prefix(one) for one in path[:common])
        markers = [self._marker(one, block) for one in path[common:]]
        tight = kind == self.last == "text" and markers and self._tight(path, common, markers[0])
        if self.lines and not tight:
            self.lines.append(kept.rstrip())
        inner = kept + "".join(self._prefix(one) for one in path[common:])
        self.lines.append(kept + "".join(markers) + lines[0])
        self.lines += [inner + line if line else inner.rstrip() for line in lines[1:]]
        self.open, self.last = path, kind

    def _tight(self, path: tuple[int, ...], common: int, marker: str) -> bool:
        """Whether the item that begins with ``marker`` follows the last line without a gap."""
        page = self.page
        if page.tag[path[common]] != "li":
            return False
        if common < len(self.open):
            before = self.open[common]
            return page.tag[before] == "li" and page.parent[before] == page.parent[path[common]]
        # A list inside an item may follow its text only where it can end a paragraph.
        inside = common > 0 and page.tag[path[common - 1]] == "li"
        return inside and marker in ("- ", "1. ")

    def _prefix(self, element: int) -> str:
        return self.indent.get(element, "> ")

    def _marker(self, element: int, block: int) -> str:
        page = self.page
        if page.tag[element] != "li":
            return "> "
        parent = page.parent[element]
        marker = "- "
        if parent >= 0 and page.tag[parent] == "ol":
            if parent not in self.starts:
                node = climb(page, block, parent)
                start = node.attributes.get("start") if node is not None else None
                given = start and len(start) < 7 and start.isdecimal()
                self.starts[parent] = int(start) if given and start else 1
            marker = f"{self.starts[parent] + self.number[element] - 1}. "
        self.indent[element] = " " * len(marker)
        return marker


def _hollow(page: Blocks) -> set[int]:
    """List items that begin with another list: they only hold it."""
    found: set[int] = set()
    inner: dict[int, int] = {}  # first block -> the outermost item so far that begins with it
    for element in range(len(page.tag) - 1, -1, -1):
        if page.tag[element] == "li":
            first = page.first[element]
            if inner.get(first, page.end[element]) < page.end[element]:
                found.add(element)
            inner[first] = element
    return found


def _row(cells: list[str]) -> str:
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)


def _language(text: LexborNode) -> str:
    """The language of a code block, from the names of the elements around its first text."""
    node, outside = text.parent, 0
    while node is not None and outside < 3:
        given, tag = node.attributes, node.tag or ""
        within = not outside and (tag in INLINE or tag in PREFORMATTED)
        stated = given.get("data-lang") or given.get("data-language")
        names = (given.get("class") or "")[:200]
        names = f"language-{stated} {names}" if stated else names
        found = (_LANGUAGE if within else _AROUND).search(names)
        if found and found[1].lower() not in _NO_LANGUAGE:
            return found[1].lower()
        outside += not within or tag in PREFORMATTED
        node = node.parent
    return ""


def _breaks(before: LexborNode, after: LexborNode) -> int:
    """How many ``br`` stand between two texts of one element; many where there is more."""
    count, node = 0, after
    for _ in range(_STEPS):
        step = node.prev
        if step is None:
            step = node.parent
        else:
            while (child := step.last_child) is not None and step.tag in INLINE:
                step = child
        if step is None:
            break
        node, tag = step, step.tag or "-comment"
        if node.mem_id == before.mem_id:
            return count
        if tag == "br":
            count += 1
        elif tag != "-text" and tag not in INLINE and tag not in SKIPPED:
            break
    return _STEPS
