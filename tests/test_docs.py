"""The documents: links lead somewhere, commands and files that they name exist."""

import re
from pathlib import Path

import pytest

from corpusforge.cli import main

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "sample_data/README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    """Every relative link is a file of the repository."""
    for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_named_commands_exist(page):
    """Every ``forge NAME`` and ``make TARGET`` in a code block is one."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    for block in re.findall(r"^(?:    |\$ )(.*)$", page.read_text(encoding="utf-8"), flags=re.M):
        words = block.removeprefix("$ ").split()
        if words[:1] == ["forge"] and len(words) > 1 and not words[1].startswith("-"):
            assert words[1] in main.commands, block
        if words[:1] == ["make"]:
            assert words[1] in targets, block


def test_the_tree_is_the_tree():
    """Every path in the README's annotated tree exists."""
    tree = README.split("## The tree")[1].split("```")[1]
    folder = ROOT
    for line in tree.splitlines():
        names = re.findall(r"[\w./-]+\.(?:py|toml)|[\w-]+/", line[:24])
        for name in names:
            if line.startswith(" "):
                assert (folder / name).exists(), name
            else:
                assert (ROOT / name).exists(), name
                if line.startswith(name) and name.endswith("/"):
                    folder = ROOT / name


def test_the_readme_is_short():
    """About 150 lines."""
    assert len(README.splitlines()) <= 170
