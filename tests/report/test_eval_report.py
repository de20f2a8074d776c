"""The page of an evaluation: figures, groups, comparison, items; whatever stands in them."""

import json
from pathlib import Path

import pytest
from report_runs import finish

from corpusforge import report, spec
from corpusforge.eval.significance import intervals
from corpusforge.eval.texts import metrics
from corpusforge.spec.eval import ResampleSpec

EVIL = "<script>alert(1)</script>\u202e"


def lines(root, name, rows):
    (root / "predictions").mkdir(exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (root / f"predictions/{name}.jsonl").write_text(text, encoding="utf-8")


def write(root):
    """A finished evaluation of two models on texts whose names are hostile."""
    root.mkdir()
    rows = [
        {
            "document": f"{EVIL} {at}", "source": [EVIL, "b"][at % 2], "language": "en",
            "nats": 40.0 + at, "tokens": 20, "bytes": 60,
        }
        for at in range(12)
    ]  # fmt: skip
    few = ResampleSpec(samples=50)
    models = {}
    for name in ("one", "two"):
        lines(root, name, rows)
        by = {
            source: {
                "items": 6,
                **intervals(metrics([r for r in rows if r["source"] == source], "perplexity"), few),
            }
            for source in (EVIL, "b")
        }
        models[name] = {
            "figures": intervals(metrics(rows, "perplexity"), few), "tokens": 240, "bytes": 720,
            "sources": 2, "by_source": by,
        }  # fmt: skip
    test = {
        "value": 1.0, "other": 0.9, "difference": -0.1, "interval": [-0.2, 0.0],
        "test": "paired bootstrap", "p": 0.04,
    }  # fmt: skip
    comparison = {"first": "one", "second": "two", "tests": {"bits_per_byte": test}}
    facts = {"task": "texts", "items": 12, "models": models, "comparison": comparison}
    finish(str(root), "eval", spec.EvalSpec(), counts={"in": 12}, facts=facts)
    return str(root)


@pytest.fixture
def page(tmp_path):
    return Path(report.write(write(tmp_path / "eval"))).read_text(encoding="utf-8")


def test_sections(page):
    """Figures with intervals, by source, the comparison, the hardest documents."""
    for title in ("Evaluation", "By source", "Comparison", "Items", "Provenance"):
        assert f"<h2>{title}</h2>" in page
    assert "By language" not in page
    assert "paired bootstrap" in page and "Bits per byte" in page
    assert page.count("documents of the most bits per byte</caption>") == 2


def test_hostile_names_are_text(page):
    """In tables and in plots."""
    assert "<script" not in page and "\u202e" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;[U+202E]" in page


def test_plots_name_their_groups(page):
    """Groups have names on their axis, figures points."""
    pytest.importorskip("vl_convert")
    assert ">NaN<" not in page
    assert page.count("<svg") >= 5
