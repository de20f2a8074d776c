"""Files to evaluate on: their records, what kind of task these are, errors by row.

| kind | fields of a record |
|---|---|
| texts | ``text``; a plain text file is one text |
| choices | ``context``, ``choices`` (two texts or more), ``answer``: number from 0, or text |
| prompts | ``prompt``, ``reference`` (a text or several) |
| answers | ``prediction``, ``reference`` |
| labels | ``label`` and ``prediction``: a text or a whole number, or a list of these |

What ``forge finetune --predict`` writes has ``expected`` beside ``label``, ``labels`` or
``answer``; such records are answers and labels too.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from corpusforge import given
from corpusforge.errors import InputError, SpecError
from corpusforge.evaluation import JSON, json_lines, stem, table_rows

Record = Mapping[str, Any]
TEXT, TABLE = (".txt", ".md"), ".parquet"
_FIELDS = ("text", "context", "choices", "answer", "prompt", "prediction", "reference", "label")
_SAID = ("label", "labels", "answer")  # of a fine-tuned model's prediction


@dataclass(frozen=True)
class Item:
    """A record of a known kind, checked; ``place`` is "line 3" or "row 3" of its ``file``."""

    file: str  # its name, without folder
    place: str
    values: dict[str, Any]


def readable(path: str) -> bool:
    """Tell whether a file's name says that `read` reads it."""
    return stem(path).endswith((*TEXT, TABLE, *JSON))


def read(path: str, columns: Mapping[str, str] | None = None) -> tuple[str, list[Item]]:
    """Return the kind of the records of a file, and these; all are of the first one's kind.

    JSONL, Parquet or plain text, plain or compressed. ``columns`` gives a field's name in the file
    where it has another. Raises InputError naming file, row, field and what was expected.
    """
    name, file = stem(path), given.name(path)
    if not readable(path):
        raise InputError(
            "not a known ending",
            file=path,
            expected=", ".join((*JSON, TABLE, *TEXT)) + ", plain or compressed",
        )
    try:
        data = given.read(path)
    except SpecError as error:
        raise InputError(error.what, file=path, remedy="check the path") from None
    if name.endswith(TEXT):
        try:
            return "texts", [Item(file, "line 1", {"text": data.decode()})]
        except UnicodeDecodeError as error:
            raise InputError(f"not UTF-8 at byte {error.start}", file=path) from None
    found = table_rows(path, data) if name.endswith(TABLE) else json_lines(path, data)
    kind, items = "", list[Item]()
    for place, record in found:
        row = _Row(path, place, _renamed(record, columns or {}))
        kind = kind or kind_of(row)
        items.append(Item(file, place, _CHECKS[kind](row)))
    if not items:
        raise InputError("holds no record", file=path, expected="one record a line")
    return kind, items


def _renamed(record: Record, columns: Mapping[str, str]) -> Record:
    if not columns:
        return record
    return {**record, **{ours: record[name] for ours, name in columns.items() if name in record}}


class _Row:
    """A record with where it stands, for messages."""

    def __init__(self, path: str, place: str, record: Record) -> None:
        self.path, self.place, self.record = path, place, record

    def error(self, what: str, expected: str) -> InputError:
        return InputError(what, file=self.path, record=self.place, expected=expected)

    def text(self, name: str) -> str:
        return self.checked(self.record.get(name), name)

    def checked(self, value: Any, name: str) -> str:
        """``value`` as a text that can be written as UTF-8."""
        if not isinstance(value, str):
            raise self.error(f"'{name}' is {_shown(value)}", "a text")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self.error(f"'{name}' has half a surrogate pair", "a text") from None
        return value

    def labels(self, name: str) -> list[str | None]:
        """A label, or a list of them, as texts."""
        value = self.record.get(name)
        found = value if isinstance(value, list) else [value]
        for one in found:
            if not isinstance(one, bool | int | str) and not (one is None and found is value):
                raise self.error(
                    f"'{name}' is {_shown(value)}",
                    "a label: a text or a whole number; or a list of labels",
                )
        texts = [json.dumps(one) if isinstance(one, int) else one for one in found]
        return [None if one is None else self.checked(one, name) for one in texts]


