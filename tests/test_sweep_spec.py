"""The spec of a sweep: ranges over fields of the train spec, refused before the start."""

import pytest

from corpusforge import spec as specs
from corpusforge.errors import SpecError
from corpusforge.spec.sweep import keys


def load(text, tmp_path, overrides=()):
    (tmp_path / "sweep.toml").write_text(text, encoding="utf-8")
    return specs.load_sweep(str(tmp_path / "sweep.toml"), overrides)


def test_ranges_are_read_and_become_train_specs(tmp_path):
    """Float with log, int with step, choices; dotted keys and tables alike; the base lies under."""
    spec = load(
        """
        base = "bert-mini"
        train.run.steps = 7
        [ranges]
        "optim.learning_rate" = {low = 1e-4, high = 1e-2, log = true}
        run.batch = {low = 8, high = 32, step = 8}
        [ranges.model]
        activation = ["gelu", "swiglu"]
        """,
        tmp_path,
    )
    assert list(spec.ranges) == ["model.activation", "optim.learning_rate", "run.batch"]
    assert spec.ranges["run.batch"].values() == [8, 16, 24, 32]
    settings = {"optim.learning_rate": 2e-3, "run.batch": 24, "model.activation": "swiglu"}
    trial = spec.trial(settings)
    base = specs.load(specs.TrainSpec, file="bert-mini")
    assert (trial.optim.learning_rate, trial.run.batch, trial.run.steps) == (2e-3, 24, 7)
    assert (trial.model.activation, trial.objective) == ("swiglu", "masked")
    assert trial.model.layers == base.model.layers
    again = specs.parse(specs.SweepSpec, spec.model_dump(mode="json"))
    assert again == spec


def test_every_field_of_the_train_spec_may_have_a_range():
    """Its own default, given as a list of one value, is taken."""
    flat = {}

    def leaves(table, prefix=""):
        for key, value in table.items():
            if isinstance(value, dict) and value:
                leaves(value, f"{prefix}{key}.")
            else:
                flat[prefix + key] = value

    leaves(specs.TrainSpec().model_dump(mode="json"))
    del flat["inputs"]
    assert set(flat) == set(keys())
    for key, value in flat.items():
        spec = specs.parse(specs.SweepSpec, {"ranges": {key: [value]}})
        assert spec.trial({key: spec.ranges[key][0]}) == spec.train


REFUSED = {
    "unknown field": ('"optim.learning_rat" = [1]', "did you mean 'optim.learning_rate'?"),
    "field of another table": ('"model.batch" = [1]', "did you mean 'run.batch'?"),
    "unknown word": ('"run.batch" = {low=1, high=2, stp=1}', "did you mean 'step'?"),
    "a table": ('"optim" = [1]', "'ranges.optim' is a table"),
    "processes": ('"parallel.data" = [1, 2]', "unknown key 'ranges.parallel.data'"),
    "refused value": ('"optim.learning_rate" = [1e-3, -1.0]', "ranges.optim.learning_rate' has -1"),
    "refused end": ('"model.dropout" = {low=0.0, high=2.0}', "'ranges.model.dropout' has 2.0"),
    "refused choice": ('"model.activation" = ["gelu", "tanhh"]', "'ranges.model.activation' has"),
    "no number": ('"model.activation" = {low=0, high=1}', "'ranges.model.activation' has 0"),
    "bool": ('"run.compile" = {low=0, high=1}', "'run.compile' is no number"),
    "one end": ('"run.batch" = {low=1}', "'ranges.run.batch' has no 'high'"),
    "ends turned": ('"run.batch" = {low=8, high=4}', "low below high"),
    "equal ends": ('"run.batch" = {low=8, high=8}', "low below high"),
    "fractions of a whole": ('"run.batch" = {low=1, high=9, step=0.5}', "a whole number"),
    "log of zero": ('"model.dropout" = {low=0.0, high=0.5, log=true}', "low above 0"),
    "log with step": ('"run.batch" = {low=1, high=9, log=true, step=2}', "and no step"),
    "step too wide": ('"run.batch" = {low=1, high=9, step=20}', "at most high - low"),
    "infinite": ('"optim.learning_rate" = {low=1e-4, high=inf}', "a finite number"),
    "empty list": ('"run.batch" = []', "one value or more"),
    "twice": ('"run.batch" = [8, 8]', "each value once"),
    "a value": ('"run.batch" = 8', "a list of values"),
    "nothing": ("", "[ranges] is empty"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=list(REFUSED))
def test_what_is_refused(tmp_path, text, message):
    with pytest.raises(SpecError) as caught:
        load(f"[ranges]\n{text}\n", tmp_path)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "sweep.toml"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sweep.trials=0", "sweep.trials"),
        ("sweep.trails=3", "did you mean 'trials'?"),
        ("sweep.objective=loss", "sweep.objective"),
        ("sweep.objective=span_accuracy", "no figure of objective = 'causal'"),
        ("base=gpt-min", "did you mean 'gpt-mini'?"),
        ("train.optim.lr=1", "optim"),
        ("train.parallel.data=2", "each trial is one process"),
        ("train.data.heldout=0", "data.heldout = 0"),
        ("sweep.sampler=grid", "has no step"),
    ],
)
def test_what_is_refused_beside_the_ranges(tmp_path, override, message):
    text = '[ranges]\n"optim.learning_rate" = {low=1e-4, high=1e-2, log=true}\n'
    with pytest.raises(SpecError) as caught:
        load(text, tmp_path, [override])
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_range_is_overridden_whole_or_in_part(tmp_path):
    text = '[ranges]\n"optim.learning_rate" = {low=1e-4, high=1e-2, log=true}\n'
    part = load(text, tmp_path, ["ranges.optim.learning_rate.high=0.1"])
    assert part.ranges["optim.learning_rate"] == specs.Range(low=1e-4, high=0.1, log=True)
    whole = load(text, tmp_path, ["ranges.optim.learning_rate=[1.0, 2.0]", "ranges.run.batch=[4]"])
    assert whole.ranges == {"optim.learning_rate": [1.0, 2.0], "run.batch": [4]}


def test_the_shipped_sweep_is_whole():
    spec = specs.load_sweep("sweep-mini")
    assert len(spec.ranges) == 4 and spec.train.model.width == 64
