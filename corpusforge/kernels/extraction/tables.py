"""Which tables hold data and not layout, and their cells as a grid."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from selectolax.lexbor import LexborNode

from corpusforge.kernels.extraction.blocks import HEADINGS, PREFORMATTED, Blocks

_COLUMNS = 64  # a wider table is written as lines
_ROWSPAN = 1000
_CELL_BLOCKS = 8  # blocks of a cell from which it is layout
_CELL_TEXT = 600  # characters of a cell of several blocks from which it is layout
_LAYOUT = HEADINGS | PREFORMATTED | {"article", "blockquote", "form", "section"}


@dataclass(frozen=True, slots=True)
class Table:
    """A data table: rows of cells of equal number, a cell is its blocks, empty where it has none.

    ``head``: the first row names the columns. ``blocks``: all blocks of the cells.
    """

    head: bool
    rows: list[list[list[int]]]
    blocks: set[int]


def find(page: Blocks, chosen: list[int]) -> dict[int, Table]:
    """Return the data tables of the ``chosen`` blocks by their element.

    Data has at least two rows and two columns, holds no other table and no larger structure, and
    does not call itself presentation.
    """
    found: dict[int, Table] = {}
    inner = len(page.tag)  # the next table
    for element in range(len(page.tag) - 1, -1, -1):
        if page.tag[element] != "table":
            continue
        nested, inner = inner < page.end[element], element
        if not nested and (table := _table(page, element, chosen)) is not None:
            found[element] = table
    return found


def climb(page: Blocks, block: int, element: int) -> LexborNode | None:
    """Return the node of ``element``, in which ``block`` stands, None where it is not found."""
    tag, owner, steps = page.tag[element], page.owner[block], 0
    while owner != element:
        if owner < 0:
            return None
        steps += page.tag[owner] == tag
        owner = page.parent[owner]
    node = page.nodes[block][0].parent
    while node is not None:
        if node.tag == tag:
            if not steps:
                return node
            steps -= 1
        node = node.parent
    return None


def _table(page: Blocks, element: int, chosen: list[int]) -> Table | None:
    if not _within(chosen, page.first[element], page.last[element]):
        return None
    if any(page.tag[inside] in _LAYOUT for inside in range(element + 1, page.end[element])):
        return None
    rows: list[list[list[int]]] = []
    carried: dict[int, int] = {}  # column -> rows below that a cell reaches into
    head = heads = False
    row = element
    while (row := row + 1) < page.end[element]:
        if page.tag[row] != "tr":
            continue
        blocks = _within(chosen, page.first[row], page.last[row])
        node = climb(page, blocks[0], row) if blocks else None
        if node is None:
            continue
        if not rows and _presentation(climb(page, blocks[0], element)):
            return None
        cells, heads = _cells(page, row, node, chosen, carried)
        if cells is None or len(cells) > _COLUMNS:
            return None
        head = heads if not rows else head
        rows.append(cells)
    width = max(map(len, rows), default=0)
    rows = [cells + [[]] * (width - len(cells)) for cells in rows]
    filled = [column for column in range(width) if any(cells[column] for cells in rows)]
    if len(rows) < 2 or len(filled) < 2:
        return None
    rows = [[cells[column] for column in filled] for cells in rows]
    return Table(head, rows, {block for cells in rows for cell in cells for block in cell})


def _cells(
    page: Blocks, row: int, node: LexborNode, chosen: list[int], carried: dict[int, int]
) -> tuple[list[list[int]] | None, bool]:
    """Return the cells of a row, None where one is layout, and whether all are headers."""
    # Elements without content are not in page: those with it pair with the node's children.
    elements = [e for e in range(row + 1, page.end[row]) if page.parent[e] == row]
    cells: list[list[int]] = []
    place, heads = 0, True
    child = node.first_child
    while child is not None and len(cells) <= _COLUMNS:
        tag = child.tag or ""
        if tag in ("td", "th"):
            while carried.get(len(cells), 0):
                carried[len(cells)] -= 1
                cells.append([])
            blocks: list[int] = []
            if child.first_child is not None:
                while place < len(elements) and page.tag[elements[place]] not in ("td", "th"):
                    place += 1
                if place < len(elements):
                    cell = elements[place]
                    blocks = _within(chosen, page.first[cell], page.last[cell])
                place += 1
            size = sum(len(page.text[block]) for block in blocks)
            if len(blocks) > _CELL_BLOCKS or (len(blocks) > 1 and size > _CELL_TEXT):
                return None, False
            heads = heads and (tag == "th" or not blocks)
            spans = child.attributes
            rowspan = min(_number(spans.get("rowspan")), _ROWSPAN) - 1
            for column in range(min(_number(spans.get("colspan")), _COLUMNS)):
                if rowspan > 0:
                    carried[len(cells)] = rowspan
                cells.append([] if column else blocks)
        child = child.next
    while carried.get(len(cells), 0) and len(cells) <= _COLUMNS:
        carried[len(cells)] -= 1
        cells.append([])
    return cells, heads


def _within(chosen: list[int], first: int, last: int) -> list[int]:
    return chosen[bisect_left(chosen, first) : bisect_left(chosen, last)]


def _presentation(node: LexborNode | None) -> bool:
    return node is not None and node.attributes.get("role") in ("presentation", "none")


def _number(value: str | None) -> int:
    return max(1, int(value)) if value and len(value) < 6 and value.isdecimal() else 1
