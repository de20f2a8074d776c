"""The settings of the Dockerfile: compiled once, the kernels are loaded, and the digest is ours."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
LIMIT = 900  # seconds for a command that compiles all kernels, on a busy machine

pytestmark = pytest.mark.engines


def settings():
    """The ENV of the Dockerfile."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^ENV (.*)$", text, re.MULTILINE)
    return dict(part.replace('"', "").split("=", 1) for part in line.split())


def test_versions_are_the_pinned_ones():
    """The image's Beam is the one that constraints.txt pins."""
    (beam,) = re.findall(r"ARG BEAM=(\S+)", (ROOT / "Dockerfile").read_text())
    assert f"apache-beam=={beam}" in (ROOT / "constraints.txt").read_text().splitlines()


def test_the_cache_of_the_image_is_used(tmp_path):
    """With the CPU fixed a second process compiles nothing, and pages give the same content."""
    given = settings()
    assert given["NUMBA_CPU_NAME"] and given["NUMBA_CPU_FEATURES"] == ""
    given |= {"NUMBA_CACHE_DIR": str(tmp_path / "kernels")}

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "corpusforge", *arguments],
            cwd=tmp_path,
            env={**os.environ, **given},
            check=True,
            timeout=LIMIT,
            capture_output=True,
        )

    def kept():
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "kernels").rglob("*.nb*")}

    run("doctor")
    before = kept()
    run("doctor")
    assert before and kept() == before
    run("clean", str(ROOT / "sample_data"), "-o", "run", "--workers", "1", "--quiet")
    golden = json.loads((ROOT / "tests/golden/sample.json").read_text())
    assert json.loads((tmp_path / "run/manifest.json").read_text())["content"] == golden["content"]
