"""Sweeps of the smallest trainings: what is drawn, stored, ended, refused and told."""

import json
import math
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
from click.testing import CliRunner
from tiny import SMALL, texts, write_tokens

from corpusforge import api, manifest, trials
from corpusforge import spec as specs
from corpusforge.cli import main
from corpusforge.errors import AccountingError, ForgeError, RunError
from corpusforge.run import RunFolder
from corpusforge.spec.sweep import FIGURES
from corpusforge.train.metrics import read
from corpusforge.train.objectives import OBJECTIVES
from corpusforge.train.sweeps import study as studies

RATE = {"optim.learning_rate": {"low": 3e-4, "high": 3e-2, "log": True}}
SEED = 10  # of a grid whose first two points are the good ones, the last the worst


def sweep_spec(ranges=RATE, **settings):
    """A sweep of `SMALL` with its evaluations at steps 4, 8, and 12."""
    small = {table: dict(fields) for table, fields in SMALL.items()}
    small["run"] |= {"evaluate_every": 4, "steps": 12}
    values = {"train": small, "sweep": {"trials": 3, "warmup": 2, **settings}, "ranges": ranges}
    return specs.parse(specs.SweepSpec, values)


def forge(*arguments):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "corpusforge", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def done(tokens, tmp_path_factory):
    """A sweep by the command, two trials at a time: some are good, the last is not, some fail."""
    root = tmp_path_factory.mktemp("sweeps") / "sweep"
    ranges = {"model.heads": [2, 3], "optim.learning_rate": [1e-6, 1e-3, 3e-3, 1e30]}
    spec = sweep_spec(ranges, sampler="grid", trials=50, warmup=2, seed=SEED)
    optim = spec.train.optim.model_copy(update={"clip": 0.0, "warmup": 0.0})
    train = spec.train.model_copy(update={"optim": optim})
    spec = spec.model_copy(update={"train": train})
    (root.parent / "s.toml").write_text(specs.dump(spec))
    command = ["sweep", str(root.parent / "s.toml"), tokens, "-o", str(root), "--workers", "2"]
    return root, spec, forge(*command, "--json")


def test_every_trial_is_recorded_and_told(done):
    """Complete, pruned and failed ones sum up; a failed one says why and stops nothing."""
    root, _, said = done
    told, found = json.loads(said.stdout), trials.read(str(root))
    states = Counter(one["state"] for one in found)
    assert [one["number"] for one in found] == list(range(8))
    # The last one is pruned, but where the other process is slower than six trials.
    assert states["failed"] == 5 and states["complete"] >= 2
    assert {name: told[name] for name in states} == states and told["trials"] == 8
    points = [tuple(one["settings"].values()) for one in found]
    assert len(set(points)) == 8  # the grid, once
    for one in found:
        heads, rate = one["settings"].values()
        if heads == 3:
            assert one["state"] == "failed" and "heads" in one["reason"]
        elif rate == 1e30:
            assert "expected finite numbers" in one["reason"]
            assert str(root) not in one["reason"]
        else:
            assert [step for step, _ in one["values"]] == [4, 8, 12][: len(one["values"])]
            values = [(r["step"], r["heldout_loss"]) for r in records(root, one["number"])]
            assert [tuple(pair) for pair in one["values"]] == values
            assert one["value"] == (values[-1][1] if one["state"] == "complete" else None)
            assert f"trial {one['number']} · " in said.stderr
    assert api.verify(str(root))["content"] == told["content"]
    assert sum(told["importance"].values()) == pytest.approx(1)


def records(root, number):
    return [r for r in read(root / trials.folder(number)) if "heldout_loss" in r]


def test_the_best_spec_trains_to_the_same_bits(done, tokens, tmp_path):
    """forge train takes best.toml as it is, and its model is that of the trial."""
    root, _, said = done
    best = trials.ranked(trials.read(str(root)), maximize=False)[0]
    assert best["number"] == json.loads(said.stdout)["best"]
    spec = api.load_spec(specs.TrainSpec, str(root / "best.toml"))
    trained = api.train([tokens], str(tmp_path / "m"), spec)
    kept = root / trials.folder(best["number"])
    assert trained.content == best["content"] == api.verify(str(kept))["content"]
    others = [one for one in range(8) if one != best["number"]]
    assert not any((root / trials.folder(one) / "checkpoints").exists() for one in others)


