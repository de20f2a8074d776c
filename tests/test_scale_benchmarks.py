"""The simulation and the growth measurement: the same by seed, right where the answer is known."""

import gzip
import json
import runpy
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent / "benchmarks"
SIMULATE = runpy.run_path(str(ROOT / "simulate.py"))
GROWTH = runpy.run_path(str(ROOT / "growth.py"))


def test_the_simulation_is_the_same_by_seed():
    """And another by another."""
    spec, found = SIMULATE["planned"](10**8, 100)
    ranges = found["ranges"]["near"]
    one, same, other = (SIMULATE["hot_keys"](spec, 10**8, ranges, 0.01, n) for n in (1, 1, 2))
    assert one == same != other
    one, same, other = (SIMULATE["stragglers"](1000, 50, seed) for seed in (1, 1, 2))
    assert one == same != other


def test_a_larger_cluster_makes_a_larger_range():
    """Without clusters all ranges are alike; one of a tenth of all documents shows."""
    spec, found = SIMULATE["planned"](10**9, 100)
    ranges = found["ranges"]["near"]
    loads = [
        SIMULATE["hot_keys"](spec, 10**9, ranges, share, 1)["max_over_mean"]
        for share in (1e-7, 0.01, 0.1)
    ]
    assert loads[0] < 1.1 < loads[1] < loads[2]


def test_schedules_of_known_length():
    """Three units on two workers: by hand."""
    times, speeds = np.array([3.0, 2.0, 2.0]), np.array([1.0, 1.0])
    assert SIMULATE["makespan"](times, speeds, dealt=False) == 4.0
    assert SIMULATE["makespan"](times, speeds, dealt=True) == 5.0
    assert SIMULATE["makespan"](times, np.array([1.0, 0.5]), dealt=False) == 5.0


@pytest.mark.parametrize("field", ["html", "text"])
def test_growth_adds_documents_of_the_same_words(field, tmp_path):
    """The first copy is the input; others have its words in another order, the same each time."""
    text = "<p>one two three four five six seven eight nine ten</p>"
    text += "<script>var a = {b: 'c d e'}; // and some more of it</script>"
    pages = tmp_path / "pages.jsonl.gz"
    with gzip.open(pages, "wt") as file:
        file.write(json.dumps({"id": "x", field: text}) + "\n")
    for folder in ("a", "b"):
        GROWTH["write"](pages, field, tmp_path / folder, 3)
    found = [
        [json.loads(gzip.decompress(path.read_bytes()))[field] for path in sorted(one.iterdir())]
        for one in (tmp_path / "a", tmp_path / "b")
    ]
    assert found[0] == found[1] and len(set(found[0])) == 3
    assert found[0][0] == text
    for other in found[0][1:]:
        assert sorted(other.replace(">", "> ").replace("<", " <").split()) == sorted(
            text.replace(">", "> ").replace("<", " <").split()
        )
        assert "var a = {b: 'c d e'}" in other
