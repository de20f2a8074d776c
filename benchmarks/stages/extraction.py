"""HTML to the text of the main content, str in and str out; MB of HTML.

trafilatura with its defaults, which include comments as text and tables. `table.py` compares more
extractors, and their texts too.
"""

import json

INPUT = "pages"
MEGABYTES = 10.0
CONTESTANTS = {"forge": None, "resiliparse": None, "trafilatura": "trafilatura"}


def _pages(path):
    return [json.loads(line)["html"] for line in path.open(encoding="utf-8")]


def _done(pages):
    return {"MB": sum(len(page.encode()) for page in pages) / 1e6, "docs": len(pages)}


def forge(path):
    """The transform Extract on one batch."""
    import pyarrow as pa

    from corpusforge import spec
    from corpusforge.schema import RECORD
    from corpusforge.transforms.extract import Extract

    pages = _pages(path)
    fixed = {"source": "pages", "offset": 0, "outcome": "kept"}
    rows = [
        {**fixed, "id": number.to_bytes(16, "big"), "ordinal": number, "html": page}
        for number, page in enumerate(pages)
    ]
    batch = pa.RecordBatch.from_pylist(rows, RECORD)
    limits = spec.Limits()
    extract = Extract("forge", limits.depth, limits.nodes)

    def work():
        extract(batch)
        return _done(pages)

    return work


def resiliparse(path):
    """Its main content mode."""
    from resiliparse.extract.html2text import extract_plain_text

    pages = _pages(path)

    def work():
        for page in pages:
            extract_plain_text(page, main_content=True)
        return _done(pages)

    return work


def trafilatura(path):
    """A loop over ``extract``."""
    import trafilatura

    pages = _pages(path)

    def work():
        for page in pages:
            trafilatura.extract(page)
        return _done(pages)

    return work
