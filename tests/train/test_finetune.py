"""Fine-tuning runs: tasks learn a few rows, runs continue bit for bit, folders stand alone."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from tiny import texts
from tuned import lines, settings

from corpusforge import api
from corpusforge import spec as specs
from corpusforge.cli import main
from corpusforge.errors import InputError, RunError, SpecError
from corpusforge.train.finetune.predict import load
from corpusforge.train.finetune.rows import read
from corpusforge.train.metrics import read as records
from corpusforge.train.objectives.masked import Masked
from corpusforge.train.restore import restore


def sentences():
    """Sentences about a cat or about something else, half and half, easy to tell."""
    found = [one.strip() for text in texts(80) for one in text.split(".") if one.strip()]
    cats, others = ([one for one in found if ("cat" in one) == side] for side in (True, False))
    pairs = zip(cats[:30], others[:30], strict=True)
    return [
        row
        for cat, other in pairs
        for row in ({"text": cat, "label": "cat"}, {"text": other, "label": "other"})
    ]


CLASSES = "sequence-classification"


@pytest.mark.parametrize("kind", ["causal", "masked"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"adapter__rank": 4, "adapter__targets": ["value", "up", "down"]}, {"freeze": 1}],
)
def test_a_class_is_learnt(bases, tmp_path, kind, changes):
    """Fully, by adapters and with frozen blocks; the folder predicts as the run did."""
    data = lines(tmp_path / "d.jsonl", sentences())
    out = str(tmp_path / "out")
    rate = 2e-2 if "adapter__rank" in changes else 5e-3
    spec = settings(
        CLASSES, run__epochs=25, optim__learning_rate=rate, data__heldout=0.3, **changes
    )  # fmt: skip
    done = api.finetune(bases[kind], data, out, spec)
    assert done.facts["figures"]["accuracy"] > 0.9
    assert done.facts["labels"] == ["cat", "other"]
    before = json.loads(Path(out, "predictions.jsonl").read_text().splitlines()[0])
    found = api.predict(out, data, str(tmp_path / "p.jsonl"))
    assert found["accuracy"] > 0.9 and found["rows"] == 60
    after = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    again = next(one for one in after if one["row"] == before["row"])
    assert again["label"] == before["label"]
    assert again["probabilities"]["cat"] == pytest.approx(before["probabilities"]["cat"], abs=1e-5)
    base, tuned = restore(Path(bases[kind]))[0], restore(Path(out))[0]
    changed = {
        name
        for name, tensor in tuned.state_dict().items()
        if not torch.equal(tensor, base.state_dict()[name])
    }
    if "adapter__rank" in changes:
        assert {name.split(".")[-2] for name in changed} == {"value", "up", "down"}
        assert len(load_file(Path(out, "adapter.safetensors"))) == 12
        assert done.facts["trained_parameters"] < done.facts["parameters"] / 2
    if "freeze" in changes:
        assert changed and not any(name.startswith(("blocks.0.", "tokens.")) for name in changed)
    assert api.verify(out)["content"] == done.content
    assert "Predictions" in Path(api.report(out)).read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["causal", "masked"])
@pytest.mark.parametrize("pooling", ["token", "mean"])
def test_padding_changes_nothing(bases, tmp_path, kind, pooling):
    """A row's outputs are the same alone and beside longer ones."""
    words = ["the", "cat", "sees", "a", "dog", "and", "the", "river"]
    rows = [{"text": " ".join(words[:n]), "label": str(n % 2)} for n in range(1, 8)]
    data = lines(tmp_path / "d.jsonl", rows)
    spec = settings(CLASSES, pooling=pooling, data__heldout=0.0, run__epochs=1)
    api.finetune(bases[kind], data, str(tmp_path / "out"), spec)
    model, task = load(str(tmp_path / "out"))
    items = task.encode(read(data, {}), True)
    where, draw = torch.device("cpu"), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():  # far from where they are alike
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=draw))
        together = task.score(model, task.batch(items, where)).outputs
        alone = [task.score(model, task.batch([item], where)).outputs[0] for item in items]
    assert (together[0] - together[-1]).abs().max() > 0.01
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-4, atol=1e-5)


