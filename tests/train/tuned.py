"""Files of labelled rows, and a short fine-tuning spec."""

import json

from corpusforge import spec as specs


def lines(path, rows):
    """Write rows as JSONL; returns the path as text."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def settings(task, **changes):
    """A spec with changed fields, named ``table__field``."""
    values = {
        "task": task,
        "data": {"length": 64, "heldout": 0.1},
        "optim": {"learning_rate": 3e-3, "warmup": 0.1},
        "run": {"epochs": 4, "batch": 8, "threads": 1},
    }
    for name, value in changes.items():
        table, _, field = name.partition("__")
        if field:
            values.setdefault(table, {})[field] = value
        else:
            values[table] = value
    return specs.parse(specs.FinetuneSpec, values)
