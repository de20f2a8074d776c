"""The report in headless Chromium: its scripts, if it had any, would show."""

import shutil
import subprocess
from pathlib import Path

import pytest
from report_runs import write_clean
from test_report import hostile

from corpusforge import report

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
OFFLINE = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-logging=stderr", "--log-level=0",
)  # fmt: skip
EVIL = "<title>a</title><script>document.title='pwned'; console.log('ran')</script>"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="needs Chromium (Debian package chromium)"),
]


def opened(path, profile, width):
    """Open a page; returns its document as it is after loading, and the console's lines."""
    done = subprocess.run(
        [CHROMIUM, *OFFLINE, f"--user-data-dir={profile}", f"--window-size={width},900",
         "--dump-dom", f"file://{path}"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("width", [1280, 500])
def test_hostile_report_is_quiet(tmp_path, width):
    """No script of a document runs, none is even refused; a page with a script shows otherwise."""
    path = report.write(write_clean(str(tmp_path / "run"), hostile()))
    document, console = opened(path, tmp_path / "profile", width)
    assert "<title>run · forge clean</title>" in document
    assert console == []
    Path(tmp_path, "evil.html").write_text(EVIL, encoding="utf-8")
    document, console = opened(tmp_path / "evil.html", tmp_path / "profile", width)
    assert "<title>pwned</title>" in document and len(console) == 1
