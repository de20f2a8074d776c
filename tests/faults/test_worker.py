"""A worker that is killed becomes one line that names what is missing; a second run goes on."""

import contextlib
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


def workers_of(pid):
    """Processes that run a Beam worker for ``pid``."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (path / "cmdline").read_bytes()
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if b"corpusforge.pipelines.worker" in command and parent == pid:
                found.append(int(path.name))
    return found


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the worker through /proc")
def test_a_killed_worker_is_one_line_and_a_second_run_goes_on(tmp_path):
    """Exit code 3, the units without output, a likely cause; then the digest of a whole run."""
    command = ["clean", SAMPLE, "-o", "r", "--set", UNITS]
    command += ["--workers", "2", "--beam", "direct_running_mode=multi_processing"]
    process = start(command, tmp_path)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("r/progress/documents/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (3, ""), err
    assert len(err.splitlines()) == 1, err
    assert "a worker process ended before its work was done; units without output: part-" in err
    assert "run again to go on" in err
    spec = specs.load(specs.CleanSpec, overrides=[UNITS])
    again = api.clean([SAMPLE], str(tmp_path / "r"), spec)
    assert again.content == api.clean([SAMPLE], str(tmp_path / "whole"), spec).content
