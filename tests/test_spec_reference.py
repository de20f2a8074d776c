"""docs/spec.md is what the specs say of themselves: key, type, default, what its comment says.

Write it anew with ``python tests/test_spec_reference.py``.
"""

import ast
import inspect
from pathlib import Path

from corpusforge.spec import CleanSpec, EvalSpec, FinetuneSpec, SweepSpec, TokenizeSpec, TrainSpec
from corpusforge.spec.model import Model

PAGE = Path(__file__).parent.parent / "docs/spec.md"
HEAD = """# Settings

Every key of the specs; written by `tests/test_spec_reference.py` from the code. A key is set
by `--set KEY=VALUE`, in a TOML file (`--spec FILE`), or in the tables `[clean]`, `[tokenize]`,
`[train]`, `[finetune]`, `[eval]` and `[sweep]` of the folder's `forge.toml`; an unknown one is
refused with the nearest name.
"""


def comments(kind):
    """Comment and annotation of each field, from the source of its class and of those below it."""
    found = {}
    for one in reversed(kind.__mro__):
        if not (isinstance(one, type) and issubclass(one, Model) and one is not Model):
            continue
        source = inspect.getsource(one)
        lines = source.splitlines()
        for node in ast.parse(source).body[0].body:
            if isinstance(node, ast.AnnAssign):
                tail = lines[node.end_lineno - 1][node.end_col_offset :]
                found[node.target.id] = (
                    tail.partition("#")[2].strip(),
                    ast.unparse(node.annotation),
                )
    return found


def fields(kind, prefix=""):
    """Rows of a model's keys, those of the models inside it too."""
    told = comments(kind)
    for name, field in kind.model_fields.items():
        inner = field.annotation
        if inner is TrainSpec:
            yield [f"`{name}`", "`TrainSpec`", "as of the base", "every key of forge train"]
            continue
        if isinstance(inner, type) and issubclass(inner, Model):
            yield from fields(inner, f"{prefix}{name}.")
            continue
        comment, annotation = told[name]
        default = field.get_default(call_default_factory=True)
        bounds = ", ".join(
            f"{sign} {getattr(rule, word):g}"
            for rule in field.metadata
            for word, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
            if getattr(rule, word, None) is not None
        )
        comment = comment.replace("](", "] (").replace("|", "\\|")
        what = annotation.replace("|", "\\|")
        yield [
            f"`{prefix}{name}`",
            f"`{what}`{', ' * bool(bounds)}{bounds}",
            f"`{default!r}`",
            comment,
        ]


def reference():
    """The page."""
    parts = [HEAD]
    kinds = {
        "clean": CleanSpec, "tokenize": TokenizeSpec, "train": TrainSpec, "finetune": FinetuneSpec,
        "sweep": SweepSpec,
        "eval": EvalSpec,
    }  # fmt: skip
    for name, kind in kinds.items():
        rows = ["| key | is | default | |", "|---|---|---|---|"]
        rows += [f"| {' | '.join(cells)} |" for cells in fields(kind)]
        parts.append(f"## forge {name}\n\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def test_the_reference_is_up_to_date():
    """Regenerated, it is the same."""
    assert PAGE.read_text(encoding="utf-8") == reference()


def test_every_key_of_the_specs_is_listed():
    """As dumped defaults have them; free tables are one key."""

    def keys(table, prefix=""):
        for name, value in table.items():
            if isinstance(value, dict) and value and prefix + name not in ("rules", "train"):
                yield from keys(value, f"{prefix}{name}.")
            else:
                yield prefix + name

    page = reference()
    for kind in (CleanSpec, TokenizeSpec, TrainSpec, FinetuneSpec, EvalSpec, SweepSpec):
        for key in keys(kind().model_dump()):
            assert f"`{key}`" in page, key


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
