"""All pages in headless Chromium, wide and narrow, light and dark, judged by axe-core."""

import json
import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest
from report_runs import usual, usual_sweep, write_clean, write_model, write_sweep, write_tokens
from test_eval_report import write as write_eval
from test_report import LOSSES, hostile

from corpusforge import report

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
AXE = Path(os.environ.get("AXE_CORE", "node_modules/axe-core/axe.min.js")).resolve()
RUN = """<script>document.querySelectorAll("details").forEach(d => d.open = true);
axe.run().then(r => {document.title = JSON.stringify({wide: document.documentElement.scrollWidth,
dark: matchMedia("(prefers-color-scheme: dark)").matches, seen: innerWidth,
found: r.violations.map(v => [v.impact, v.id, v.nodes[0].html])})});</script>"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="needs Chromium (Debian package chromium)"),
    pytest.mark.skipif(not AXE.exists(), reason="needs axe-core: npm install --no-save axe-core"),
]


def judged(path, folder, width, dark):
    """What axe-core says of a page; its policy is taken out of a copy, so that axe may run."""
    text = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", path.read_text("utf-8"))
    copy = folder / "copy.html"
    copy.write_text(f"{text}<script>{AXE.read_text('utf-8')}</script>{RUN}", encoding="utf-8")
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
         f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900",
         f"--blink-settings=preferredColorScheme={0 if dark else 1}",
         "--virtual-time-budget=30000", "--dump-dom", f"file://{copy}"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return json.loads(unescape(re.search("<title>(.*?)</title>", done.stdout, re.S)[1]))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page of every kind."""
    root = tmp_path_factory.mktemp("pages")
    clean = [write_clean(str(root / name), usual()) for name in "ab"]
    for name in ("model", "sweep"):
        (root / name).mkdir()
    found = [report.write(write_clean(str(root / "evil"), hostile())), report.compare(*clean)]
    found.append(report.write(clean[0]))
    found.append(report.write(write_tokens(str(root / "tok"), [("en", 10, 40), ("de", 3, 9)])))
    found.append(report.write(write_sweep(root / "sweep", usual_sweep(), importance={"a": 1.0})))
    found.append(report.write(write_model(root / "model", LOSSES, continuations=["[a] b"])))
    found.append(report.write(write_eval(root / "eval")))
    return [Path(path) for path in found]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 500])
def test_axe_finds_nothing(pages, tmp_path, width, dark):
    """No violation of any weight, and the page is no wider than the window."""
    for path in pages:
        found = judged(path, tmp_path, width, dark)
        assert (found["found"], found["dark"]) == ([], dark), path
        assert found["wide"] <= found["seen"]


def test_axe_would_find_something(pages, tmp_path):
    """A page with faults is not passed."""
    path = tmp_path / "bad.html"
    text = pages[2].read_text(encoding="utf-8")
    path.write_text(text + "<img src=a><p style='color:#ddd;background:#fff'>pale</p>", "utf-8")
    assert {"image-alt", "color-contrast"} <= {
        one[1] for one in judged(path, tmp_path, 1280, False)["found"]
    }
