"""The answer expected of a record, and the article page around a passage of prose."""

from dataclasses import dataclass, field
from html import escape
from typing import Any

Outcome = str | list[str]


@dataclass
class Expected:
    """Rows of expected.json, collected while the records are written."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        file: str,
        record: str | int,
        offset: int,
        kind: str,
        outcome: Outcome,
        stage: str | None = None,
        rule: str | None = None,
        **more: Any,
    ) -> None:
        """One record's answer; stage and rule speak of the outcomes other than kept."""
        row = {"file": file, "record": record, "offset": offset, "kind": kind}
        self.rows.append(row | {"outcome": outcome, "stage": stage, "rule": rule} | more)


def article(title: str, paragraphs: list[str], head: str = "", before: str = "") -> str:
    """A small page as a blog would serve it: head, menu, the text, a footer."""
    body = "\n".join(f"<p>{escape(text, quote=False)}</p>" for text in paragraphs)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n'
        f"{head}<title>{escape(title)}</title>\n</head>\n<body>\n"
        '<nav><ul><li><a href="/">Home</a></li><li><a href="/all">All texts</a></li></ul></nav>\n'
        f"{before}<article>\n<h1>{escape(title)}</h1>\n{body}\n</article>\n"
        '<footer><a href="/about">About</a></footer>\n</body>\n</html>\n'
    )
