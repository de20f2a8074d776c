"""The lines of notes.jsonl and more.jsonl.gz: short texts, some of them bad on purpose."""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from .expected import Expected, Outcome, article
from .selection import Page

FILE = "notes.jsonl"
# How many good notes of each language stand in notes.jsonl and in more.jsonl.gz.
GOOD = {"en": 12, "de": 4, "fr": 4, "es": 3, "it": 2, "pt": 2, "ru": 3, "ja": 3, "ko": 2}
MORE = {"en": 6, "de": 2, "fr": 2, "ru": 1, "ja": 1}

Passages = dict[str, Iterator[tuple[Page, list[str]]]]


class Lines:
    """Collects lines, their numbers and byte offsets."""

    def __init__(self, expected: Expected) -> None:
        self.data = bytearray()
        self.number = 0
        self.expected = expected

    def raw(self, line: bytes, end: bytes = b"\n") -> tuple[int, int]:
        """Append bytes as one line; returns its number, counted from 1, and its offset."""
        self.number += 1
        offset = len(self.data)
        self.data += line + end
        return self.number, offset

    def bad(
        self,
        kind: str,
        line: bytes,
        outcome: Outcome = "failed",
        stage: str | None = "read",
        rule: str | None = None,
        record: str | None = None,
        end: bytes = b"\n",
        **more: Any,
    ) -> None:
        """Append an awkward line and its answer; a failed line is known by its number."""
        number, offset = self.raw(line, end)
        name = number if record is None else record
        self.expected.add(FILE, name, offset, kind, outcome, stage, rule, **more)


def dump(row: dict[str, Any]) -> bytes:
    """One JSON line."""
    return json.dumps(row, ensure_ascii=False).encode()


def note(page: Page, texts: list[str], ident: str, **more: Any) -> dict[str, Any]:
    """A good note; what is neither id, url nor text is kept as its meta."""
    row: dict[str, Any] = {"id": ident, "url": page.url, "text": "\n\n".join(texts)}
    return row | {"source": page.package, "lang": page.lang} | more


def good_notes(passages: Passages, counts: dict[str, int], name: str) -> list[dict[str, Any]]:
    """Notes of several languages in turns, every sixth with HTML in place of text."""
    rows: list[dict[str, Any]] = []
    for turn in range(max(counts.values())):
        for lang in (lang for lang, count in counts.items() if turn < count):
            page, texts = next(passages[lang])
            number = len(rows) + 1
            row = note(page, texts, f"{name}-{number:03}", rank=number, tags=[lang, "manual"])
            if number % 6 == 0:
                row["html"] = article(f"Note {number}", texts)
                del row["text"]
            rows.append(row)
    return rows


def notes_jsonl(passages: Passages, expected: Expected) -> bytes:
    """The bytes of notes.jsonl: good notes with an awkward line after each second one."""
    lines = Lines(expected)
    rows = good_notes(passages, GOOD, "note")
    awkward = awkward_lines(lines, passages)
    for index, row in enumerate(rows):
        lines.raw(dump(row))
        if index % 2:
            next(awkward, None)
    for _ in awkward:
        pass
    page, texts = next(passages["en"])
    last = dump(note(page, texts, "no-newline-at-the-end"))
    lines.bad("no-newline-at-the-end", last, "kept", None, record="no-newline-at-the-end", end=b"")
    return bytes(lines.data)


def awkward_lines(lines: Lines, passages: Passages) -> Iterator[None]:
    """Write the awkward lines, one a step."""

    def fresh(ident: str, **more: Any) -> dict[str, Any]:
        page, texts = next(passages["en"])
        return note(page, texts, ident, **more)

    twice = ["kept", "dropped"]
    same: dict[str, Any] = {"group": "note-copy", "group_kept": 1}
    copy = fresh("copied-1")
    copied = ("dedup", "duplicate")
    lines.bad("copy", dump(copy), twice, *copied, record="copied-1", **same)
    yield
    lines.bad("bad-json", b'{"id": "bad-json", "text": "The brace is missing"')
    yield
    lines.bad("not-an-object", b'["a list", "is not", "a record"]')
    yield
    lines.bad("text-is-a-number", dump({"id": "number", "text": 42}))
    yield
    lines.bad("text-is-null", dump({"id": "null", "text": None}))
    yield
    lines.bad("no-text", dump({"id": "no-text", "title": "Neither text nor html is here."}))
    yield
    lines.raw(b"")  # a blank line is no record and has no row
    yield
    lines.bad("invalid-utf-8", b'{"id": "invalid", "text": "caf\xe9 \xff\xfe and more"}')
    yield
    empty = dump({"id": "empty-text", "text": ""})
    lines.bad("empty-text", empty, "dropped", "read", "empty", record="empty-text")
    yield
    lone = dump(fresh("lone-surrogate")).replace(b". ", b". \\ud800 ", 1)
    lines.bad("lone-surrogate", lone, ["kept", "failed"], "read")
    yield
    nul = dump(fresh("nul")).replace(b". ", b".\\u0000 ", 1)
    lines.bad("nul", nul, "kept", None, record="nul")
    yield
    lines.bad("same-id", dump(fresh("same-id")), "kept", None, record="same-id")
    yield
    lines.bad("same-id", dump(fresh("same-id")), "kept", None, record="same-id")
    yield
    second = copy | {"id": "copied-2", "url": "https://elsewhere.example/copy"}
    lines.bad("copy", dump(second), twice, *copied, record="copied-2", **same)
    yield
    lines.bad("crlf", dump(fresh("crlf")), "kept", None, record="crlf", end=b"\r\n")
    yield
    deep = fresh("nested-meta", nested={"a": [{"b": None}, 1.5, True]})
    lines.bad("nested-meta", dump(deep), "kept", None, record="nested-meta")
    yield
    astral = fresh("escaped-pair")
    astral["text"] += " The end is a smiling face \U0001f600."
    escaped = json.dumps(astral).encode()
    lines.bad(
        "escaped-pair", escaped, "kept", None, record="escaped-pair", contains="face \U0001f600."
    )
    yield


def more_jsonl(passages: Passages) -> bytes:
    """The plain bytes of more.jsonl.gz: good lines only."""
    return b"".join(dump(row) + b"\n" for row in good_notes(passages, MORE, "more"))


def by_language(passages: Iterator[tuple[Page, list[str]]]) -> Passages:
    """Passages sorted into one queue a language."""
    queues: dict[str, list[tuple[Page, list[str]]]] = defaultdict(list)
    for page, texts in passages:
        queues[page.lang].append((page, texts))
    return {lang: iter(queue) for lang, queue in queues.items()}