def test_two_texts(bases, tmp_path):
    """Whether two sentences are about one animal."""
    rows = [
        {"first": a, "second": b, "label": a == b}
        for a in ("the cat sees", "a dog likes")
        for b in ("the cat sees", "a dog likes")
    ]
    data = lines(tmp_path / "d.jsonl", rows * 3)
    spec = settings("sentence-pair", data__heldout=0.0, run__epochs=40, run__batch=4)
    done = api.finetune(bases["masked"], data, str(tmp_path / "out"), spec)
    assert done.facts["labels"] == ["false", "true"]
    assert api.predict(str(tmp_path / "out"), data, str(tmp_path / "p.jsonl"))["accuracy"] == 1.0


def test_the_best_evaluation_is_kept(bases, tmp_path):
    """With patience the run ends early; weights are those of the best step."""
    data = lines(tmp_path / "d.jsonl", sentences())
    spec = settings(CLASSES, patience=2, run__epochs=30, run__evaluate_every=3)
    done = api.finetune(bases["causal"], data, str(tmp_path / "out"), spec)
    found = [one for one in records(tmp_path / "out") if "macro_f1" in one]
    best = max(found, key=lambda one: one["macro_f1"])  # the first of equal ones
    assert done.facts["stopped_early"] and done.facts["best_step"] == best["step"]
    assert done.facts["steps"] == found[-1]["step"] == best["step"] + 6
    assert found[-1]["heldout_loss"] != pytest.approx(best["heldout_loss"], rel=1e-3)
    assert done.facts["figures"]["heldout_loss"] == pytest.approx(best["heldout_loss"], rel=1e-5)


def test_class_weights(bases, tmp_path):
    """Balanced ones move predictions to the rare class; unknown names are refused."""
    rows = [
        {"text": f"the cat {n}", "label": "rare" if n % 10 == 0 else "usual"} for n in range(60)
    ]
    data = lines(tmp_path / "d.jsonl", rows)
    chances = []
    for name in ("none", "balanced"):
        spec = settings(CLASSES, class_weights=name, run__epochs=2)
        api.finetune(bases["causal"], data, str(tmp_path / name), spec)
        said = (tmp_path / name / "predictions.jsonl").read_text().splitlines()
        chances.append(sum(json.loads(one)["probabilities"]["rare"] for one in said) / len(said))
    assert chances[1] > chances[0] + 0.1
    with pytest.raises(SpecError, match="did you mean 'rare'"):
        spec = settings(CLASSES, class_weights={"rar": 2.0})
        api.finetune(bases["causal"], data, str(tmp_path / "no"), spec)


SCRIPT = """
import sys
from corpusforge import api, spec
try:
    loaded = spec.load(spec.FinetuneSpec, file=sys.argv[4])
    api.finetune(sys.argv[1], sys.argv[2], sys.argv[3], loaded)
except KeyboardInterrupt:
    sys.exit(130)
"""


def final(out):
    names = ["metrics.jsonl", "predictions.jsonl", "head.safetensors", "task.json"]
    files = [out / name for name in names] + sorted(out.glob("checkpoints/*/*"))
    return {str(file.relative_to(out)): file.read_bytes() for file in files}


@pytest.mark.faults
def test_killed_it_continues_bit_for_bit(bases, tmp_path):
    """kill -9 and Ctrl-C in one run: every file that is left has the same bytes."""
    data = lines(tmp_path / "d.jsonl", sentences())
    spec = settings(
        CLASSES, run__epochs=30, run__checkpoint_every=3, adapter__rank=4, adapter__dropout=0.1,
        run__evaluate_every=5, optim__learning_rate=2e-2,
    )  # fmt: skip
    (tmp_path / "spec.toml").write_text(specs.dump(spec))

    def start(out):
        arguments = [sys.executable, "-c", SCRIPT, bases["masked"], data, str(out)]
        environment = {**os.environ, "PYTHONSAFEPATH": "1"}
        return subprocess.Popen([*arguments, str(tmp_path / "spec.toml")], env=environment)

    api.finetune(bases["masked"], data, str(tmp_path / "whole"), spec)
    out = tmp_path / "out"
    for step, number in ((7, signal.SIGKILL), (40, signal.SIGTERM)):
        process = start(out)
        while process.poll() is None and len(records(out)) < step:
            time.sleep(0.005)
        assert process.poll() is None, "it ended before it could be stopped"
        process.send_signal(number)
        assert process.wait(60) == (-9 if number == signal.SIGKILL else 130)
    api.finetune(bases["masked"], data, str(out), spec)
    assert final(out) == final(tmp_path / "whole")
    assert not (out / "tuning").exists()
    assert next(out.glob("checkpoints/*")).name < "step-000040"  # the best was before the last stop


