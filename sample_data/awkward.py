"""The records of awkward.warc.gz: each goes wrong in one way and is otherwise a good page."""

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import brotli
import zstandard

from .expected import Expected, Outcome, article
from .records import (
    Headers,
    Placed,
    Record,
    WarcBuilder,
    chunked,
    gzip_member,
    http_response,
    noise,
)

FILE = "awkward.warc.gz"
SITE = "https://awkward.example/"
HTML = "text/html; charset=utf-8"
BOMB_BYTES = 30_000_000
ACCENTS = (
    "Raphaël and Zoë met in the café “Déjà vu” near the façade of the old museum, and they "
    "spoke about the naïve idea that one character set would be enough for everyone."
)
REPLACED = (
    "This paragraph stands only in the second edition of the page, where an editor put it in "
    "the place of an older one without touching anything else."
)


class Awkward:
    """Writes the file record by record and notes what is expected of each."""

    def __init__(self, passages: Iterator[list[str]], expected: Expected) -> None:
        self.warc = WarcBuilder(FILE)
        self.passages = passages
        self.expected = expected

    def page(self, kind: str, head: str = "", before: str = "", extra: Iterable[str] = ()) -> bytes:
        """An article with prose of its own, so that no two records are near duplicates."""
        texts = next(self.passages)
        return article(f"A page of the kind {kind}", [*texts, *extra], head, before).encode()

    def put(
        self,
        record: Record,
        outcome: Outcome,
        stage: str | None = None,
        rule: str | None = None,
        **more: object,
    ) -> Placed:
        """Write any record and its answer."""
        placed = self.warc.add(record)
        self.expected.add(FILE, placed.id, placed.offset, placed.kind, outcome, stage, rule, **more)
        return placed

    def response(
        self,
        kind: str,
        http: bytes,
        outcome: Outcome = "kept",
        stage: str | None = None,
        rule: str | None = None,
        extra: Headers = (),
        odd_case: bool = False,
        **more: object,
    ) -> Placed:
        """Write a response record at the address `kind`."""
        record = Record(kind, "response", SITE + kind, http, extra=extra, odd_case=odd_case)
        return self.put(record, outcome, stage, rule, **more)


def awkward_warc(passages: Iterator[list[str]], expected: Expected) -> bytes:
    """The bytes of awkward.warc.gz; its answers go to `expected`."""
    out = Awkward(passages, expected)
    add_other_types(out)
    add_not_pages(out)
    add_headers(out)
    add_charsets(out)
    add_encodings(out)
    add_copies(out)
    add_broken(out)
    out.response("last", http_response(out.page("last")))
    return out.warc.getvalue()


def add_other_types(out: Awkward) -> None:
    """Records that are no response."""
    info = b"software: corpusforge sample\r\nformat: WARC File Format 1.0\r\n"
    rejected = ("dropped", "read", "record-type")
    out.put(Record("warcinfo", "warcinfo", None, info, "application/warc-fields"), *rejected)
    first = out.response("plain", http_response(out.page("plain")))
    ask = b"GET /plain HTTP/1.1\r\nHost: awkward.example\r\nUser-Agent: sample\r\n\r\n"
    partner = (("WARC-Concurrent-To", first.id),)
    asked = "application/http; msgtype=request"
    out.put(Record("request", "request", first.url, ask, asked, partner), *rejected)
    facts = b"fetchTimeMs: 87\r\ncharset-detected: UTF-8\r\n"
    fields = "application/warc-fields"
    out.put(Record("metadata", "metadata", first.url, facts, fields, partner), *rejected)
    same = (
        ("WARC-Profile", "http://netpreserve.org/warc/1.0/revisit/identical-payload-digest"),
        ("WARC-Refers-To", first.id),
    )
    again = http_response(b"", HTML)
    out.put(Record("revisit", "revisit", first.url, again, extra=same), *rejected)


def add_not_pages(out: Awkward) -> None:
    """Responses that hold no page to keep."""
    moved = http_response(b"", HTML, "301 Moved Permanently", [("Location", SITE + "plain")])
    out.response("redirect", moved, "dropped", "read", "http-status")
    missing = http_response(out.page("not-found"), HTML, "404 Not Found")
    out.response("not-found", missing, "dropped", "read", "http-status")
    mime = ("dropped", "read", "mime")
    out.response("picture.png", http_response(tiny_png(), "image/png"), *mime)
    data = b'{"items": [1, 2, 3], "next": null}'
    out.response("items.json", http_response(data, "application/json"), *mime)
    robots = b"User-agent: *\nDisallow: /private/\n"
    out.response("robots.txt", http_response(robots, "text/plain"), *mime)
    inner = WarcBuilder("inner.warc.gz")
    stored = http_response(article("Stored", ["A page inside an archive."]).encode())
    inner.add(Record("inner", "response", SITE + "inner", stored))
    inner.add(Record("inner-2", "response", SITE + "inner-2", stored))
    out.response("stored.warc.gz", http_response(inner.getvalue(), "application/gzip"), *mime)
    out.response("empty", http_response(b""), "dropped", "read", "empty")
    magic = ("dropped", "read", "mime-magic")
    out.response("random-bytes", http_response(noise("random", 4000), "text/html"), *magic)
    pdf = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Length 2000 >>\nstream\n"
    pdf += noise("pdf", 2000) + b"\nendstream\nendobj\ntrailer\n<<>>\n%%EOF\n"
    out.response("pdf-as-html", http_response(pdf, "text/html"), *magic)
    script = "<script>var total = 0; for (var i = 0; i < 9; i++) { total += i; }</script>"
    page = f"<!DOCTYPE html><html><head>{script}</head><body>{script}</body></html>"
    out.response("script-only", http_response(page.encode()), "dropped", "extract", "empty")


