"""BLEU and ROUGE are those of their packages' command lines; the rest is what its paper says."""

import csv
import json
import random
import subprocess
import sys

import numpy as np
import pytest

from corpusforge.api import evaluate
from corpusforge.eval import answers, scores
from corpusforge.eval.items import Item
from corpusforge.eval.significance import paired
from corpusforge.spec import EvalSpec
from corpusforge.spec.eval import ResampleSpec

TEXT = "the a cat dog sat on mat, house 3.5 it's well-known Zürich naïve 東京 и — (see) U.S. end."
WORDS = TEXT.split()


def corpus(rows, references, seed):
    """Predictions that share words with their references; some are empty or odd."""
    draw = random.Random(seed)

    def sentence(length):
        return " ".join(draw.choices(WORDS, k=length))

    found = []
    for row in range(rows):
        right = [sentence(draw.randint(3, 25)) for _ in range(references)]
        said = " ".join(
            draw.choice(WORDS) if draw.random() < 0.3 else word for word in right[0].split()
        )
        said = {3: "", 5: "the", 7: right[0]}.get(row, said)
        found.append({"prediction": said, "reference": right if references > 1 else right[0]})
    return found


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def plain(folder, rows):
    """The same as text files, a line each, for the packages' own command lines."""
    folder.mkdir()
    (folder / "said").write_text("".join(r["prediction"] + "\n" for r in rows), encoding="utf-8")
    right = [r["reference"] if isinstance(r["reference"], list) else [r["reference"]] for r in rows]
    names = []
    for number, stream in enumerate(zip(*right, strict=True)):
        names.append(str(folder / f"right{number}"))
        (folder / f"right{number}").write_text("".join(x + "\n" for x in stream), encoding="utf-8")
    return str(folder / "said"), names


