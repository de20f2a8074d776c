"""The page a document was made of, read again from its input: its blocks, kept and cut."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from corpusforge import readers
from corpusforge import spec as specs
from corpusforge.errors import ForgeError
from corpusforge.kernels.extraction import parse
from corpusforge.kernels.extraction.blocks import OverLimit, walk
from corpusforge.kernels.extraction.selection import select
from corpusforge.manifest import Manifest
from corpusforge.spec import CleanSpec
from corpusforge.stages.again import units_of


class Block(NamedTuple):
    """A run of text of a page: the element that holds it, and whether it is main content."""

    tag: str
    text: str
    kept: bool


def blocks(root: str, run: Manifest, row: dict[str, Any]) -> list[Block] | str:
    """Return the blocks of the page of a ledger row, or why they cannot be shown."""
    spec = specs.parse(CleanSpec, run.spec)
    if spec.extract.method not in ("forge", "none"):
        return f"Blocks are those of extract.method = forge; this run has {spec.extract.method}."
    try:
        html = page(root, spec, row)
    except ForgeError as error:
        return f"The input cannot be read again: {error}."
    if html is None:
        return "The input holds no page for this record (any more)."
    limits = spec.read.limits
    try:
        tree = parse(html, depth=limits.depth, nodes=limits.nodes)
        if tree.root is None:
            return []
        found = walk(tree.root, depth=limits.depth, nodes=limits.nodes)
    except OverLimit as over:
        return f"The page is over the limit read.limits.{over.name}, so it was not taken apart."
    everything = spec.extract.method == "none"
    chosen = set(range(len(found.text)) if everything else select(found))
    return [
        Block(found.tag[owner], text, index in chosen)
        for index, (text, owner) in enumerate(zip(found.text, found.owner, strict=True))
    ]


def page(root: str, spec: CleanSpec, row: dict[str, Any]) -> str | None:
    """Return the HTML of the record of a ledger row, read again; None where there is none.

    Raises InputError where the input has gone.
    """
    offset = row["offset"]
    for unit in units_of(root):
        for piece in unit.pieces:
            inside = piece.start <= offset < piece.end or piece.compression not in ("none", "gzip")
            if piece.source != row["source"] or (piece.format == "warc" and not inside):
                continue
            if piece.format == "warc" and piece.compression == "gzip":
                own = replace(piece, start=offset, end=offset + 1)
            else:
                own = piece
            for batch in readers.read(own, spec.read, spec.plan.batch_bytes):
                ids = batch.column("id").to_pylist()
                if row["id"] in ids:
                    html: str | None = batch.column("html")[ids.index(row["id"])].as_py()
                    return html
    return None