def add_headers(out: Awkward) -> None:
    """Good pages under poor headers."""
    out.response("no-content-type", http_response(out.page("no-content-type"), None))
    xhtml = http_response(out.page("xhtml-type"), "application/xhtml+xml; charset=utf-8")
    out.response("xhtml-type", xhtml)
    body = out.page("length-too-large")
    out.response("length-too-large", http_response(body, length=len(body) + 5000))
    body = out.page("length-too-small")
    out.response("length-too-small", http_response(body, length=len(body) - 20))
    folded = [("cOnTeNt-TyPe", "text/html;\r\n charset=utf-8"), ("X-Long", "one\r\n\ttwo")]
    out.response("folded-header", http_response(out.page("folded-header"), None, headers=folded))
    twice = [("CONTENT-TYPE", "text/html"), ("content-type", HTML), ("Server", "nginx")]
    out.response("doubled-header", http_response(out.page("doubled-header"), None, headers=twice))
    odd = http_response(out.page("odd-case-warc-header"))
    out.response("odd-case-warc-header", odd, odd_case=True)
    out.response("no-reason-phrase", http_response(out.page("no-reason-phrase"), status="200"))
    whole = http_response(out.page("truncated"))
    out.response("truncated", whole[: len(whole) * 3 // 4], extra=(("WARC-Truncated", "length"),))


def add_charsets(out: Awkward) -> None:
    """Pages whose charset is told wrongly, late or not at all."""
    told = "text/html; charset=iso-8859-1"
    seen: dict[str, Any] = {"contains": "Raphaël and Zoë met in the café “Déjà vu”"}
    page = out.page("bom-against-header", extra=[ACCENTS])
    out.response("bom-against-header", http_response(b"\xef\xbb\xbf" + page, told), **seen)
    page = out.page("utf-16-bom", extra=[ACCENTS]).decode().encode("utf-16-le")
    out.response("utf-16-bom", http_response(b"\xff\xfe" + page, HTML), **seen)
    meta = '<meta http-equiv="Content-Type" content="text/html; charset=windows-1252">\n'
    page = out.page("charset-in-meta", meta, extra=[ACCENTS]).decode().encode("windows-1252")
    out.response("charset-in-meta", http_response(page, "text/html"), **seen)
    page = out.page("charset-nowhere", extra=[ACCENTS])
    out.response("charset-nowhere", http_response(page, "text/html"), **seen)
    page = out.page("charset-unknown", '<meta charset="utf-8">\n', extra=[ACCENTS])
    out.response("charset-unknown", http_response(page, "text/html; charset=x-nonsense"), **seen)


def add_encodings(out: Awkward) -> None:
    """Compressed and chunked bodies, whole, cut and hostile."""
    for coding, pack in (
        ("gzip", gzip_member),
        ("deflate", zlib.compress),
        ("br", brotli.compress),
        ("zstd", zstandard.ZstdCompressor(level=9).compress),
    ):
        kind = f"{coding}-body"
        body = pack(out.page(kind))
        out.response(kind, http_response(body, headers=[("Content-Encoding", coding)]))
    both = [("Content-Encoding", "gzip"), ("Transfer-Encoding", "chunked")]
    body = chunked(gzip_member(out.page("gzip-and-chunked")), 500)
    out.response("gzip-and-chunked", http_response(body, headers=both))
    # Some crawlers store the body unpacked and leave the header in place.
    plain = http_response(out.page("gzip-claimed-only"), headers=[("Content-Encoding", "gzip")])
    out.response("gzip-claimed-only", plain, ["kept", "failed"])
    body = gzip_member(out.page("gzip-cut"))
    cut = http_response(body[: len(body) // 2], headers=[("Content-Encoding", "gzip")])
    out.response("gzip-cut", cut, "failed", "read")
    line = b"<p>A small file grows very large.</p>\n"
    bomb = gzip_member(line * (BOMB_BYTES // len(line)))
    grown = http_response(bomb, headers=[("Content-Encoding", "gzip")])
    out.response("gzip-bomb", grown, "failed", "read", "limit:inflated_bytes")


def add_copies(out: Awkward) -> None:
    """A page twice at two addresses, and a page with one paragraph changed."""
    page = http_response(out.page("copy"))
    for kind in ("copy-1", "copy-2"):
        out.response(
            kind, page, ["kept", "dropped"], "dedup", "duplicate", group="copy", group_kept=1
        )
    texts = next(out.passages) + next(out.passages)
    shortest = min(range(len(texts)), key=lambda i: len(texts[i]))
    changed = [REPLACED if i == shortest else text for i, text in enumerate(texts)]
    for kind, paragraphs in (("near-copy-1", texts), ("near-copy-2", changed)):
        body = http_response(article("A page in two editions", paragraphs).encode())
        out.response(
            kind,
            body,
            ["kept", "dropped"],
            "dedup",
            "near-duplicate",
            group="near-copy",
            group_kept=1,
        )


def add_broken(out: Awkward) -> None:
    """A tree too deep for recursion, and a gzip member with damaged bytes."""
    depth = 6000
    deep = "<div>" * depth + "<p>In the deep.</p>" + "</div>" * depth
    page = out.page("deep", before=deep)
    out.response("deep", http_response(page), ["kept", "failed", "dropped"])
    body = http_response(out.page("damaged-member"))
    record = Record("damaged-member", "response", SITE + "damaged-member", body, damage=True)
    out.put(record, "failed", "read")
    out.response("after-damage", http_response(out.page("after-damage")))


def tiny_png() -> bytes:
    """A valid picture of one grey pixel."""
    out = b"\x89PNG\r\n\x1a\n"
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0\x80")),
        (b"IEND", b""),
    )
    for name, data in chunks:
        check = zlib.crc32(name + data)
        out += struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)
    return out
