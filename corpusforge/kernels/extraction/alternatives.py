"""Other people's extractors behind the same call, by name."""

from __future__ import annotations

from corpusforge.kernels.extraction import Page, parse, title


def trafilatura(html: str | bytes, *, depth: int, nodes: int) -> Page:
    """Return trafilatura's text without comments; the package is optional."""
    from trafilatura import extract

    tree = parse(html, depth=depth, nodes=nodes)
    text = html if isinstance(html, str) else html.decode("utf-8", "replace")
    return Page(extract(text, include_comments=False) or "", title(tree), None, 0, 0)


def resiliparse(html: str | bytes, *, depth: int, nodes: int) -> Page:
    """Return resiliparse's main content."""
    from resiliparse.extract.html2text import extract_plain_text

    tree = parse(html, depth=depth, nodes=nodes)
    text = html if isinstance(html, str) else html.decode("utf-8", "replace")
    return Page(extract_plain_text(text, main_content=True), title(tree), None, 0, 0)