def test_a_finished_sweep_is_left_as_it_is(done, tokens, tmp_path):
    """Run again, also on fewer trials, nothing changes."""
    root, spec, said = done
    before = {
        path: path.stat().st_mtime_ns for path in root.glob("*.*") if path.name != "log.jsonl"
    }
    for number in (50, 2):
        settings = spec.sweep.model_copy(update={"trials": number})
        run = api.sweep([tokens], str(root), spec.model_copy(update={"sweep": settings}))
        assert run.content == json.loads(said.stdout)["content"]
    del before[root / "report.html"]
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_another_spec_or_other_data_are_refused(done, tokens, tmp_path):
    """By the name of the key, and nothing is touched."""
    root, spec, said = done
    for change, key in [
        ({"seed": SEED + 1}, f"sweep.seed ({SEED} -> {SEED + 1})"),
        ({"objective": "perplexity"}, "sweep.objective"),
    ]:
        settings = spec.sweep.model_copy(update=change)
        with pytest.raises(RunError, match="another spec") as caught:
            api.sweep([tokens], str(root), spec.model_copy(update={"sweep": settings}))
        assert key in str(caught.value)
    ranges = {**spec.ranges, "model.heads": [2, 4]}
    with pytest.raises(RunError, match=r"ranges.model.heads \(\[2, 3\] -> \[2, 4\]\)"):
        api.sweep([tokens], str(root), spec.model_copy(update={"ranges": ranges}))
    other = write_tokens(tmp_path / "other", texts(120, seed=1), content="d")
    with pytest.raises(RunError, match="other token folders"):
        api.sweep([other], str(root), spec)
    with RunFolder(str(tmp_path / "s"), "sweep", spec), pytest.raises(RunError, match="works here"):
        api.sweep([tokens], str(tmp_path / "s"), spec)
    refused = CliRunner().invoke(main, ["sweep", "s.toml", "--spec", "s.toml"])
    assert refused.exit_code == 2 and "expected no --spec" in refused.stderr
    assert api.verify(str(root))["content"] == json.loads(said.stdout)["content"]


def test_verify_finds_what_was_changed(done, tmp_path):
    """A state in trials.jsonl; a trial that is gone; another best one."""
    root, _, _ = done
    run = manifest.read(str(root), "sweep")
    best = f'"value": {run.facts["value"]}'
    for number, (old, new) in enumerate(
        [('"complete"', '"failed"'), ('"number": 3', '"number": 4'), (best, '"value": 99')]
    ):
        changed = shutil.copytree(root, tmp_path / str(number))
        text = (root / "trials.jsonl").read_text()
        assert old in text
        (changed / "trials.jsonl").write_text(text.replace(old, new, 1))
        with pytest.raises(AccountingError, match=r"trials\.jsonl"):
            api.verify(str(changed))
        shards = manifest.seal(str(changed), [shard.name for shard in run.shards])
        content = manifest.content_of_files(shards)
        replace(run, shards=shards, content=content).write(str(changed))
        with pytest.raises(AccountingError):  # sealed anew by somebody
            api.verify(str(changed))


def test_the_figures_of_each_objective_are_those_it_measures():
    """As the spec of a sweep knows them, without torch."""
    for name, kind in OBJECTIVES.items():
        measured = {*kind.accuracies.values(), *(["bits_per_byte"] if kind.whole else [])}
        assert measured == set(FIGURES[name]) - {"pseudo_perplexity"}
    assert FIGURES.keys() == OBJECTIVES.keys()


