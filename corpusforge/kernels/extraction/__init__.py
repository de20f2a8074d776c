"""Main text of an HTML page: parse, walk into blocks, choose, write as plain text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from selectolax.lexbor import LexborHTMLParser

from corpusforge.kernels.extraction import guard
from corpusforge.kernels.extraction.blocks import Blocks, OverLimit, walk
from corpusforge.kernels.extraction.selection import select
from corpusforge.kernels.extraction.text import render


@dataclass(frozen=True, slots=True)
class Page:
    """What a page holds: its main text, and what it says of itself (None where it does not)."""

    text: str
    title: str | None
    language: str | None  # the lang attribute of the root element
    blocks_kept: int
    blocks_seen: int


@dataclass(frozen=True, slots=True)
class Extracted:
    """Arrays over the pages of a batch.

    ``text``, ``title``: null for a null page, an error or an exceeded limit (title also where a
    page has none). ``error``: "TypeError: ..." where a page broke the code, else null.
    ``limit``: "depth" or "nodes" where the page exceeds it, else null; ``limit_value``: int64,
    what was reached when work on the page ended, null without limit.
    """

    text: pa.StringArray
    title: pa.StringArray
    error: pa.StringArray
    limit: pa.StringArray
    limit_value: pa.Int64Array


Extractor = Callable[..., Page]  # (html, *, depth, nodes) -> Page


def parse(html: str | bytes, *, depth: int, nodes: int) -> LexborHTMLParser:
    """Return the tree of ``html`` (bytes: UTF-8), weighed before it is parsed; raises OverLimit."""
    data = html.encode("utf-8", "replace") if isinstance(html, str) else html
    code, value = guard.weigh(np.frombuffer(data, np.uint8), depth, nodes)
    if code != guard.FINE:
        raise OverLimit("depth" if code == guard.DEPTH else "nodes", value)
    return LexborHTMLParser(data)


def title(tree: LexborHTMLParser) -> str | None:
    """Return the title of a page, white space collapsed, or None."""
    node = tree.css_first("head > title, body > title")
    return " ".join(node.text().split()) or None if node is not None else None


def extract(html: str | bytes, *, depth: int, nodes: int) -> Page:
    """Return the main text of ``html`` (bytes: UTF-8).

    Raises OverLimit where elements nest deeper than ``depth`` or nodes are more than ``nodes``.
    """
    return _page(html, select, depth, nodes)


def visible_text(html: str | bytes, *, depth: int, nodes: int) -> Page:
    """Return all text of ``html``, boilerplate too, scripts not; otherwise as `extract`."""
    return _page(html, lambda page: list(range(len(page.text))), depth, nodes)


def extract_batch(
    html: pa.StringArray, *, depth: int, nodes: int, extractor: Extractor = extract
) -> Extracted:
    """Extract every page of ``html``; a page that fails spoils no other."""
    texts: list[str | None] = []
    titles: list[str | None] = []
    errors: list[str | None] = []
    limits: list[str | None] = []
    values: list[int | None] = []
    for item in html:
        text = name = error = limit = value = None
        if item.is_valid:
            try:
                page = extractor(item.as_buffer().to_pybytes(), depth=depth, nodes=nodes)
                text, name = page.text, page.title
            except OverLimit as over:
                limit, value = over.name, over.value
            except Exception as bug:  # one document's bug is that document's failed row
                error = f"{type(bug).__name__}: {bug}"
        texts.append(text)
        titles.append(name)
        errors.append(error)
        limits.append(limit)
        values.append(value)
    return Extracted(
        pa.array(texts, pa.string()),
        pa.array(titles, pa.string()),
        pa.array(errors, pa.string()),
        pa.array(limits, pa.string()),
        pa.array(values, pa.int64()),
    )


def _page(html: str | bytes, choose: Callable[[Blocks], list[int]], depth: int, nodes: int) -> Page:
    tree = parse(html, depth=depth, nodes=nodes)
    root = tree.root
    if root is None:
        return Page("", None, None, 0, 0)
    page = walk(root, depth=depth, nodes=nodes)
    chosen = choose(page)
    language = (root.attributes.get("lang") or "").strip() or None
    return Page(render(page, chosen), title(tree), language, len(chosen), len(page.text))
