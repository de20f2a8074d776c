"""The commands of the documents are run, page by page, and print what the pages show.

A block that begins with ``$ `` is run in a folder with the sample; ``...`` and ``…`` in what it
prints stand for anything. ``python tests/test_docs_commands.py PAGE...`` writes what has changed
into the pages. Blocks of Python in docs/api.md are one script.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    *(
        ROOT / "docs" / f"{name}.md"
        for name in ("tutorial", "recipes", "finetuning", "evaluation", "sweeps", "parallel")
    ),
]
BLOCK = re.compile(r"^```\w*\n(\$ .*?)^```$", re.M | re.S)
LINES = 16  # shown of what a command prints, when it is written anew

pytestmark = pytest.mark.docs


def commands(block):
    """Pairs of a command and what it prints, by the page."""
    parts = re.split(r"^\$ ", block, flags=re.M)[1:]
    for part in parts:
        command, _, printed = part.partition("\n")
        while unfinished(command):
            more, _, printed = printed.partition("\n")
            command = f"{command}\n{more}"
        yield command, printed


def unfinished(command):
    """Whether a command goes on in the next line."""
    if "<<'END'" in command:
        return not command.endswith("\nEND")
    return command.endswith("\\") or command.count('"') % 2


def run(command, folder):
    """What a command prints on stdout; it must end well."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": path, "PYTHONSAFEPATH": "1"}, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout


def matches(printed, shown):
    """Tell whether what was printed is what the page shows."""
    pattern = re.escape(shown.rstrip()).replace(re.escape("..."), ".*").replace("…", ".*")
    return re.fullmatch(pattern, printed.rstrip(), re.S) is not None


def sample(folder):
    """The folder with the sample's inputs."""
    given = ROOT / "sample_data"
    (folder / "sample_data").mkdir(parents=True)
    for file in (*given.glob("*.gz"), *given.glob("*.jsonl")):
        shutil.copy(file, folder / "sample_data")
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_print_what_the_page_shows(page, tmp_path):
    """In the order of the page, in one folder."""
    folder, wrong = sample(tmp_path / "tour"), []
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        for command, shown in commands(block):
            printed = run(command, folder)
            if not matches(printed, shown):
                wrong.append(f"$ {command}\n{printed}")
    assert not wrong, "\n".join(wrong)


def test_the_python_example_runs(tmp_path):
    """All blocks of docs/api.md, one after another."""
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    script = "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S))
    (tmp_path / "example.py").write_text(script, encoding="utf-8")
    run(f"{sys.executable} ../example.py", sample(tmp_path / "tour"))


def test_three_dots_stand_for_anything_and_nothing_else_does():
    """Also for several lines."""
    assert matches("a 1\nb\nc\n", "a ...\n...\nc") and not matches("a 1\nd", "a ...\nc")


def anew(page, folder):
    """Write what the commands print now into the page where it has changed."""
    text = page.read_text(encoding="utf-8")
    for block in BLOCK.findall(text):
        made = ""
        for command, shown in commands(block):
            printed = run(command, folder)
            lines = printed.splitlines(keepends=True)
            if not matches(printed, shown):
                shown = "".join(lines[:LINES]) + "...\n" * (len(lines) > LINES)
            made += f"$ {command}\n{shown}"
        text = text.replace(block, made)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    import tempfile

    for name in sys.argv[1:] or PAGES:
        with tempfile.TemporaryDirectory() as place:
            anew(Path(name), sample(Path(place, "tour")))
