"""The sample's README, with counts taken from what was written."""

from collections import Counter
from typing import Any

from .selection import SOURCES, Page

TEXT = """# Sample data

A small crawl to try `forge` on, and awkward records with the answer expected of each.
Everything here is made by `build.py` from freely licensed manuals that Debian 12 packages ship;
the `.example` addresses are invented, all others are where the public finds the page.

| file | records | bytes | what |
|---|---|---|---|
{files}

The WARC files hold one gzip member a record. `pages.warc.gz` has near duplicates by nature: the
installation guides of amd64 and arm64 are one book in two builds. About a fifth of its pages are
stored with `Content-Encoding: gzip`, a tenth `chunked`, two fifths tell no charset in the HTTP
header, and {old} are stored in an older charset (iso-8859-1, iso-8859-2, windows-1251, gb18030,
euc-jp).

## Pages by language

{languages}

## expected.json

A list of rows. `file` and `record` name the record: WARC-Record-ID as in the header, or the
line's own id, or the line number counted from 1 where the line is expected to fail. `offset` is
where the record's gzip member starts (WARC) or its line (JSONL, uncompressed). `kind` says what
is awkward. `outcome` is `kept`, `dropped` or `failed`, or a list where any of several is right.
`stage` and `rule` say where and by what a record that is not kept leaves, null where that is left
open. `contains` is text that the document must hold when it is kept or shown. Rows of one `group`
are copies of each other: exactly `group_kept` of them are kept, and which ones is open.
The awkward pages hold at least 120 words of English prose, so that they are kept on their merits.
A blank line in a JSONL file is no record and has no row.

## Sources and licences

| package | version | pages | licence | title |
|---|---|---|---|---|
{sources}

`licences/` holds the copyright file of each package and the text of the GNU GPL, version 2.
The awkward records and the notes are paragraphs of the same manuals under new headings, and stand
under the same licences. The preferred form for changes is the Debian source package of the
version named (`apt-get source PACKAGE`). The code that builds the sample is under the licence of
this repository.

## Building

    python sample_data/build.py --packages DIR --fetch   # Debian 12: apt-get download, dpkg-deb -x
    python sample_data/build.py --packages DIR           # from packages extracted before

`--fetch` leaves each package under `DIR/NAME`, as `apt-get download NAME` followed by
`dpkg-deb -x NAME_*.deb DIR/NAME` does. `selection.json` names each page with the digest of its
bytes, so another version of a package is refused rather than silently used; `--select` chooses
anew. Dates are fixed and record ids are derived from names, so each build gives the same bytes
with the same zlib, brotli and zstandard libraries.
"""


def readme(
    pages: list[Page], files: dict[str, tuple[int, int]], expected: list[dict[str, Any]]
) -> str:
    """Fill the tables: pages by language and source, records and bytes by file."""
    what = {
        "pages.warc.gz": "manual pages, with some request and metadata records",
        "awkward.warc.gz": "records that go wrong in one way each",
        "notes.jsonl": "short texts in several languages, and awkward lines",
        "more.jsonl.gz": "good lines only",
    }
    crawl = [page for page in pages if page.use == "pages"]
    languages = Counter(page.lang for page in crawl)
    packages = Counter(page.package for page in pages)
    return TEXT.format(
        files="\n".join(
            f"| {name} | {records} | {size:,} | {what[name]} |"
            for name, (records, size) in files.items()
        ),
        languages=f"{len(crawl)} pages: "
        + ", ".join(f"{lang} {count}" for lang, count in languages.most_common())
        + ".",
        sources="\n".join(
            f"| {source.package} | {source.version} | {packages[name]} | {source.licence} "
            f"| {source.title} |"
            for name, source in SOURCES.items()
        ),
        old=sum(row["kind"].startswith("charset-") and "pages" in row["file"] for row in expected),
    )
