"""Beam graphs: linear, with one leaf, names and packed blobs only; the engine's options."""

import apache_beam as beam
import pytest

from corpusforge.errors import ForgeError, UsageError, WorkerDied
from corpusforge.pipelines import clean, engine, tokens
from corpusforge.pipelines.engine import Engine
from corpusforge.plan import Piece, Unit
from corpusforge.spec import CleanSpec, TokenizeSpec
from corpusforge.stages.tokens import Texts

PIECE = Piece("/a.jsonl", "a.jsonl", "jsonl", "none", 0, 10, 10)
UNITS = [Unit(f"part-{n:05d}", (PIECE,), "f") for n in range(3)]
TEXTS = [Texts(f"part-{n:05d}", 10, "f", unit=UNITS[n].to_json()) for n in range(3)]
JOBS = {
    "documents": lambda e: clean.documents(e, "r", UNITS, CleanSpec()),
    "exact": lambda e: clean.dedup(e, "r", "exact", ["part-00000"], CleanSpec(), "key", 10),
    "near": lambda e: clean.dedup(e, "r", "near", ["part-00000"], CleanSpec(), "key", 10),
    "settle": lambda e: clean.settle(
        e, "r", [("part-00000", "key", [0, 1], [0, 9])], CleanSpec(), 10
    ),
    "count": lambda e: tokens.count(e, "r", TEXTS, TokenizeSpec(), "key"),
    "encode": lambda e: tokens.encode(e, "r", TEXTS, TokenizeSpec(), "key"),
}


class Built(Exception):
    """Carries a graph out of a job instead of running it."""


class Recorder(Engine):
    """An engine whose pipelines end when they are run."""

    def pipeline(self, mode):
        """Return a pipeline that raises its own graph."""

        class Kept(beam.Pipeline):
            def run(self, *arguments, **keywords):
                raise Built(self.to_runner_api())

        return Kept(runner="FnApiRunner")


def graph_of(job):
    with pytest.raises(ForgeError) as caught:
        JOBS[job](Recorder())
    error = caught.value.__cause__
    assert isinstance(error, Built)
    return error.args[0]


@pytest.mark.parametrize("job", list(JOBS))
def test_graphs_are_linear_with_one_leaf(job):
    """No branch, no tagged output, one leaf: the shape that every runner gets right."""
    graph = graph_of(job)
    primitives = [
        transform
        for transform in graph.components.transforms.values()
        if not transform.subtransforms
        and set(transform.inputs.values()) != set(transform.outputs.values())
    ]
    read: dict[str, int] = {}
    made = []
    for transform in primitives:
        for source in transform.inputs.values():
            read[source] = read.get(source, 0) + 1
        assert len(transform.outputs) <= 1, transform.unique_name
        made += transform.outputs.values()
    assert max(read.values()) == 1
    assert len([collection for collection in made if collection not in read]) == 1


@pytest.mark.parametrize("job", list(JOBS))
def test_graphs_are_small(job):
    """They hold names and settings, never documents."""
    assert len(graph_of(job).SerializeToString()) < 100_000


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
