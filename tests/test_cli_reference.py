"""docs/cli.md is what the commands say of themselves.

Write it anew with ``python tests/test_cli_reference.py``.
"""

from pathlib import Path

import click

from corpusforge.cli import main

PAGE = Path(__file__).parent.parent / "docs/cli.md"


def commands():
    """Every command by its words, those of groups too."""
    for name, command in main.commands.items():
        inner = getattr(command, "commands", None)
        for key, one in inner.items() if inner else [("", command)]:
            yield f"{name} {key}".strip(), one


def reference():
    """The page."""
    parts = [
        "# Commands\n\nWritten by `tests/test_cli_reference.py` from the commands' own help.\n"
    ]
    for name, command in commands():
        above = click.Context(main, info_name="forge", **main.context_settings)
        context = click.Context(command, parent=above, info_name=name, terminal_width=100)
        text = command.get_help(context)
        parts.append(f"## forge {name}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def test_the_reference_is_up_to_date():
    """Regenerated, it is the same."""
    assert PAGE.read_text(encoding="utf-8") == reference()


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
