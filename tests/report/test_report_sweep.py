"""The report of a sweep: what it shows is what trials.jsonl holds."""

import pytest
from report_runs import trial, usual_sweep, write_sweep
from test_report import HOSTILE, inert, read, rows

from corpusforge import report

SHARES = {"optim.learning_rate": 0.75, "model.activation": 0.25}


@pytest.fixture
def page(tmp_path):
    return read(write_sweep(tmp_path, usual_sweep(), importance=SHARES))


def test_the_trials_are_listed_best_first(page):
    """Complete ones by value, then pruned ones with the value they had, then failed ones."""
    table = rows(page, "All trials")
    assert list(table) == ["4", "5", "1", "6", "0", "3", "2"]
    assert table["4"] == ["complete", "2.5", "8", "gelu", "0.005"]
    assert table["3"] == ["pruned", "6", "4", "gelu", "0.0001"]
    assert table["2"][:3] == ["failed", "–", "–"]
    assert rows(page, "Why trials failed") == {"2": ["no"]}
    figures = [dd.text() for dd in page.css("#sweep dd")]
    assert figures[:6] == ["7", "5", "1", "1", "2.5", "4"]


def test_the_best_the_history_and_the_shares(page):
    """Settings beside those of the base; the trials that were best so far; the shares as bars."""
    assert rows(page, "Settings of the best trial") == {
        "optim.learning_rate": ["0.005", "0.0015"],
        "model.activation": ["gelu", "gelu"],
    }
    better = rows(page, "Trials that were better than all before")
    assert better == {"0": ["4"], "1": ["3"], "4": ["2.5"]}
    assert list(rows(page, "Share of each setting").values()) == [["75.0\xa0%"], ["25.0\xa0%"]]
    caption = "held-out loss of the best trials at each evaluation"
    assert rows(page, caption)["1"] == ["4", "3"]


def test_a_plot_of_the_history_and_one_a_setting(page):
    """Each dot is a trial that was not ended by an error."""
    pytest.importorskip("vl_convert")
    assert len(page.css("#objective-over-the-trials svg")) == 1
    slices = page.css("#slices svg")
    assert len(slices) == 2
    for plot in [*page.css("#objective-over-the-trials svg"), *slices]:
        dots = [one for one in plot.css("path") if "A" in (one.attributes.get("d") or "")]
        assert len(dots) == 6


def test_a_value_of_zero_is_a_dot(tmp_path):
    """As of an accuracy of a model that has learnt nothing."""
    pytest.importorskip("vl_convert")
    found = [trial(0, "complete", [0.0], 1e-3), trial(1, "complete", [0.5], 2e-3)]
    page = read(write_sweep(tmp_path, found, importance={}))
    plots = page.css("#objective-over-the-trials svg") + page.css("#slices svg")
    for plot in plots:
        dots = [one for one in plot.css("path") if "A" in (one.attributes.get("d") or "")]
        assert len(dots) == 2
    assert len(plots) == 3


@pytest.mark.parametrize("count", [1, 2])
def test_few_trials(tmp_path, count):
    """One complete trial, or one and a failed one: no plots, and what there is in tables."""
    found = [trial(0, "complete", [5.0], 1e-3), trial(1, "failed", [], 1e-3, why="x")][:count]
    page = read(write_sweep(tmp_path, found, importance={}))
    assert not page.css("svg")
    assert list(rows(page, "All trials")) == ["0", "1"][:count]


def test_hostile_texts_stay_texts(tmp_path):
    """In a message, in a setting and in the spec."""
    for number, text in enumerate(HOSTILE):
        root = tmp_path / str(number)
        root.mkdir()
        found = [*usual_sweep(why=text), trial(7, "complete", [1.0], 1e-3, text)]
        write_sweep(root, found, importance={text[:50]: 1.0})
        (root / "best.toml").write_text(text, encoding="utf-8", errors="replace")
        inert(read(str(root)))


def test_two_sweeps_are_compared(tmp_path):
    """Counts, figures and settings side by side."""
    for name, found in {"a": usual_sweep(), "b": usual_sweep()[:3]}.items():
        (tmp_path / name).mkdir()
        write_sweep(tmp_path / name, found, importance=SHARES)
    path = report.compare(str(tmp_path / "a"), str(tmp_path / "b"))
    assert path.endswith("b/difference.html")
