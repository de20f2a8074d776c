"""Every objective in the one trainer: it learns, resumes in the same bits, refuses clearly."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from tiny import BERT, END, T5, of, small, texts, write_tokens

from corpusforge import spec as specs
from corpusforge.errors import ForgeError, UsageError
from corpusforge.tokenizer import Tokenizer
from corpusforge.train import checkpoint, run_train
from corpusforge.train.evaluate import evaluate, heldout_loader
from corpusforge.train.generate import generate
from corpusforge.train.losses import IGNORE
from corpusforge.train.metrics import read
from corpusforge.train.objectives import check, objective, tensors
from corpusforge.train.restore import restore
from corpusforge.train.trainer import Trainer, train, training_rows

NAMES = ["masked", "permutation", "spans"]
FIGURES = {
    "masked": {"masked_accuracy", "order_accuracy", "pseudo_perplexity"},
    "permutation": {"permutation_accuracy"},
    "spans": {"span_accuracy"},
}
SETTINGS = {  # that learn the small texts in seconds
    "masked": {"run__steps": 150, "model__width": 64, "model__heads": 4},
    "permutation": {"run__steps": 150, "model__width": 64, "optim__learning_rate": 5e-3},
    "spans": {"run__steps": 100},
}
SCRIPT = """
import sys
from corpusforge import spec
from corpusforge.train.trainer import train
train([sys.argv[1]], sys.argv[2], spec.load(spec.TrainSpec, file=sys.argv[3]))
"""


def opened(folder, spec):
    """The objective of ``spec`` on a token folder, and its training rows."""
    goal = objective(spec, Tokenizer.load(f"{folder}/tokenizer"))
    return goal, training_rows([folder], spec, None, goal.around)


def final(out):
    path = checkpoint.existing(out).path
    files = [path / name for name in (*checkpoint.FILES, "manifest.json")]
    return [file.read_bytes() for file in [*files, out / "metrics.jsonl"]]


@pytest.mark.parametrize("name", NAMES)
def test_prepared_rows_are_a_function_of_seed_epoch_and_row(folders, name):
    """Ranks cut one batch into the same rows; epochs and seeds draw others; so does no restart."""
    spec = of(name)
    goal, loader = opened(folders[name], spec)
    loader.global_batch = 24
    position = loader.rows - 9  # over the end of an epoch
    whole = goal.prepare(loader.batch(position))
    for world in (2, 3, 8):
        parts = [goal.prepare(loader.batch(position, rank, world)) for rank in range(world)]
        for label, array in whole.items():
            assert np.array_equal(np.concatenate([part[label] for part in parts]), array), label
    again, rows = opened(folders[name], spec)
    rows.global_batch = 24
    assert all(
        np.array_equal(array, whole[label])
        for label, array in again.prepare(rows.batch(position)).items()
    )
    batch = loader.batch(position)
    other = goal.prepare(type(batch)(**{**vars(batch), "epochs": batch.epochs + 1}))
    assert not np.array_equal(other["targets"], whole["targets"])
    goal.spec = of(name, data__seed=7)
    assert not np.array_equal(goal.prepare(batch)["targets"], whole["targets"])


@pytest.mark.parametrize("name", NAMES)
def test_learns_measures_and_evaluates_again(folders, tmp_path, name):
    """Held-out tokens cost less than by frequency; the figures are the same when asked again."""
    settings = {"run__log_every": 50, "run__evaluate_every": 400, "run__checkpoint_every": 400}
    spec = of(name, **SETTINGS[name], **settings, run__batch=16)
    folder = folders[name]
    done = train([folder], str(tmp_path), spec)
    last = read(tmp_path)[-1]
    assert done["perplexity"] < 0.9 * by_frequency(folder, spec)
    assert FIGURES[name] <= set(last)
    assert "bits_per_byte" not in last and done["bits_per_byte"] is None
    assert len(done["continuations"]) == 3 and all(done["continuations"])
    assert last["samples"] == done["continuations"][:1]
    again = evaluate(str(tmp_path), [folder], rows=spec.run.evaluate_rows)
    for figure in ("heldout_loss", "perplexity", *FIGURES[name]):
        assert again[figure] == pytest.approx(last[figure], rel=1e-6)
    with pytest.raises(UsageError, match=f"objective = '{name}'.*goes on from a prompt"):
        generate(str(tmp_path), "the")


def by_frequency(folder, spec):
    """Perplexity of held-out targets by how often tokens are targets in training."""
    goal, loader = opened(folder, spec)
    counts = np.ones(goal.tokenizer.vocab_size)
    for position in range(0, loader.rows, 16):
        targets = goal.prepare(loader.batch(position))["targets"]
        np.add.at(counts, targets[targets != IGNORE], 1)
    heldout = heldout_loader([folder], spec, None, goal.around)
    targets = goal.prepare(heldout.batch(0))["targets"]
    targets = targets[targets != IGNORE]
    return np.exp(-np.log(counts[targets] / counts.sum()).mean())


def stopped(folder, out, spec, steps):
    """Train, interrupted as if by a signal after ``steps`` steps of this process."""
    run = Trainer([folder], out, spec, lambda record: None)
    with pytest.raises(KeyboardInterrupt):
        run.run(Stop(steps))
    run.close()


class Stop:
    """An interrupt that comes when it is looked at for the last time."""

    def __init__(self, looks):
        self.left = looks

    @property
    def requested(self):
        self.left -= 1
        return self.left <= 0


@pytest.mark.parametrize("name", NAMES)
def test_stopped_and_resumed_is_bit_equal(folders, tmp_path, name):
    """Stopped twice, the files are those of an undisturbed run, over the end of an epoch."""
    changes = {"corrupt__whole_words": True, "corrupt__memory": 7, "model__dropout": 0.1}
    spec = of(name, **changes, run__batch=32, run__steps=16, run__checkpoint_every=5)
    whole = train([folders[name]], str(tmp_path / "whole"), spec)
    for steps in (3, 8):
        stopped(folders[name], tmp_path / "parts", spec, steps)
    assert train([folders[name]], str(tmp_path / "parts"), spec) == whole
    assert final(tmp_path / "parts") == final(tmp_path / "whole")
    assert max(whole["epochs"].values()) > 1


@pytest.mark.parametrize("name", NAMES)
def test_overfits_one_batch(folders, tmp_path, name):
    """On the same four rows, hidden in the same way, the loss goes near 0."""
    goal, loader = opened(folders[name], of(name, model__width=64, run__batch=4))
    model = goal.build(goal.spec, loader.tokens.tokenizer["vocab_size"])
    rows = tensors(goal.prepare(loader.batch(0)), slice(None))
    counts = goal.count(rows)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(100):
        optimizer.zero_grad()
        scored = goal.losses(goal.heads(model, rows), rows)
        loss = sum(one.total / counts[label] for label, one in scored.items())
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_accumulation_is_the_same_batch(folders, tmp_path, name):
    """Each label is divided by its own targets of the whole batch, so slices equal one."""
    losses = []
    for slices in (1, 4):
        spec = of(name, run__accumulate=slices, run__steps=4, data__heldout=0.0)
        train([folders[name]], str(tmp_path / str(slices)), spec)
        losses.append(torch.tensor([line["loss"] for line in read(tmp_path / str(slices))]))
    torch.testing.assert_close(losses[1], losses[0], rtol=2e-5, atol=2e-5)
    goal, loader = opened(folders[name], spec)
    model = goal.build(spec, goal.tokenizer.vocab_size)
    rows = tensors(goal.prepare(next(loader)), slice(None))
    scored = goal.losses(goal.heads(model, rows), rows)
    means = [one.nll.sum() / (rows[label] != IGNORE).sum() for label, one in scored.items()]
    torch.testing.assert_close(losses[0][0], sum(means), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_recompute_is_the_same(folders, name):
    """Blocks run again in the backward pass give the same gradients, and are run again."""
    goal, loader = opened(folders[name], of(name, corrupt__memory=5))
    rows = tensors(goal.prepare(next(loader)), slice(None))
    gradients, runs = [], []
    for again in (False, True):
        model, count = goal.build(goal.spec, goal.tokenizer.vocab_size), [0]
        model.recompute = again
        last = [one for key, one in model.named_modules() if key.endswith("blocks.1")][-1]
        last.register_forward_pre_hook(lambda *_, count=count: count.__setitem__(0, count[0] + 1))
        scored = goal.losses(goal.heads(model, rows), rows)
        sum(one.total for one in scored.values()).backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
        runs.append(count[0])
    torch.testing.assert_close(*gradients)
    assert runs[1] == runs[0] + 1


@pytest.mark.faults
@pytest.mark.parametrize("name", NAMES)
def test_killed_and_resumed_is_bit_equal(folders, tmp_path, name):
    """kill -9 at two seeded moments: weights, optimizer, state and metrics are those of one run."""
    spec = of(
        name, run__steps=24, run__checkpoint_every=3, run__keep_checkpoints=1, model__dropout=0.1,
        run__evaluate_every=12, run__evaluate_rows=8,
    )  # fmt: skip
    (tmp_path / "spec.toml").write_text(specs.dump(spec))
    train([folders[name]], str(tmp_path / "whole"), spec)
    out, draw = tmp_path / "parts", random.Random(name)

    def start():
        arguments = [folders[name], str(out), str(tmp_path / "spec.toml")]
        environment = {**os.environ, "PYTHONSAFEPATH": "1"}
        return subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], env=environment)

    for step in (4, 14):
        process = start()
        while process.poll() is None and not (
            (out / "metrics.jsonl").exists() and len(read(out)) >= step
        ):
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    assert start().wait(120) == 0
    assert final(out) == final(tmp_path / "whole")


@pytest.mark.parametrize(
    ("name", "special", "changes", "message"),
    [
        ("masked", (END,), {}, r"no cls token; expected one, e.g. '\[CLS\]'.*wordpiece-30k"),
        ("masked", BERT[:3] + BERT[4:], {}, r"no mask token.*wordpiece-30k"),
        ("spans", (END,), {}, "no pad token.*unigram-32k"),
        ("spans", ("<pad>", "</s>"), {}, "0 sentinels.*expected 2 for data.sequence = 32"),
        ("spans", T5, {"data__sequence": 512}, "9 sentinels.*expected 28"),
        ("masked", BERT, {"data__packing": "bestfit"}, "expected pairs"),
        ("spans", T5, {"data__packing": "pairs"}, "expected spans"),
        ("spans", T5, {"data__document_mask": True}, "looks across documents"),
        ("permutation", (END,), {"model__position": "rope"}, "'relative-xl', 'post'"),
        ("permutation", (END,), {"corrupt__memory": 32}, "memory = 32 leaves nothing"),
        ("masked", BERT, {"model__position": "relative-xl"}, "attention of its own"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path, name, special, changes, message):
    """A tokenizer without a special token, rows or positions of another objective."""
    folder = write_tokens(tmp_path / "tok", texts(20), special=special)
    with pytest.raises(ForgeError, match=message) as caught:
        run_train.check([folder], of(name, **changes))
    assert "\n" not in str(caught.value)


def test_unknown_objectives_and_rows_of_others():
    """The nearest name is offered; plans of pairs and spans have no targets for causal."""
    with pytest.raises(ForgeError, match=r"no objective is called 'mask'.*masked"):
        check(small().model_copy(update={"objective": "mask"}))
    with pytest.raises(ForgeError, match="expected bestfit or chop"):
        check(small(data__packing="pairs"))


def test_shipped_specs_fit_their_objective(tmp_path):
    """Each can be built; bert-base has the published number of parameters, 110,106,428."""
    sizes = {"bert-mini": 8192, "bert-base": 30522, "xlnet-mini": 8192, "t5-mini": 8192}
    special = (*T5[:-1], *(f"<extra_id_{number}>" for number in range(9, 100)), "</s>", *BERT)
    tokenizer = Tokenizer.load(write_tokens(tmp_path, texts(9), special=special) + "/tokenizer")
    found = {}
    for name, size in sizes.items():
        spec = specs.load(specs.TrainSpec, file=name)
        with torch.device("meta"):
            model = objective(spec, tokenizer).build(spec, size)
        found[name] = sum(parameter.numel() for parameter in model.parameters())
    assert found["bert-base"] == 110_106_428
    assert max(found[name] for name in sizes if name != "bert-base") < 15_000_000


def test_restored_models_are_those_of_their_objective(folders, tmp_path):
    """A model folder comes back with its weights, whatever it was trained for."""
    for name in NAMES:
        out = tmp_path / name
        train([folders[name]], str(out), of(name, run__steps=2))
        model, spec, _ = restore(out)
        assert spec.objective == name
        saved = checkpoint.existing(out).model()
        assert all(torch.equal(value, saved[key]) for key, value in model.state_dict().items())