def kind_of(row: _Row) -> str:
    """Return the kind of a record by the fields it has."""
    record = row.record
    if "choices" in record:
        return "choices"
    if "reference" in record:
        return "answers" if "prediction" in record else "prompts"
    if "expected" in record and "answer" in record:
        return "answers"
    if "label" in record and "prediction" in record:
        return "labels"
    if "expected" in record and ("label" in record or "labels" in record):
        return "labels"
    if "text" in record:
        return "texts"
    near = [
        f"'{name}': did you mean '{close[0]}'?"
        for name in record
        if (close := difflib.get_close_matches(name, _FIELDS, n=1, cutoff=0.7))
    ]
    raise InputError(
        f"fields {', '.join(map(repr, record)) or 'none'} make no task",
        file=row.path,
        record=row.place,
        expected="text; or context, choices, answer; or reference with prompt or prediction; "
        "or label and prediction",
        remedy=near[0] if near else "name them, e.g. --set columns.text=body",
    )


def _shown(value: Any) -> str:
    if value is None:
        return "missing"
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _texts(row: _Row) -> dict[str, Any]:
    return {"text": row.text("text"), **_groups(row)}


def _groups(row: _Row) -> dict[str, Any]:
    """What figures are also given by."""
    names = ("source", "language")
    return {name: row.text(name) for name in names if isinstance(row.record.get(name), str)}


def _choices(row: _Row) -> dict[str, Any]:
    choices = row.record.get("choices")
    if not isinstance(choices, list) or len(choices) < 2:
        raise row.error(f"'choices' is {_shown(choices)}", "a list of two texts or more")
    for number, choice in enumerate(choices):
        if not row.checked(choice, f"choices[{number}]").strip():
            raise row.error(f"'choices[{number}]' is empty", "a text")
    answer = row.record.get("answer")
    if isinstance(answer, str) and choices.count(answer) == 1:
        answer = choices.index(answer)
    whole = isinstance(answer, int) and not isinstance(answer, bool)
    if not whole or answer not in range(len(choices)):
        raise row.error(
            f"'answer' is {_shown(answer)}",
            f"a number from 0 to {len(choices) - 1}, or one of the choices",
        )
    return {
        "context": row.text("context"), "choices": choices, "answer": answer, **_groups(row)
    }  # fmt: skip


def _answers(row: _Row) -> dict[str, Any]:
    if "reference" in row.record:
        return {"prediction": row.text("prediction"), "reference": _references(row, "reference")}
    return {"prediction": row.text("answer"), "reference": _references(row, "expected")}


def _prompts(row: _Row) -> dict[str, Any]:
    if not row.text("prompt").strip():
        raise row.error("'prompt' is empty", "a text to go on from")
    return {"prompt": row.text("prompt"), "reference": _references(row, "reference")}


def _references(row: _Row, name: str) -> list[str]:
    """The texts that are right; of a question without answer the empty one."""
    found = row.record.get(name)
    references = [found] if isinstance(found, str) else found
    if not isinstance(references, list):
        raise row.error(f"'{name}' is {_shown(found)}", "a text or a list of texts")
    return [row.checked(one, name) for one in references] or [""]


def _labels(row: _Row) -> dict[str, Any]:
    said, wanted = "prediction", "label"
    if "prediction" not in row.record:
        said = next((name for name in _SAID if name in row.record), "label")
        wanted = "expected"
    found = {"prediction": row.labels(said), "label": row.labels(wanted)}
    if None in found["label"]:
        raise row.error(f"'{wanted}' holds no label", "a label for each one")
    if len(found["prediction"]) != len(found["label"]):
        raise row.error(
            f"'{said}' has {len(found['prediction'])} labels",
            f"{len(found['label'])} as '{wanted}' has",
        )
    return found


_CHECKS: dict[str, Callable[[_Row], dict[str, Any]]] = {
    "texts": _texts,
    "choices": _choices,
    "prompts": _prompts,
    "answers": _answers,
    "labels": _labels,
}
