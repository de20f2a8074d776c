"""Time by stage, as the run wrote it into log.jsonl."""

from __future__ import annotations

import json
from typing import Any

from corpusforge.report.page import Cell, Section, element, section, table
from corpusforge.shard import join, read_lines


def sections(root: str) -> list[Section]:
    """Return the section of the stages' times; none where the run has no log."""
    stages: dict[str, list[Any]] = {}
    for line in read_lines(join(root, "log.jsonl")):
        event = _event(line)
        if event.get("event") == "start":
            stages.clear()
        elif event.get("event") == "stage":
            row = stages.setdefault(event["stage"], [0, 0, 0, 0])
            row[0] += 1
            for place, name in enumerate(("seconds", "documents", "bytes"), 1):
                row[place] += event[name]
    if not stages:
        return []
    rows: list[list[Cell]] = [
        [
            name,
            round(seconds, 1),
            documents or None,
            round(documents / seconds) if documents and seconds else None,
            size or None,
            round(size / seconds / 1e6, 2) if size and seconds else None,
            times - 1 or None,
        ]
        for name, (times, seconds, documents, size) in stages.items()
    ]
    head = ["Stage", "Seconds", "Documents", "Documents/s", "Input bytes", "MB/s", "Gone on"]
    return [
        section(
            "Time",
            element(
                "p", "By the clock of the machine, waiting included; of a run that went on, all."
            ),
            table("Time by stage", head, rows),
        )
    ]


def _event(line: str) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except ValueError:  # the last line of a run that was killed
        return {}
    return values if isinstance(values, dict) else {}