def test_what_was_done_is_not_done_again(bases, tmp_path):
    """Finished: the same answer; other rows or another model: refused."""
    data = lines(tmp_path / "d.jsonl", sentences())
    spec, out = settings(CLASSES, run__epochs=1), str(tmp_path / "out")
    done = api.finetune(bases["causal"], data, out, spec)
    written = Path(out, "metrics.jsonl").stat().st_mtime_ns
    assert api.finetune(bases["causal"], data, out, spec).content == done.content
    assert Path(out, "metrics.jsonl").stat().st_mtime_ns == written
    with pytest.raises(RunError, match="another model or other rows"):
        api.finetune(bases["masked"], data, out, spec)
    with pytest.raises(
        RunError, match=r"no finished run; expected manifest\.json of a finetune run"
    ):
        api.predict(bases["causal"], data, str(tmp_path / "p.jsonl"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "a b"}, "record 61: no column 'label'"),
        ({"text": "", "label": "cat"}, "record 61: column 'text' is \"\"; expected text"),
        ({"text": ["a"], "label": "cat"}, "record 61: column 'text' is"),
        ({"text": "a", "label": None}, "record 61: column 'label' is null; expected a label"),
        ({"txet": "a", "label": "cat"}, "did you mean 'txet'"),
    ],
)
def test_errors_name_the_row(bases, tmp_path, row, message):
    """Before a run folder is made."""
    data = lines(tmp_path / "d.jsonl", [*sentences(), row])
    with pytest.raises(InputError) as told:
        api.finetune(bases["causal"], data, str(tmp_path / "out"), settings(CLASSES))
    assert message in str(told.value) and "d.jsonl" in str(told.value)
    assert not (tmp_path / "out").exists()


def test_a_label_that_training_had_not(bases, tmp_path):
    """In a file of held-out rows."""
    data = lines(tmp_path / "d.jsonl", sentences())
    held = lines(tmp_path / "h.jsonl", [{"text": "a", "label": "cats"}])
    with pytest.raises(InputError, match=r"h\.jsonl record 1: label 'cats' is new.*'cat'"):
        spec = settings(CLASSES, data__heldout=held)
        api.finetune(bases["causal"], data, str(tmp_path / "out"), spec)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "no task is given; --task: known: "),
        (["--task", "sequence-clasification"], 2, "did you mean 'sequence-classification'?"),
        (["--task", CLASSES, "--set", "data.columns.txt=a"], 2, "did you mean 'text'?"),
        (["--task", CLASSES, "--set", "freeze=9"], 2, "freeze = 9; expected at most 2"),
        (["--task", CLASSES, "--set", "adapter.rank=2", "--set", "freeze=1"], 2, "adapters"),
        (["--task", CLASSES, "--set", "data.heldout=0.9"], 2, "a share from 0 to 0.5"),
        (["--task", CLASSES, "--set", "data.heldout=0", "--set", "patience=2"], 2, "patience = 2"),
        (["--task", CLASSES, "--set", "data.heldout=none.jsonl"], 3, "none.jsonl"),
        (["--predict", "p.jsonl", "--task", CLASSES], 2, "--predict takes task and settings"),
        (["--task", CLASSES, "--set", "class_weights=balance"], 2, "class_weights"),
    ],
)
def test_messages(bases, tmp_path, arguments, code, message):
    """One line and an exit code."""
    data = lines(tmp_path / "d.jsonl", sentences())
    base = ["finetune", bases["causal"], data]
    if "--predict" not in arguments:
        base += ["-o", str(tmp_path / "out")]
    done = CliRunner().invoke(main, [*base, *arguments])
    assert (done.exit_code, message in done.stderr) == (code, True), done.stderr
    assert done.stderr.count("\n") == 1


def test_a_model_that_does_not_fit(bases, tmp_path):
    """An encoder-decoder chooses no class."""
    data = lines(tmp_path / "d.jsonl", sentences())
    with pytest.raises(SpecError, match="objective = 'spans'; expected a model of objective"):
        api.finetune(bases["spans"], data, str(tmp_path / "out"), settings(CLASSES))
    assert Masked.packings  # the fixture's other objectives exist
