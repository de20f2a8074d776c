"""Chosen blocks as plain text."""

from __future__ import annotations

from corpusforge.kernels.extraction.blocks import Blocks


def render(page: Blocks, chosen: list[int]) -> str:
    """Return one line a block, in order; the cells of a table row share a line, ``a | b``.

    A cell is a ``td`` or ``th`` that holds a single block; larger cells are layout. Preformatted
    blocks keep their line breaks and indentation.
    """
    parts: list[str] = []
    last = -1
    for block in chosen:
        row = _row(page, block)
        if parts:
            parts.append(" | " if row == last >= 0 else "\n")
        parts.append(page.text[block])
        last = row
    return "".join(parts)


def _row(page: Blocks, block: int) -> int:
    """The table row whose cell the block fills, or -1."""
    cell = page.owner[block]
    if page.tag[cell] not in ("td", "th"):
        cell = page.parent[cell]  # <td><p>text</p></td>
    if cell < 0 or page.tag[cell] not in ("td", "th") or page.last[cell] - page.first[cell] != 1:
        return -1
    row = page.parent[cell]
    return row if row >= 0 and page.tag[row] == "tr" else -1
