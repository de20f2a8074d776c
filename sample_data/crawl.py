"""The records of pages.warc.gz: manual pages as a crawler would have stored them."""

import re

from .expected import Expected
from .records import Headers, Record, WarcBuilder, chunked, gzip_member, http_response, noise
from .selection import Page, prose

FILE = "pages.warc.gz"
# The first pages of a language are stored in an older charset: language -> (charset, how many).
OLD_CHARSETS = {
    "fr": ("iso-8859-1", 2),
    "de": ("iso-8859-1", 2),
    "zh": ("gb18030", 3),
    "ja": ("euc-jp", 3),
    "ru": ("windows-1251", 3),
    "pl": ("iso-8859-2", 2),
}
CHARSET_LABEL = re.compile(r"(encoding=\"|charset=\"?)utf-8", re.IGNORECASE)


def recoded(html: str, charset: str) -> bytes:
    """The page in another charset, its own statements of the charset changed with it."""
    html = CHARSET_LABEL.sub(lambda match: match[1] + charset, html)
    return html.encode(charset, "xmlcharrefreplace")


def telling_phrase(html: str, charset: str) -> str:
    """A phrase from the page's prose that reads otherwise in a wrong charset."""
    for text in prose(html):
        for start in range(0, len(text) - 16, 4):
            phrase = text[start : start + 16].strip()
            odd = sum(ord(char) > 0xA0 for char in phrase)
            if odd >= 2 and len(phrase) > 12 and phrase in html and encodable(phrase, charset):
                return phrase
    raise ValueError("no phrase tells the charset of this page")


def encodable(text: str, charset: str) -> bool:
    """Whether a charset holds every character of a text."""
    try:
        text.encode(charset)
    except UnicodeEncodeError:
        return False
    return True


def lot(url: str, purpose: str) -> int:
    """A number from 0 to 99 drawn by the address, so that a page keeps its lot in every build."""
    return int.from_bytes(noise(f"{purpose}:{url}", 4), "big") % 100


def response(url: str, body: bytes, charset: str, old: bool) -> bytes:
    """The page under headers that vary as they do on the web."""
    tell = lot(url, "charset") >= 40
    content_type = f"text/html; charset={charset}" if tell else "text/html"
    headers: list[tuple[str, str]] = [("Last-Modified", "Thu, 08 Jun 2023 12:00:00 GMT")]
    framing = lot(url, "framing")
    if framing < 20 and not old:
        headers.append(("Content-Encoding", "gzip"))
        body = gzip_member(body)
    if 15 <= framing < 25:
        headers.append(("Transfer-Encoding", "chunked"))
        body = chunked(body)
    return http_response(body, content_type, headers=headers)


def pages_warc(pages: list[tuple[Page, bytes]], expected: Expected) -> bytes:
    """The bytes of pages.warc.gz; answers only for what is no page and for old charsets."""
    warc = WarcBuilder(FILE, "WARC/1.1")

    def refused(record: Record) -> None:
        placed = warc.add(record)
        answer = ("dropped", "read", "record-type")
        expected.add(FILE, placed.id, placed.offset, placed.kind, *answer)

    info = b"software: corpusforge sample\r\nformat: WARC File Format 1.1\r\n"
    refused(Record("warcinfo", "warcinfo", None, info, "application/warc-fields"))
    old_left = {lang: count for lang, (_, count) in OLD_CHARSETS.items()}
    for number, (page, data) in enumerate(sorted(pages, key=lambda pair: lot_order(pair[0].url))):
        old = old_left.get(page.lang, 0) > 0
        html, charset = data.decode("utf-8"), "utf-8"
        if old:
            old_left[page.lang] -= 1
            charset = OLD_CHARSETS[page.lang][0]
            data = recoded(html, charset)
        http = response(page.url, data, charset, old)
        placed = warc.add(Record("page", "response", page.url, http))
        if old:
            expected.add(
                FILE,
                placed.id,
                placed.offset,
                f"charset-{charset}",
                ["kept", "dropped"],
                contains=telling_phrase(html, charset),
            )
        partner: Headers = (("WARC-Concurrent-To", placed.id),)
        if number % 12 == 0:
            ask = f"GET / HTTP/1.1\r\nHost: {page.url.split('/')[2]}\r\n\r\n".encode()
            kind = "application/http; msgtype=request"
            refused(Record("request", "request", page.url, ask, kind, partner))
        if number % 25 == 0:
            facts = f"fetchTimeMs: {40 + number}\r\nlanguages-cld2: {page.lang}\r\n".encode()
            kind = "application/warc-fields"
            refused(Record("metadata", "metadata", page.url, facts, kind, partner))
    return warc.getvalue()


def lot_order(url: str) -> bytes:
    """Mix sources and languages in an order that is the same on every run."""
    return noise(f"order:{url}", 16)