def test_a_study_that_is_damaged_or_gone_is_told(tmp_path):
    """In one line; nothing is drawn anew over trials that are there."""
    spec = sweep_spec()
    studies.Study(tmp_path, spec, ["d"]).close()
    whole = (tmp_path / studies.NAME).read_bytes()
    for damage in (b"", b"no database", whole[:5000], bytes(100) + whole[100:]):
        (tmp_path / studies.NAME).write_bytes(damage)
        with pytest.raises(RunError, match="not the trials of a sweep"):
            studies.Study(tmp_path, spec, ["d"])
    (tmp_path / studies.NAME).unlink()
    (tmp_path / "trials/0000").mkdir(parents=True)
    with pytest.raises(RunError, match=r"study\.db is gone"):
        studies.Study(tmp_path, spec, ["d"])


def test_all_trials_fail(tokens, tmp_path):
    """They are told and recorded, again without training when it is run again."""
    spec = sweep_spec({"model.heads": [3, 5]}, sampler="grid", trials=9)
    for _ in range(2):
        with pytest.raises(RunError, match="none of 2 trials is complete") as caught:
            api.sweep([tokens], str(tmp_path / "s"), spec)
        assert "heads" in str(caught.value)
    found = trials.read(str(tmp_path / "s"))
    assert [one["state"] for one in found] == ["failed", "failed"]
    with pytest.raises(ForgeError):
        api.verify(str(tmp_path / "s"))


def test_the_pruner_ends_what_is_worse_than_the_median(tmp_path):
    """By Optuna's own rule over the stored values of complete trials."""
    spec = sweep_spec(trials=4, warmup=2)
    study = studies.Study(tmp_path, spec, ["data"])
    for values in ([5.0, 3.0], [4.0, 2.0], [3.0, 1.0]):
        number = study.begin()
        study.complete(number, [(4, values[0]), (8, values[1])], "c")
    number = study.begin()
    study.value(number, 4, 4.1)
    assert study.hopeless(number)
    study.prune(number)
    study.close()
    again = studies.Study(tmp_path, spec, ["data"])
    assert [one["state"] for one in again.trials()] == ["complete"] * 3 + ["pruned"]
    number = again.begin()
    again.value(number, 4, 3.9)
    assert not again.hopeless(number) and again.unfinished() == [number]
    again.close()
    with sqlite3.connect(tmp_path / studies.NAME) as base:
        assert base.execute("select count(*) from trials").fetchone() == (5,)


def test_draws_depend_on_the_seed_and_the_trials_before_alone(tmp_path):
    """Whether the study is opened once or anew for every trial."""
    spec = sweep_spec({**RATE, "model.activation": ["gelu", "swiglu"]}, warmup=2)

    def draw(folder, anew, seeded=spec):
        folder.mkdir()
        found, study = [], studies.Study(folder, seeded, ["d"])
        for _ in range(4):
            if anew:
                study.close()
                study = studies.Study(folder, seeded, ["d"])
            number = study.begin()
            found.append(study.settings(number))
            study.complete(number, [(1, found[-1]["optim.learning_rate"])], "c")
        study.close()
        return found

    once = draw(tmp_path / "once", False)
    assert once == draw(tmp_path / "anew", True)
    other = spec.model_copy(update={"sweep": spec.sweep.model_copy(update={"seed": 5})})
    assert all(a != b for a, b in zip(draw(tmp_path / "other", False, other), once, strict=True))


def test_importance_of_what_matters_and_of_a_single_value(tmp_path):
    """Of three fields the objective is a function of the first; the last has one value."""
    ranges = {**RATE, "model.dropout": {"low": 0.0, "high": 0.5}, "run.batch": [8]}
    study = studies.Study(tmp_path, sweep_spec(ranges, sampler="random"), ["d"])
    assert study.importance() == {}
    for _ in range(12):
        number = study.begin()
        rate = study.settings(number)["optim.learning_rate"]
        study.complete(number, [(1, abs(math.log(rate / 3e-3)))], "c")
    shares = study.importance()
    study.close()
    assert shares["run.batch"] == 0 and sum(shares.values()) == pytest.approx(1)
    assert shares["optim.learning_rate"] > 3 * shares["model.dropout"]
