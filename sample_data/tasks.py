"""Labelled rows of six tasks, made from the texts of a clean run: for trying out fine-tuning.

python -m corpusforge.sample_data.tasks RUN FOLDER

Nobody labelled anything: a paragraph's language is its document's, the second text of a pair is
the paragraph that follows or another document's, a word's label says how it is written, a question
is a sentence without one of its numbers, an answer names the language, a target is the title.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpusforge import manifest

LEAST, MOST = 80, 300  # characters of a paragraph
PARAGRAPHS = 6  # of a document
LANGUAGES = {
    "ar": "Arabic", "de": "German", "en": "English", "es": "Spanish", "fr": "French",
    "it": "Italian", "ja": "Japanese", "ko": "Korean", "pl": "Polish", "pt": "Portuguese",
    "ru": "Russian", "zh": "Chinese",
}  # fmt: skip
Rows = Iterator[dict[str, Any]]


def documents(run: str) -> list[dict[str, Any]]:
    """Kept documents with ``parts``, their paragraphs of some length; all in the order of ids."""
    found = []
    for shard in manifest.read(run, "clean").in_folder("corpus"):
        with pa.OSFile(f"{run}/{shard.name}") as file:
            table = pa.ipc.open_file(file).read_all()
        found += table.select(["id", "title", "language", "text"]).to_pylist()
    for one in found:
        lines = (line.strip() for line in one["text"].split("\n"))
        one["parts"] = [line[:MOST] for line in lines if len(line) >= LEAST][:PARAGRAPHS]
    return sorted((one for one in found if one["parts"]), key=lambda one: bytes(one["id"]))


def language(texts: list[dict[str, Any]]) -> Rows:
    """Paragraphs and their language."""
    for one in texts:
        for part in one["parts"]:
            yield {"text": part, "label": one["language"]}


def pairs(texts: list[dict[str, Any]]) -> Rows:
    """Two paragraphs: of one document or of two."""
    for place, one in enumerate(texts):
        other = texts[place - 1]["parts"][0]
        for first, second in zip(one["parts"], one["parts"][1:], strict=False):
            yield {"first": first, "second": second, "label": "follows"}
            yield {"first": first, "second": other, "label": "another"}


def words(texts: list[dict[str, Any]]) -> Rows:
    """Words and how they are written."""
    for one in texts:
        tokens = re.findall(r"\w+|[^\w\s]", one["parts"][0])[:40]
        labels = [
            "number" if word.isdecimal()
            else "mark" if not word[0].isalnum()
            else "name" if word[0].isupper()
            else "word"
            for word in tokens
        ]  # fmt: skip
        yield {"tokens": tokens, "labels": labels}


def questions(texts: list[dict[str, Any]]) -> Rows:
    """Sentences without a number, which stands in the paragraph."""
    for one in texts:
        for part in one["parts"]:
            found = re.search(r"\b\d+(\.\d+)?\b", part)
            if found and part.count(found[0]) == 1:
                begin = max(part.rfind(". ", 0, found.start()) + 2, found.start() - 40, 0)
                end = found.end() + 40
                asked = f"{part[begin : found.start()]}___{part[found.end() : end]}"
                answers = {"text": [found[0]], "answer_start": [found.start()]}
                yield {"question": asked, "context": part, "answers": answers}


def chats(texts: list[dict[str, Any]]) -> Rows:
    """A question about a text, and a short answer."""
    for one in texts:
        if one["language"] in LANGUAGES:
            asked = f"{one['parts'][0][:120]}\nWhich language is this?"
            yield {"prompt": asked, "answer": f"{LANGUAGES[one['language']]}."}


def titles(texts: list[dict[str, Any]]) -> Rows:
    """First paragraphs and titles."""
    for one in texts:
        if one["title"] and one["title"].strip():
            yield {"source": one["parts"][0], "target": one["title"].strip()[:80]}


TASKS = (language, pairs, words, questions, chats, titles)


def main(run: str, folder: str) -> None:
    """Write a JSONL file a task."""
    texts = documents(run)
    Path(folder).mkdir(parents=True, exist_ok=True)
    for task in TASKS:
        rows = list(task(texts))
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        Path(folder, f"{task.__name__}.jsonl").write_text(lines, encoding="utf-8")
        print(f"{task.__name__}.jsonl {len(rows)} rows")


if __name__ == "__main__":
    main(*sys.argv[1:3])
