"""What a page states about itself: title, canonical address, date of publication, language.

Only what is stated in the markup counts, nothing is guessed from text or address; a page that
states several dates of equal rank, as a listing does, states none. Input is hostile: sizes are
bounded, addresses and dates are checked before they are believed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urljoin, urlsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode

_LONGEST_URL = 2048  # characters
_HEADS = 1000  # children of head and of body that are looked at
_LD_CHARS = 1 << 18  # characters of a JSON-LD script that is parsed
_LD_ITEMS = 2000  # items of one that are looked at
_BODY = 'script[type="application/ld+json"],time[datetime],[itemprop="datePublished"]'
# Names of meta elements for the date of publication: Open Graph and schema.org, then Dublin Core,
# Google Scholar and what common systems write.
_NAMES = (
    "article:published_time og:published_time og:article:published_time datepublished"
    " dc.date.issued dcterms.issued dc.date.created dcterms.created dcterms.date dc.date"
    " citation_publication_date citation_online_date parsely-pub-date sailthru.date"
    " article.published publish-date publish_date publishdate pubdate originalpublicationdate"
    " article_date_original rnews:datepublished cxenseparse:recs:publishtime date"
)
_PUBLISHED = {name: rank for rank, name in enumerate(_NAMES.split())}
# What schema.org's types say of a date: it is the page's main part's, the page's, another thing's.
_BESIDE = {"Answer", "Comment", "ImageObject", "Offer", "Organization", "Person", "Review"}
_OLD_CODES = {"iw": "he", "in": "id", "ji": "yi"}  # ISO 639-1 codes that were replaced
_NO_LANGUAGE = {"mul", "und", "zxx"}

_DATE = re.compile(r"\s*(\d{4})(?:([-/.])(\d{1,2})\2(\d{1,2})|(\d\d)(\d\d))(?!\d)")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MAIL_DATE = re.compile(  # RFC 5322: Tue, 05 Mar 2019
    rf"\s*(?:[A-Z][a-z]+, )?(\d{{1,2}}) ({'|'.join(_MONTHS)})[a-z]*"
    r" (\d{4})(?!\d)"
)
_TAG = re.compile(
    r"\s*([A-Za-z]{2,3})(?:[-_](?:[A-Za-z]{2,8}|\d{3}|[A-Za-z0-9]{4,8}))*(?:[.@][\w.@-]*)?\s*"
)
_WRAP = re.compile(r"\s*(?:(?://|/\*)?\s*(?:<!\[CDATA\[|<!--)(?:\s*\*/)?\s*)?")  # of a script
_JSON = json.JSONDecoder(strict=False)
_BAD_IN_URL = re.compile(r"[\x00-\x20\x7f\\<>\"^`{|}]")


@dataclass(frozen=True, slots=True)
class Metadata:
    """Each None where the page does not state it.

    ``canonical_url``: absolute http(s), no fragment. ``published``: YYYY-MM-DD. ``language``:
    primary subtag of BCP 47, lower case.
    """

    title: str | None = None
    canonical_url: str | None = None
    published: str | None = None
    language: str | None = None


def read(tree: LexborHTMLParser, url: str | None) -> Metadata:
    """Return what the page at ``url`` states."""
    root = tree.root
    if root is None:
        return Metadata()
    title = base = link = graph = spoken = locale = None
    named: list[tuple[int, str]] = []
    for node in _heads(tree):
        tag = node.tag
        if tag == "meta":
            given = node.attributes
            content = given.get("content")
            key = given.get("property") or given.get("name") or given.get("itemprop")
            name = (key or "").lower()
            if not content:
                pass
            elif name in _PUBLISHED:
                named.append((_PUBLISHED[name], content))
            elif name == "og:url":
                graph = graph or content
            elif name == "og:locale":
                locale = locale or content
            elif (given.get("http-equiv") or "").lower() == "content-language":
                spoken = spoken or content
        elif tag == "link":
            given = node.attributes
            if link is None and "canonical" in (given.get("rel") or "").lower().split():
                link = given.get("href")
        elif tag == "title":
            title = title or " ".join(node.text().split()) or None
        elif tag == "base":
            base = base or node.attributes.get("href")
    around = resolve(base, url) or url
    given = root.attributes
    return Metadata(
        title,
        resolve(link, around) or resolve(graph, around),
        _published(tree, named),
        language(given.get("lang") or given.get("xml:lang"))
        or language(spoken)
        or language(locale),
    )


def _heads(tree: LexborHTMLParser) -> Iterator[LexborNode]:
    """Children of the head, then of the body, where the rest of a broken head ends up."""
    for parent in (tree.head, tree.body):
        node = parent.first_child if parent is not None else None
        for _ in range(_HEADS):
            if node is None:
                break
            yield node
            node = node.next


def resolve(link: str | None, base: str | None, *, fragment: bool = False) -> str | None:
    """Return ``link`` as an absolute http(s) address, None where it is none.

    What follows ``#`` goes unless ``fragment``.
    """
    if not link or len(link) > _LONGEST_URL:
        return None
    try:
        whole = urljoin(base, link.strip()) if base else link.strip()
        parts = urlsplit(whole)
        fine = parts.scheme in ("http", "https") and parts.hostname and parts.username is None
        if not fine or (parts.port or 80) < 1:
            return None
    except ValueError:  # no such address: a bad port, brackets that do not close
        return None
    if not fragment:
        whole = whole.partition("#")[0]
    return None if len(whole) > _LONGEST_URL or _BAD_IN_URL.search(whole) else whole


def language(tag: str | None) -> str | None:
    """Return the primary subtag of a language tag or POSIX locale, None where it is none.

    Source: RFC 5646, https://www.rfc-editor.org/rfc/rfc5646.
    """
    found = _TAG.fullmatch(tag[:64]) if tag else None
    if not found:
        return None
    code = found[1].lower()
    return None if code in _NO_LANGUAGE else _OLD_CODES.get(code, code)


def day(stated: object) -> str | None:
    """Return the day of an ISO 8601 or RFC 5322 date as YYYY-MM-DD, None where it is none.

    The day is that of the stated time zone. Days that software writes for "unknown" are none.
    """
    if not isinstance(stated, str):
        return None
    try:
        if found := _DATE.match(stated[:64]):
            month, number = found[3] or found[5], found[4] or found[6]
            value = date(int(found[1]), int(month), int(number))
        elif found := _MAIL_DATE.match(stated[:64]):
            value = date(int(found[3]), _MONTHS.index(found[2]) + 1, int(found[1]))
        else:
            return None
    except ValueError:
        return None
    if not 1600 <= value.year <= 2100 or value == date(1970, 1, 1):
        return None
    return value.isoformat()


def _published(tree: LexborHTMLParser, named: list[tuple[int, str]]) -> str | None:
    """JSON-LD, then meta elements by their rank, then microdata and time elements."""
    stated: list[tuple[int, str]] = []
    marked: list[str | None] = []
    for node in tree.css(_BODY):
        if node.tag == "script":
            stated += _linked_data(node.text())
        else:
            given = node.attributes
            marked.append(day(given.get("datetime") or given.get("content")))
    for rank in range(3):
        if (one := _agreed(value for of, value in stated if of == rank)) is not None:
            return one
    for _, content in sorted(named, key=lambda item: item[0]):
        if value := day(content):
            return value
    return _agreed(value for value in marked if value)


def _agreed(days: Iterator[str]) -> str | None:
    found = set(days)
    return found.pop() if len(found) == 1 else None


def _linked_data(script: str) -> Iterator[tuple[int, str]]:
    """Yield (rank, day) of the things that a JSON-LD script describes; rank 0 is the best.

    Source: https://schema.org/datePublished, https://www.w3.org/TR/json-ld11/.
    """
    if "datePublished" not in script or len(script) > _LD_CHARS:
        return
    try:
        found = _WRAP.match(script)
        queue: list[Any] = [_JSON.raw_decode(script, found.end() if found else 0)[0]]
    except (ValueError, RecursionError):
        return
    for _ in range(_LD_ITEMS):
        if not queue:
            return
        thing = queue.pop()
        if isinstance(thing, list):
            queue += thing[:_LD_ITEMS]
        elif isinstance(thing, Mapping):
            queue += [thing[name] for name in ("@graph", "mainEntity") if name in thing]
            value = day(thing.get("datePublished"))
            types = thing.get("@type")
            kinds = {str(kind) for kind in (types if isinstance(types, list) else [types])[:20]}
            if value and not kinds & _BESIDE:
                yield _rank(kinds), value


def _rank(kinds: set[str]) -> int:
    if any(kind.endswith(("Article", "Posting")) for kind in kinds):
        return 0
    return 1 if any(kind.endswith("Page") for kind in kinds) else 2
