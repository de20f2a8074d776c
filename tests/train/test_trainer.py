"""The loop: it learns, stops and goes on in the same bits, divides by all targets, refuses."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import small, texts, write_tokens

from corpusforge.errors import InputError, RunError
from corpusforge.train import checkpoint
from corpusforge.train.evaluate import evaluate, heldout_loader
from corpusforge.train.generate import generate
from corpusforge.train.metrics import read
from corpusforge.train.restore import restore
from corpusforge.train.trainer import Trainer, train


class Stop:
    """An interrupt that comes after ``steps`` looks."""

    def __init__(self, steps):
        self.left = steps

    @property
    def requested(self):
        self.left -= 1
        return self.left < 0


def stopped(folders, out, spec, steps):
    """Train, interrupted as if by a signal after ``steps`` steps of this process."""
    trainer = Trainer(folders, out, spec, lambda record: None)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(Stop(steps - 1))
    trainer.close()


def final(out):
    """Bytes of the newest checkpoint's files and of the metrics."""
    path = checkpoint.existing(out).path
    files = [path / name for name in (*checkpoint.FILES, "manifest.json")]
    return [file.read_bytes() for file in [*files, out / "metrics.jsonl"]]


@pytest.mark.parametrize(
    "changes",
    [
        {"run__steps": 50, "run__checkpoint_every": 30, "run__evaluate_every": 25},
        {"model__dropout": 0.2, "optim__name": "adafactor", "run__accumulate": 2},
        {"data__document_mask": True, "data__packing": "chop", "optim__name": "adam"},
        {"run__precision": "bf16", "run__log_every": 4},
    ],
    ids=["epochs", "dropout-adafactor", "mask-chop", "bf16"],
)
def test_stopped_and_resumed_is_bit_equal(tokens, tmp_path, changes):
    """Stopped twice and resumed, the files are those of an undisturbed run."""
    spec = small(**changes)
    whole = train([tokens], str(tmp_path / "whole"), spec)
    for steps in (3, spec.run.steps // 2):
        stopped([tokens], tmp_path / "parts", spec, steps)
    parts = train([tokens], str(tmp_path / "parts"), spec)
    assert final(tmp_path / "parts") == final(tmp_path / "whole")
    assert parts == whole
    if spec.run.steps == 50:
        trainer = Trainer([tokens], tmp_path / "whole", spec, lambda record: None)
        assert trainer.loader.state()["epoch"] >= 1
        trainer.close()


def test_recompute_is_the_same_run(tokens, tmp_path):
    """Activations computed again give the same weights, dropout included."""
    for name, again in (("kept", False), ("again", True)):
        spec = small(run__recompute=again, model__dropout=0.1)
        train([tokens], str(tmp_path / name), spec)
    kept, again = (checkpoint.existing(tmp_path / name).model() for name in ("kept", "again"))
    for name, value in kept.items():
        torch.testing.assert_close(again[name], value, rtol=0, atol=1e-6)


def test_the_best_checkpoint_stays(tokens, tmp_path):
    """The step of the lowest held-out loss is kept beside the newest."""
    spec = small(run__keep_best=True, run__keep_checkpoints=1, run__evaluate_every=3)
    train([tokens], str(tmp_path), spec)
    lines = [line for line in read(tmp_path) if "heldout_loss" in line]
    best = min(lines, key=lambda line: line["heldout_loss"])["step"]
    found = {int(path.name[5:]) for path in (tmp_path / "checkpoints").iterdir()}
    assert found == {best, spec.run.steps}


def test_rates_come_from_the_callers_clock(tokens, tmp_path):
    """Ticks of one second: a step's rate is its targets."""
    ticks = iter(range(10_000))
    train([tokens], str(tmp_path), small(), clock=lambda: float(next(ticks)))
    first, second = read(tmp_path)[:2]
    assert second["tokens_per_second"] == second["tokens"] - first["tokens"]
    assert second["mfu"] > 0
    assert first["loss_by_source"]["sample"] == pytest.approx(first["loss"], rel=1e-5)


def test_accumulation_is_the_same_batch(tokens, tmp_path):
    """Slices are divided by the targets of the whole batch, so two slices equal one."""
    losses = []
    for slices in (1, 2, 4):
        spec = small(run__accumulate=slices, data__packing="bestfit")
        train([tokens], str(tmp_path / str(slices)), spec)
        losses.append(torch.tensor([r["loss"] for r in read(tmp_path / str(slices))]))
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(losses[2], losses[0], rtol=1e-6, atol=1e-6)


def test_overfits_one_batch(tmp_path):
    """On four rows the loss goes near 0 and the text comes back word by word."""
    folder = write_tokens(tmp_path / "tok", texts(3, seed=9))
    spec = small(
        run__steps=150, run__batch=4, data__heldout=0.0, optim__learning_rate=1e-2,
        model__width=64, optim__warmup=0.1, run__log_every=50,
    )  # fmt: skip
    done = train([folder], str(tmp_path / "out"), spec)
    assert done["last_loss"] < 0.1 < 5 < done["first_loss"]
    assert done["perplexity"] is None
    words = texts(3, seed=9)[0]
    start, rest = words[:20], words[20:60]
    assert rest[:25] in generate(str(tmp_path / "out"), start, temperature=0, tokens=30)


def test_learns_and_reports(tokens, tmp_path):
    """The result's figures, one metrics line a step, and evaluation again gives the same."""
    spec = small(run__steps=40, run__evaluate_every=20)
    seen = []
    done = train([tokens], str(tmp_path), spec, progress=seen.append)
    lines = read(tmp_path)
    assert [line["step"] for line in lines] == list(range(1, 41))
    assert [line["step"] for line in lines if "perplexity" in line] == [20, 40]
    assert [{**line, "steps": 40} for line in lines] == seen
    assert (done["first_loss"], done["last_loss"]) == (lines[0]["loss"], lines[-1]["loss"])
    assert done["last_loss"] < done["first_loss"] - 1
    assert done["bits_per_byte"] < 8 < done["perplexity"] < 320
    assert len(done["continuations"]) == 3
    again = evaluate(str(tmp_path), [tokens], rows=spec.run.evaluate_rows)
    assert again["heldout_loss"] == pytest.approx(done["heldout_loss"], rel=1e-6)
    other = write_tokens(tmp_path / "tok", texts(60), digest="u")
    with pytest.raises(InputError, match="made with the tokenizer u; expected the model's, t"):
        evaluate(str(tmp_path), [other])
    assert set(json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])) == {
        "step", "loss", "gradient_norm", "learning_rate", "tokens", "loss_by_source",
    }  # fmt: skip


