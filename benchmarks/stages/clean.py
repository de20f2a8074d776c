"""The whole `forge clean` from a WARC to a finished run folder; MB of HTML.

The peer only reads (fastwarc), extracts (trafilatura) and writes JSON lines; forge identifies the
language, judges, deduplicates, keeps the ledger and commits every file besides.
"""

import json
import tempfile

INPUT = "warc"
MEGABYTES = 10.0
CONTESTANTS = {"forge": None, "trafilatura": "trafilatura"}


def _pages(path):
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    with path.open("rb") as file:
        for record in ArchiveIterator(file, record_types=WarcRecordType.response):
            yield record.reader.read()


def _size(path):
    return sum(len(page) for page in _pages(path)) / 1e6


def forge(path):
    """The command, called from Python with one worker and every default."""
    from corpusforge import api

    size = _size(path)

    def work():
        with tempfile.TemporaryDirectory() as folder:
            done = api.clean([f"pages.warc.gz={path}"], folder, workers=1)
            return {"MB": size, "docs": done.counts["in"]}

    return work


def trafilatura(path):
    """A loop over the records."""
    import trafilatura

    size = _size(path)

    def work():
        docs = 0
        with tempfile.TemporaryFile("w", encoding="utf-8") as out:
            for page in _pages(path):
                text = trafilatura.extract(page)
                out.write(json.dumps({"id": docs, "text": text}) + "\n")
                docs += 1
        return {"MB": size, "docs": docs}

    return work
