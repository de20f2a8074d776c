"""What a command shows while it works: to a terminal, to a log file, and when it is stopped."""

import os
import pty
import re
import select
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from corpusforge import progress
from corpusforge.run import RunFolder
from corpusforge.spec import CleanSpec

PAGES = Path(__file__).parent.parent / "sample_data" / "pages.warc.gz"


def test_signs_are_summed(tmp_path):
    """Over units; a later sign of a unit replaces its earlier one, a torn one counts nothing."""
    root = str(tmp_path)
    progress.beat(root, "documents", "part-0", 5, 100)
    progress.beat(root, "documents", "part-0", 9, 200, 2)
    progress.beat(root, "documents", "part-1", 1, 10, 1)
    progress.beat(root, "settle", "part-1", 7, 70)
    (tmp_path / "progress/documents/part-2.json").write_text('{"docu')
    assert progress.seen(root, "documents") == (3, 10, 210, 3)
    assert progress.seen(root, "count") == (0, 0, 0, 0)


def test_memory_counts_children():
    """As much more as a child holds."""
    before = progress.memory()
    code = "held = bytearray(b'x' * 300_000_000); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        assert progress.memory() > before + 250_000_000 or not Path("/proc/self/statm").exists()
        child.stdin.close()


def test_a_log_file_gets_plain_lines_and_quiet_none(tmp_path, capsys):
    """The time of a stage is logged all the same; a stage that fails does not say that it ended."""
    with RunFolder(str(tmp_path / "run"), "clean", CleanSpec()) as run:
        for quiet in (True, False):
            with run.stage("documents", 100, 2, quiet=quiet):
                progress.beat(run.root, "documents", "part-0", 5, 100, 2)
            shown = capsys.readouterr()
            assert shown.out == ""
            expected = "" if quiet else r"documents: 5 docs, 2 failed, in \d+\.\d s\n"
            assert re.fullmatch(expected, shown.err)
        with pytest.raises(KeyboardInterrupt), run.stage("settle", quiet=False):
            raise KeyboardInterrupt
        assert capsys.readouterr().err == ""
    log = (tmp_path / "run/log.jsonl").read_text()
    assert log.count('"stage": "documents"') == 2 and "settle" not in log
    assert threading.active_count() < 20


@pytest.mark.faults
def test_ctrl_c_in_a_terminal_stops_and_says_how_to_go_on(tmp_path):
    """The live line has units, rates, time left and memory; the same command then ends the run."""
    for number in range(12):
        (tmp_path / f"p{number}.warc.gz").write_bytes(PAGES.read_bytes())
    command = [str(Path(sys.executable).with_name("forge")), "clean", str(tmp_path)]
    command += ["-o", str(tmp_path / "run"), "--set", "plan.unit_bytes=1000000"]
    child, terminal = pty.fork()
    if child == 0:
        os.execv(command[0], command)
    shown, stopped, end = "", False, time.monotonic() + 120
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                data = os.read(terminal, 1 << 16)
            except OSError:  # the terminal is closed: the command has ended
                break
            shown += data.decode(errors="replace")
        if not stopped and re.search(
            r"unit [1-9]\d*/\d+ · [\d,]+ docs · .* MB/s · ETA .* MB", shown
        ):
            os.write(terminal, b"\x03")
            stopped = True
    _, status = os.waitpid(child, 0)
    assert stopped and os.waitstatus_to_exitcode(status) == 130
    assert "\nforge: interrupted; run the same command again to go on" in shown
    assert "Traceback" not in shown and "documents: " not in shown
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.match(r"in \d+ = kept", done.stdout)
