"""One extractor in a process of its own, told which pages to do next; see `table.py`.

    python extractors.py NAME PAGES.jsonl TEXTS.jsonl     lines "first last" on standard input
    python extractors.py NAME ARCHIVE.warc.gz             a plain loop from archive to JSON lines

The first form answers each line with {"cpu": [CPU seconds of each page]}, and writes the texts of
pages that it sees for the first time. Runs in a peer's environment, so it needs the standard
library and the peer only. Imports, tables and compilation come before the first line.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

Extractor = Callable[[str], str]  # html -> text
WARM_UP = "<html><body><article><p>" + "Some words to warm up on, and some more. " * 30


def forge() -> Extractor:
    """Our own."""
    from corpusforge import spec
    from corpusforge.kernels.extraction import extract

    limits = spec.Limits()
    return lambda html: extract(html, depth=limits.depth, nodes=limits.nodes).text


def trafilatura() -> Extractor:
    """Its defaults, without comments."""
    import trafilatura

    return lambda html: trafilatura.extract(html, include_comments=False) or ""


def trafilatura_fast() -> Extractor:
    """The same without its fallback extractors."""
    import trafilatura

    return lambda html: trafilatura.extract(html, include_comments=False, fast=True) or ""


def resiliparse() -> Extractor:
    """Its main content mode."""
    from resiliparse.extract.html2text import extract_plain_text

    return lambda html: extract_plain_text(html, main_content=True)


def readability() -> Extractor:
    """readability-lxml; its summary is HTML, of which the text is taken."""
    import logging

    import lxml.html
    from readability import Document

    logging.disable(logging.CRITICAL)

    def extract(html: str) -> str:
        try:
            return "\n".join(lxml.html.fromstring(Document(html).summary()).itertext()).strip()
        except Exception:  # e.g. Unparseable: the page counts as empty
            return ""

    return extract


EXTRACTORS = {
    "forge": forge,
    "trafilatura": trafilatura,
    "trafilatura_fast": trafilatura_fast,
    "resiliparse": resiliparse,
    "readability": readability,
}


def serve(name: str, pages_path: str, texts_path: str) -> None:
    """Answer the lines of standard input."""
    with Path(pages_path).open(encoding="utf-8") as lines:
        pages = [json.loads(line) for line in lines]
    extract, written = EXTRACTORS[name](), 0
    extract(WARM_UP)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a peer prints is no answer
    print("{}", file=answers, flush=True)
    with Path(texts_path).open("w", encoding="utf-8") as out:
        for line in sys.stdin:
            first, last = map(int, line.split())
            texts, cpu = [], []
            for page in pages[first:last]:
                begin = time.process_time()
                texts.append(extract(page["html"]))
                cpu.append(time.process_time() - begin)
            if first >= written:
                written = last
                for page, text in zip(pages[first:last], texts, strict=True):
                    out.write(json.dumps({"id": page["id"], "text": text}) + "\n")
                out.flush()
            print(json.dumps({"cpu": cpu}), file=answers, flush=True)


def _archive_forge(path: str) -> Iterator[tuple[str, str]]:
    """Our readers and the transform Extract, batch by batch."""
    from corpusforge import readers, spec
    from corpusforge.transforms.extract import Extract

    read, plan = spec.Read(), spec.Plan()
    extract = Extract("forge", read.limits.depth, read.limits.nodes)
    for unit in readers.units([path], plan):
        for piece in unit.pieces:
            for records in readers.read(piece, read, plan.batch_bytes):
                batch = extract(records)
                for name, text in zip(batch["source_id"], batch["text"], strict=True):
                    if text.is_valid:
                        yield name.as_py(), text.as_py()


def _archive_trafilatura(path: str) -> Iterator[tuple[str, str]]:
    """A loop over fastwarc's records."""
    import trafilatura
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    with Path(path).open("rb") as file:
        records = ArchiveIterator(file, record_types=WarcRecordType.response, auto_decode="all")
        for record in records:
            head = record.http_headers
            if head is None or head.status_code != 200:
                continue
            if (record.http_content_type or "text/html") not in (
                "text/html",
                "application/xhtml+xml",
            ):
                continue
            try:
                text = trafilatura.extract(record.reader.read(), include_comments=False)
            except Exception:  # e.g. a content encoding that is cut
                continue
            if text:
                yield record.record_id, text


ARCHIVES = {"forge": _archive_forge, "trafilatura": _archive_trafilatura}


def archive(name: str, path: str) -> None:
    """From an archive to JSON lines."""
    with Path(os.devnull).open("w", encoding="utf-8") as out:
        for record, text in ARCHIVES[name](path):
            out.write(json.dumps({"id": record, "text": text}) + "\n")


if __name__ == "__main__":
    (serve if len(sys.argv) == 4 else archive)(*sys.argv[1:])