def records(folder, name):
    lines = (folder / "predictions" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


FEW = [{"prediction": "the dog sat on a mat", "reference": "the cat sat on the mat"}]


@pytest.mark.parametrize(
    ("rows", "tokenizer"),
    [(corpus(60, 1, 1), "13a"), (corpus(60, 3, 3), "13a"), (FEW, "zh")],
    ids=["one", "three", "smoothed"],
)
def test_bleu_equals_the_command_line_of_sacrebleu(tmp_path, rows, tokenizer):
    """On the same files: score and signature; also where no long n-gram is shared."""
    said, right = plain(tmp_path / "plain", rows)
    spec = EvalSpec(bleu=tokenizer, resample=ResampleSpec(samples=20))
    done = evaluate([write(tmp_path / "said.jsonl", rows)], str(tmp_path / "out"), spec)
    model = done.facts["models"]["said"]
    command = [sys.executable, "-m", "sacrebleu", *right, "-i", said, "-m", "bleu", "-w", "12"]
    shown = subprocess.run(
        [*command, "--tokenize", tokenizer], capture_output=True, text=True, check=True
    )
    wanted = json.loads(shown.stdout)
    assert model["figures"]["bleu"]["value"] == pytest.approx(wanted["score"], abs=1e-10)
    assert model["signature"].startswith(f"BLEU {wanted['signature']};")


def test_rouge_equals_the_command_line_of_rouge_score(tmp_path):
    """Each record, and the means within the intervals that it resamples without a seed."""
    rows = corpus(60, 1, 5)
    said, (right,) = plain(tmp_path / "plain", rows)
    spec = EvalSpec(resample=ResampleSpec(samples=20))
    done = evaluate([write(tmp_path / "said.jsonl", rows)], str(tmp_path / "out"), spec)
    command = [
        sys.executable, "-m", "rouge_score.rouge", f"--target_filepattern={right}",
        f"--prediction_filepattern={said}",
    ]  # fmt: skip
    for name, more in (("each.csv", ["--aggregate=false"]), ("all.csv", [])):
        output = f"--output_filename={tmp_path / name}"
        subprocess.run([*command, output, *more], capture_output=True, check=True)
    with (tmp_path / "each.csv").open() as file:
        wanted = list(csv.DictReader(file))
    found = records(tmp_path / "out", "said")
    for kind in answers.ROUGE:
        theirs = [float(one[f"{kind}-F"]) for one in wanted]
        assert [one[kind] for one in found] == pytest.approx(theirs, abs=5.1e-7)
        value = done.facts["models"]["said"]["figures"][kind]["value"]
        assert value == pytest.approx(np.mean(theirs), abs=1e-6)
    with (tmp_path / "all.csv").open() as file:
        for one in csv.DictReader(file):
            kind, _, part = one["score_type"].partition("-")
            if part == "F":
                value = done.facts["models"]["said"]["figures"][kind]["value"]
                assert float(one["low"]) < value < float(one["high"])
                assert value == pytest.approx(float(one["mid"]), abs=0.01)


def test_the_paired_bootstrap_is_that_of_sacrebleu(tmp_path):
    """Equal draws: the same p-value for BLEU."""
    significance = pytest.importorskip("sacrebleu.significance")
    from sacrebleu.metrics import BLEU

    one, two = corpus(40, 1, 1), corpus(40, 1, 1)
    draw = random.Random(8)
    for row in two:
        if draw.random() < 0.4:
            row["prediction"] = " ".join(row["prediction"].split()[: draw.randint(1, 9)])
    right = [[row["reference"] for row in one]]
    systems = [(n, [row["prediction"] for row in rows]) for n, rows in (("a", one), ("b", two))]
    test = significance.PairedTest(systems, {"BLEU": BLEU()}, right, test_type="bs", n_samples=300)
    theirs = test()[1]["BLEU"][1].p_value
    spec = ResampleSpec(seed=12345, samples=300)
    metrics = [
        answers.metrics(answers.records(None, items(rows), 1, "13a", lambda a, b: None))
        for rows in (one, two)
    ]
    found = paired(*metrics, spec)["bleu"]
    assert found["p"] == pytest.approx(theirs)
    assert 0.0 < found["p"] < 1.0


def items(rows):
    return [
        Item("x", str(at), {"prediction": row["prediction"], "reference": [row["reference"]]})
        for at, row in enumerate(rows)
    ]


def test_what_a_fine_tuned_model_says_is_measured(tmp_path):
    """Rows of forge finetune --predict: an answer beside what was expected, one or several."""
    rows = [
        {"file": "q.jsonl", "row": 1, "answer": "The river", "expected": ["river"]},
        {"file": "q.jsonl", "row": 2, "answer": "", "answer_start": None, "expected": []},
        {"file": "q.jsonl", "row": 3, "answer": "a red dog", "expected": "a red house"},
    ]  # fmt: skip
    done = evaluate([write(tmp_path / "said.jsonl", rows)], str(tmp_path / "out"))
    figures = done.facts["models"]["said"]["figures"]
    assert figures["exact_match"]["value"] == pytest.approx(2 / 3)
    assert figures["token_f1"]["value"] == pytest.approx((1 + 1 + 0.5) / 3)
    assert scores.plain("The  U.S. river!") == "us river"


def test_two_files_of_predictions_are_compared(tmp_path):
    """Of the same references; else they are refused."""
    one, two = corpus(30, 1, 1), corpus(30, 1, 1)
    for row in two:
        row["prediction"] = row["reference"]
    files = [write(tmp_path / name, rows) for name, rows in (("a.jsonl", one), ("b.jsonl", two))]
    done = evaluate(files, str(tmp_path / "out"), compare=True)
    tests = done.facts["comparison"]["tests"]
    assert tests["bleu"]["other"] == pytest.approx(100) and tests["bleu"]["p"] < 0.01
    assert tests["exact_match"]["test"] == "McNemar, exact"
    write(tmp_path / "b.jsonl", corpus(30, 1, 2))
    with pytest.raises(Exception, match="not of the same items"):
        evaluate(files, str(tmp_path / "other"), compare=True)
