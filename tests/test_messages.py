"""The table of messages: each example gives its exit code and its line; completion works."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpusforge import errors
from corpusforge.cli import main

PAGE = (Path(__file__).parent.parent / "docs/messages.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^\| `forge (.+?)` \| (\d+) \| `(.+)` \|$", PAGE, re.M)


@pytest.mark.parametrize(("command", "code", "message"), EXAMPLES, ids=[e[0] for e in EXAMPLES])
def test_every_example_is_what_is_said(tmp_path, monkeypatch, command, code, message):
    """One line on stderr that holds the message, its exit code, and nothing left behind."""
    monkeypatch.chdir(tmp_path)
    Path("notes.jsonl").write_text('{"text": "a"}')
    Path("zero.warc.gz").touch()
    Path("folder").mkdir()
    Path("folder/readme.md").write_text("x")
    done = CliRunner().invoke(main, shlex.split(command))
    assert (done.exit_code, done.stdout) == (int(code), "")
    assert message in done.stderr and len(done.stderr.splitlines()) == 1
    assert not Path("run").exists()


def test_every_error_is_in_the_table():
    """With its exit code."""
    rows = dict(re.findall(r"^\| (\w+) \| (\d+) \|", PAGE, re.M))
    kinds = [
        k for k in vars(errors).values() if isinstance(k, type) and k.__module__ == errors.__name__
    ]
    named = {k.__name__: str(k.exit_code) for k in kinds if k is not errors.ForgeError}
    assert named.items() <= rows.items()
    assert len(EXAMPLES) > 10


def test_completion_is_offered():
    """The shell asks the command itself."""
    asked = {"_FORGE_COMPLETE": "bash_complete", "COMP_WORDS": "forge exp", "COMP_CWORD": "1"}
    code = "from corpusforge.cli import main; main(prog_name='forge')"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True
    )
    assert done.stdout.split() == ["plain,explain", "plain,export"]
