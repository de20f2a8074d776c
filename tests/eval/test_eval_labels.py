"""Accuracy and F1 against scikit-learn and by hand; predictions of fine-tuned models."""

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.api import evaluate
from corpusforge.eval import labels, scores

ROWS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcde")), min_size=1)


def records(pairs):
    return [{"label": [one], "prediction": [two]} for one, two in pairs]


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_figures_equal_those_of_scikit_learn(pairs):
    """Over the labels that are wanted or said."""
    library = pytest.importorskip("sklearn.metrics")
    wanted, said = zip(*pairs, strict=True)
    found = {name: metric.value for name, metric in labels.metrics(records(pairs)).items()}
    assert found == pytest.approx(
        {
            "accuracy": library.accuracy_score(wanted, said),
            "macro_f1": library.f1_score(wanted, said, average="macro", zero_division=0),
            "micro_f1": library.f1_score(wanted, said, average="micro", zero_division=0),
        }
    )


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_figures_equal_those_of_fine_tuning(pairs):
    """As `forge finetune` tells them of the same predictions."""
    wanted, said = zip(*pairs, strict=True)
    found = labels.metrics(records(pairs))
    assert found["macro_f1"].value == pytest.approx(scores.macro_f1(said, wanted))
    assert found["accuracy"].value == pytest.approx(scores.accuracy(said, wanted))


@given(ROWS, st.data())
@settings(max_examples=40, deadline=None)
def test_items_that_count_twice_are_items_twice(pairs, data):
    """What the bootstrap rests on."""
    counts = data.draw(st.lists(st.integers(0, 3), min_size=len(pairs), max_size=len(pairs)))
    again = [pair for pair, count in zip(pairs, counts, strict=True) for _ in range(count)]
    if not again:
        return
    whole, repeated = labels.metrics(records(pairs)), labels.metrics(records(again))
    for name, metric in whole.items():
        assert metric.of(np.array(counts)) == pytest.approx(repeated[name].value)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_by_hand(tmp_path):
    """Labels of a and b, one of a taken for b; whole numbers and truth values are labels."""
    rows = [(1, 1), (1, 2), (2, 2), (True, True)]
    file = write(tmp_path / "p.jsonl", [{"label": a, "prediction": b} for a, b in rows])
    facts = evaluate([file], str(tmp_path / "out")).facts["models"]["p"]
    assert facts["figures"]["accuracy"]["value"] == 0.75
    assert facts["figures"]["macro_f1"]["value"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert facts["classes"]["1"] == {
        "items": 2, "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3)
    }  # fmt: skip
    assert set(facts["classes"]) == {"1", "2", "true"}


def test_what_fine_tuned_models_say(tmp_path):
    """The label of a text, or labels of its words, none where a word was cut."""
    one = [{"row": 1, "label": "x", "scores": {"x": 1}, "expected": "x"}] * 3
    one += [{"row": 4, "label": "x", "expected": "y"}]
    two = [
        {"row": 1, "labels": ["N", "V", None], "expected": ["N", "V", "N"]},
        {"row": 2, "labels": ["N"], "expected": ["V"]},
    ]
    for name, rows, accuracy in (("one", one, 0.75), ("two", two, 0.5)):
        file = write(tmp_path / f"{name}.jsonl", rows)
        done = evaluate([file], str(tmp_path / name))
        figures = done.facts["models"][name]["figures"]
        assert figures["accuracy"]["value"] == accuracy
        said = [label for row in rows for label in row.get("labels", [row.get("label")])]
        wanted = [label for row in rows for label in list(row["expected"])]
        assert figures["macro_f1"]["value"] == pytest.approx(scores.macro_f1(said, wanted))
        page = (tmp_path / name / "report.html").read_text()
        assert "confusions" in page and f"said {wanted[0]}" in page


def test_two_classifiers(tmp_path):
    """McNemar's test of accuracies, the paired bootstrap of F1."""
    draw = random.Random(0)
    wanted = [draw.choice("ab") for _ in range(200)]

    def noisy(share):
        return [w if draw.random() > share else "ab"[w == "a"] for w in wanted]

    files = [
        write(
            tmp_path / f"{name}.jsonl",
            [{"label": w, "prediction": s} for w, s in zip(wanted, noisy(share), strict=True)],
        )
        for name, share in (("worse", 0.4), ("better", 0.1))
    ]
    tests = evaluate(files, str(tmp_path / "out"), compare=True).facts["comparison"]["tests"]
    assert {one["test"] for one in tests.values()} == {"McNemar, exact", "paired bootstrap"}
    assert all(one["p"] < 0.01 and one["difference"] > 0.1 for one in tests.values())
