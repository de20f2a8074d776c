"""Main text of an HTML page: parse, walk into blocks, choose, write as text or Markdown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from selectolax.lexbor import LexborHTMLParser

from corpusforge.kernels.extraction import guard, markdown, metadata, text
from corpusforge.kernels.extraction.blocks import Blocks, OverLimit, walk
from corpusforge.kernels.extraction.metadata import Metadata
from corpusforge.kernels.extraction.selection import select


@dataclass(frozen=True, slots=True)
class Output:
    """How text is written: plain, or as ``markdown``, there with ``links`` or without."""

    markdown: bool = False
    links: bool = False


PLAIN = Output()


@dataclass(frozen=True, slots=True)
class Page:
    """What a page holds: its main text, and what it states of itself (`metadata`).

    ``blocks_kept`` of ``blocks_seen`` make the text; None where an extractor does not count them.
    """

    text: str
    stated: Metadata
    blocks_kept: int | None = None
    blocks_seen: int | None = None


@dataclass(frozen=True, slots=True)
class Extracted:
    """Arrays over the pages of a batch.

    ``text`` to ``blocks_seen``: as in Page and Metadata; null for a null page, an error or an
    exceeded limit. ``error``: "TypeError: ..." where a page broke the code, else null. ``limit``:
    "depth" or "nodes" where the page exceeds it, else null; ``limit_value``: what was reached
    when work on the page ended, null without limit.
    """

    text: pa.StringArray
    title: pa.StringArray
    canonical_url: pa.StringArray
    published: pa.StringArray
    declared_language: pa.StringArray
    blocks_kept: pa.Int32Array
    blocks_seen: pa.Int32Array
    error: pa.StringArray
    limit: pa.StringArray
    limit_value: pa.Int64Array


_TYPES = {"blocks_kept": pa.int32(), "blocks_seen": pa.int32(), "limit_value": pa.int64()}


class Extractor(Protocol):
    """What turns a page into its text."""

    def __call__(
        self,
        html: str | bytes,
        *,
        depth: int,
        nodes: int,
        url: str | None = None,
        output: Output = PLAIN,
    ) -> Page:
        """Return the text of ``html`` (bytes: UTF-8) that was found at ``url``."""


def parse(html: str | bytes, *, depth: int, nodes: int) -> LexborHTMLParser:
    """Return the tree of ``html`` (bytes: UTF-8), weighed before it is parsed; raises OverLimit."""
    data = html.encode("utf-8", "replace") if isinstance(html, str) else html
    code, value = guard.weigh(np.frombuffer(data, np.uint8), depth, nodes)
    if code != guard.FINE:
        raise OverLimit("depth" if code == guard.DEPTH else "nodes", value)
    return LexborHTMLParser(data)


def extract(
    html: str | bytes,
    *,
    depth: int,
    nodes: int,
    url: str | None = None,
    output: Output = PLAIN,
) -> Page:
    """Return the main text of ``html`` (bytes: UTF-8) that was found at ``url``.

    Raises OverLimit where elements nest deeper than ``depth`` or nodes are more than ``nodes``.
    """
    return _page(html, select, depth, nodes, url, output)


def visible_text(
    html: str | bytes,
    *,
    depth: int,
    nodes: int,
    url: str | None = None,
    output: Output = PLAIN,
) -> Page:
    """Return all text of ``html``, boilerplate too, scripts not; otherwise as `extract`."""
    return _page(html, _all, depth, nodes, url, output)


def extract_batch(
    html: pa.StringArray,
    *,
    depth: int,
    nodes: int,
    url: pa.StringArray | None = None,
    output: Output = PLAIN,
    extractor: Extractor = extract,
    wanted: NDArray[np.bool_] | None = None,
) -> Extracted:
    """Extract every page of ``html``, or the ``wanted`` ones, the rest counting as null.

    A page that fails spoils no other.
    """
    names = [field.name for field in fields(Extracted)]
    columns: dict[str, list[str | int | None]] = {name: [] for name in names}
    urls = url.to_pylist() if url is not None else [None] * len(html)
    chosen = [True] * len(html) if wanted is None else wanted.tolist()
    for item, address, due in zip(html, urls, chosen, strict=True):
        row: dict[str, str | int | None] = {}
        if due and item.is_valid:
            data = item.as_buffer().to_pybytes()
            try:
                page = extractor(data, depth=depth, nodes=nodes, url=address, output=output)
                row = {
                    "text": page.text,
                    "title": page.stated.title,
                    "canonical_url": page.stated.canonical_url,
                    "published": page.stated.published,
                    "declared_language": page.stated.language,
                    "blocks_kept": page.blocks_kept,
                    "blocks_seen": page.blocks_seen,
                }
            except OverLimit as over:
                row = {"limit": over.name, "limit_value": over.value}
            except Exception as bug:  # one document's bug is that document's failed row
                row = {"error": f"{type(bug).__name__}: {bug}"}
        for name in names:
            columns[name].append(row.get(name))
    arrays = {name: pa.array(columns[name], _TYPES.get(name, pa.string())) for name in names}
    return Extracted(**arrays)


def _all(page: Blocks) -> list[int]:
    return list(range(len(page.text)))


def _page(
    html: str | bytes,
    choose: Callable[[Blocks], list[int]],
    depth: int,
    nodes: int,
    url: str | None,
    output: Output,
) -> Page:
    tree = parse(html, depth=depth, nodes=nodes)
    root = tree.root
    if root is None:
        return Page("", Metadata(), 0, 0)
    page = walk(root, depth=depth, nodes=nodes)
    chosen = choose(page)
    stated = metadata.read(tree, url)
    written = _write(page, chosen, url, output, _LINKS * len(html) + _FEW_LINKS)
    return Page(written, stated, len(chosen), len(page.text))


def _write(page: Blocks, chosen: list[int], url: str | None, output: Output, room: int) -> str:
    """Return the ``chosen`` blocks of the page at ``url`` in the form that ``output`` names.

    Addresses of links end after ``room`` characters: a long one around, or under, every block of a
    page would make megabytes of kilobytes.
    """
    if not output.markdown:
        return text.render(page, chosen)
    if not output.links:
        return markdown.render(page, chosen)

    @lru_cache(maxsize=1024)
    def absolute(href: str) -> str | None:
        if href.lstrip().startswith("#"):
            return None
        return metadata.resolve(href.strip().translate(_ENCODED), url, fragment=True)

    def resolver(href: str) -> str | None:
        nonlocal room
        address = absolute(href) if room > 0 else None
        room -= len(address or "")
        return address

    return markdown.render(page, chosen, resolver)


_LINKS, _FEW_LINKS = 4, 4096  # addresses may be as many times as long as the page, and so much more
_ENCODED = {ord(char): f"%{ord(char):02X}" for char in '()<>\\^`{|}" '}  # not in a destination
