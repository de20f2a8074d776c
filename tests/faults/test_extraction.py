"""No page crashes or hangs decoding and extraction; `mutants.py` says how that is seen.

FORGE_MUTANTS says how many mutants of each kind are tried (2,000 in CI, 100,000 by
``make faults``). The cap on CPU seconds is there for hangs, not for slow machines.
"""

import os

import mutants
import pytest
from shapes import LARGE

pytestmark = pytest.mark.faults

COUNT = int(os.environ.get("FORGE_MUTANTS", "2000"))
CAP = 8.0  # CPU seconds a page, where the bar is 2 on an idle machine


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("random", COUNT),
        ("cuts", min(20_000, COUNT)),  # 400 of each of 50 pages
        ("starts", min(5 * 4096, COUNT)),  # all of 5 pages
        ("large", len(LARGE)),
    ],
)
def test_no_page_crashes_or_hangs(kind, count):
    """Each page comes out as text or over a limit, within CPU time and memory."""
    found = mutants.survey(kind, count, workers=2, cap=CAP)
    print(kind, found["outcomes"], f"{found['peak_mib']:.0f} MiB")
    assert found["bad"] == []
    assert found["mutants"] == count
    assert set(found["outcomes"]) <= {"text", "depth", "nodes"}


def test_a_dead_worker_is_seen():
    """The mutant that no CPU time suffices for is named, and those behind it are still done."""
    found = mutants.survey("large", 3, cap=0.05)
    assert found["outcomes"]["died"] >= 1
    assert found["mutants"] == 3
    assert all("SIGPROF" in row["message"] for row in found["bad"])
