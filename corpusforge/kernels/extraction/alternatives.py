"""Other people's extractors behind the same call, by name.

Markdown is trafilatura's own; resiliparse hands its choice back as HTML, which is written here.
What a page states of itself is read from the page, not from what they return.
"""

from __future__ import annotations

from typing import Literal

from corpusforge.kernels.extraction import PLAIN, Output, Page, metadata, parse, visible_text


def trafilatura(
    html: str | bytes,
    *,
    depth: int,
    nodes: int,
    url: str | None = None,
    output: Output = PLAIN,
) -> Page:
    """Return trafilatura's main text without comments; the package is optional.

    Its own deduplication is off: it remembers earlier pages, and texts would depend on them.
    """
    from trafilatura import extract

    tree = parse(html, depth=depth, nodes=nodes)
    page = html if isinstance(html, str) else html.decode("utf-8", "replace")
    form = "markdown" if output.markdown else "txt"  # its HTML turns inline code into blocks
    options = {"include_comments": False, "deduplicate": False, "with_metadata": False}
    text = extract(page, output_format=form, include_links=output.links, **options) or ""
    return Page(text, metadata.read(tree, url))


def resiliparse(
    html: str | bytes,
    *,
    depth: int,
    nodes: int,
    url: str | None = None,
    output: Output = PLAIN,
) -> Page:
    """Return resiliparse's main content."""
    from resiliparse.extract.html2text import extract_plain_text

    tree = parse(html, depth=depth, nodes=nodes)
    page = html if isinstance(html, str) else html.decode("utf-8", "replace")
    form: Literal["minimal_html", True] = "minimal_html" if output.markdown else True
    text = extract_plain_text(page, main_content=True, preserve_formatting=form, links=output.links)
    if output.markdown:
        text = visible_text(text, depth=depth, nodes=nodes, url=url, output=output).text
    return Page(text, metadata.read(tree, url))