@pytest.mark.parametrize("rows", [3, 8, 11])
def test_heldout_rows(tokens, tmp_path, rows):
    """Loss and bytes are those of the first rows, whether the batches divide them or not."""
    train([tokens], str(tmp_path), small(run__steps=1))
    found = evaluate(str(tmp_path), [tokens], rows=rows)
    model, spec, _ = restore(tmp_path)
    loader = heldout_loader([tokens], spec)
    batches = [loader.batch(row) for row in range(rows)]
    inputs = torch.tensor(np.stack([batch.inputs[0] for batch in batches]))
    targets = torch.tensor(np.stack([batch.targets[0] for batch in batches]))
    with torch.no_grad():
        logits = model.logits(model(inputs, causal=True))
    want = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    assert found["heldout_loss"] == pytest.approx(want.item(), rel=1e-5)
    assert found["heldout_targets"] == int((targets >= 0).sum())
    size = sum(batch.target_bytes[0] for batch in batches)
    bits = want.item() * found["heldout_targets"] / math.log(2) / size
    assert found["bits_per_byte"] == pytest.approx(bits, rel=1e-5)


def test_a_finished_run_is_left_alone(tokens, tmp_path):
    """Run again it trains nothing and gives the same result."""
    first = train([tokens], str(tmp_path), small())
    before = final(tmp_path)
    assert train([tokens], str(tmp_path), small()) == first
    assert final(tmp_path) == before


def test_a_loss_that_is_not_finite(tokens, tmp_path):
    """The run stops before the weights are touched, with step, documents, last good checkpoint."""
    spec = small(run__checkpoint_every=1, optim__clip=0.0)
    stopped([tokens], tmp_path, spec, 3)
    trainer = Trainer([tokens], tmp_path, spec, lambda record: None)
    with torch.no_grad():
        trainer.model.tokens.weight[:] = float("nan")
    with pytest.raises(RunError) as caught:
        trainer.run(Stop(100))
    trainer.close()
    message = str(caught.value)
    assert "step 4: loss nan" in message
    assert "https://example.org/" in message
    assert "last good checkpoint: checkpoints/step-000003" in message
    assert checkpoint.existing(tmp_path).step == 3


def test_another_spec_or_data_is_refused(tokens, tmp_path):
    """A checkpoint only goes on with its own spec and data, and says what differs."""
    spec = small()
    stopped([tokens], tmp_path / "out", spec, 4)
    other = small(optim__learning_rate=1e-3)
    with pytest.raises(RunError, match=r"optim.learning_rate \(0.003 -> 0.001\)"):
        train([tokens], str(tmp_path / "out"), other)
    folder = write_tokens(tmp_path / "tok", texts(300, seed=1), content="other")
    with pytest.raises(RunError, match="the state was taken with data"):
        train([folder], str(tmp_path / "out"), spec)


def test_a_damaged_checkpoint_costs_only_its_steps(tokens, tmp_path):
    """The one before is taken, it is said so, and the end is the same."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    train([tokens], str(whole), small())
    stopped([tokens], out, small(), 7)
    file = out / "checkpoints/step-000007/model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    seen = []
    train([tokens], str(out), small(), progress=seen.append)
    said = [record["message"] for record in seen if "message" in record]
    assert "step-000007 is passed over" in said[0]
    assert said[1] == "goes on after step 5"
    assert final(out) == final(whole)


def test_dropout_is_keyed_by_slice(tokens, tmp_path):
    """Before each slice the generator stands where (seed, step, slice) puts it."""
    spec = small(model__dropout=0.1, run__accumulate=2)
    trainer = Trainer([tokens], tmp_path, spec, lambda record: None)
    seen, heads = [], trainer.objective.heads

    def watched(model, rows):
        seen.append(torch.initial_seed())
        return heads(model, rows)

    trainer.objective.heads = watched
    trainer._advance()
    trainer._advance()
    trainer.close()
    assert seen == [0, 1, 2, 3]
