"""Ctrl-C: exit code 130, one line that says how to go on, and the same digest afterwards."""

import os
import signal
import time
from pathlib import Path

import pytest
from processes import start

from corpusforge import api
from corpusforge import spec as specs

pytestmark = pytest.mark.faults

SAMPLE = str(Path(__file__).parent.parent.parent / "sample_data")
UNITS = "plan.unit_bytes=131072"


@pytest.mark.parametrize("mode", ["in_memory", "multi_processing"])
def test_ctrl_c_keeps_the_state(tmp_path, mode):
    """SIGINT to the process group, as a terminal sends it, while documents are read."""
    command = ["clean", SAMPLE, "-o", "r", "--set", UNITS]
    command += ["--workers", "2", "--beam", f"direct_running_mode={mode}"]
    process = start(command, tmp_path)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("r/commits/documents/*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ""), err
    assert err.strip() == "forge: interrupted; run the same command again to go on"
    assert not (tmp_path / "r/lock.json").exists()
    spec = specs.load(specs.CleanSpec, overrides=[UNITS])
    again = api.clean([SAMPLE], str(tmp_path / "r"), spec)
    assert again.content == api.clean([SAMPLE], str(tmp_path / "whole"), spec).content
