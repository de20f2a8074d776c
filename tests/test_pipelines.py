"""The engine's options, and what its failures mean."""

import pytest

from corpusforge import api
from corpusforge.errors import UsageError, WorkerDied
from corpusforge.pipelines import engine
from corpusforge.pipelines.engine import Engine


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"runner": "DataflowRuner"}, "did you mean 'DataflowRunner'?"),
        ({"options": ("direct_running_mode=threads",)}, "known: in_memory, multi_processing"),
        ({"options": ("nonsense",)}, "--beam nonsense; "),
        ({"options": ("direct_runing_mode=in_memory",)}, "did you mean 'direct_running_mode'?"),
        ({"runner": "DataflowRunner", "options": ("regoin=x",)}, "did you mean 'region'?"),
        ({"runner": "DataflowRunner", "options": ("region",)}, "--beam region; expected key=value"),
        ({"runner": "DataflowRunner", "options": ("num_workers=x",)}, "invalid int value: 'x'"),
        ({"runner": "DataflowRunner", "options": ("update=x",)}, "--beam update=x; expected"),
        ({"runner": "FlinkRunner", "options": ("num_workers=x",)}, "invalid int value: 'x'"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_touched(values, message):
    """When the engine is made, not when it runs."""
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        Engine(**values)


def test_options_are_beams_flags_in_order():
    """Flags without a value bare or true, those given twice twice, a runner's own as they are."""
    given = ("no_use_public_ips", "update=true", "no_auth=False", "experiments=a", "experiments=b")
    made = Engine("DataflowRunner", options=given)
    expected = ["--no_use_public_ips", "--update", "--experiments=a", "--experiments=b"]
    assert made.flags[1:] == expected
    assert Engine("FlinkRunner", options=("its_own=1",)).flags == ["--its_own=1"]


def test_the_table_of_a_folder_gives_options(tmp_path, monkeypatch):
    """``[beam]`` of forge.toml: values, flags, lists; what is given with the command comes last."""
    monkeypatch.chdir(tmp_path)
    lines = ["[beam]", 'region = "x"', "no_use_public_ips = true", 'experiments = ["a", "b"]']
    (tmp_path / "forge.toml").write_text("\n".join(lines))
    made = api._engine("DataflowRunner", 1, ("region=y",))
    expected = ["--region=x", "--no_use_public_ips", "--experiments=a", "--experiments=b"]
    assert made.flags[1:] == [*expected, "--region=y"]


def test_small_inputs_and_one_worker_stay_in_one_process():
    """Starting workers costs more than a small input."""
    assert Engine(workers=2).mode(engine.SMALL - 1) == "in_memory"
    assert Engine(workers=1).mode(engine.SMALL) == "in_memory"
    assert Engine(workers=2).mode(engine.SMALL) == "multi_processing"
    assert Engine("DirectRunner", workers=2).mode(1) == "in_memory"
    assert Engine("DataflowRunner").mode(1) == ""


def test_a_lost_connection_names_the_units():
    """Beam's words for a died worker become ours."""
    told = engine._explain(RuntimeError("Channel closed prematurely."), ["part-00001"])
    assert isinstance(told, WorkerDied)
    assert "units without output: part-00001" in str(told)
