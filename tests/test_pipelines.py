"""The engine's options, and what its failures mean."""

import pytest

from corpusforge.errors import UsageError, WorkerDied
from corpusforge.pipelines import engine
from corpusforge.pipelines.engine import Engine


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"runner": "DataflowRuner"}, "did you mean 'DataflowRunner'?"),
        ({"options": ("direct_running_mode=threads",)}, "known: in_memory, multi_processing"),
        ({"options": ("nonsense",)}, "expected key=value"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_touched(values, message):
    """When the engine is made, not when it runs."""
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        Engine(**values)


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
