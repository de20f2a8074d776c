"""Graphs that a runner gets wrong without an error are refused; all of ours are not."""

import apache_beam as beam
import pytest
from apache_beam.coders import VarIntCoder
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec
from apache_beam.transforms.window import FixedWindows
from pipeline_graphs import JOBS, graph_of

from corpusforge.errors import UsageError
from corpusforge.pipelines import graph_check
from corpusforge.pipelines.engine import Engine, run


class Last(beam.DoFn):
    """Yields in finish_bundle: Dask's runner loses it."""

    def process(self, value):
        self.value = value
        return ()

    def finish_bundle(self):
        yield self.value


STATE = beam.DoFn.StateParam(ReadModifyWriteStateSpec("count", VarIntCoder()))


class Counter(beam.DoFn):
    """Keeps state: Dask's runner fails."""

    def process(self, value, state=STATE):
        state.write((state.read() or 0) + 1)
        yield value


def two_leaves(values):
    for name in ("one", "two"):
        _ = values | name >> beam.Map(str)


def tagged(values):
    """Dask gives all of them to the main output, asked for or not."""
    _ = values | "tagged" >> beam.Map(str).with_outputs("odd", main="even")


WRONG = {  # what Dask's runner gets wrong -> what the message says
    "two leaves": (two_leaves, "'two' is a second leaf beside 'one'"),
    "tags": (tagged, "'tagged/.* has tagged outputs"),
    "partition": (
        lambda values: values | "parts" >> beam.Partition(lambda value, count: value % count, 2),
        "'parts/.* has tagged outputs",
    ),
    "finish_bundle": (
        lambda values: values | "last" >> beam.ParDo(Last()),
        "'last' has a finish_bundle",
    ),
    "batches": (
        lambda values: values | "batches" >> beam.BatchElements(),
        "'batches/.* has a finish_bundle",
    ),
    "windows": (
        lambda values: values | "windows" >> beam.WindowInto(FixedWindows(1)),
        "'windows' has windows",
    ),
    "state": (
        lambda values: values | beam.Map(lambda v: (v, v)) | "state" >> beam.ParDo(Counter()),
        "'state' keeps state",
    ),
}


@pytest.mark.parametrize("shape", WRONG)
def test_shapes_that_a_runner_gets_wrong_are_refused(shape):
    """One line that names the transform."""
    build, message = WRONG[shape]
    pipeline = beam.Pipeline(runner="FnApiRunner")
    build(pipeline | beam.Create([1, 2, 3]))
    with pytest.raises(UsageError, match=message) as caught:
        graph_check.check(pipeline)
    assert "\n" not in str(caught.value)


def test_a_shuffle_and_a_flatten_pass():
    """They are right everywhere (engines tests run them)."""
    pipeline = beam.Pipeline(runner="FnApiRunner")
    parts = [pipeline | f"make {n}" >> beam.Create([(n, n)]) for n in range(2)]
    _ = parts | beam.Flatten() | beam.GroupByKey() | beam.Reshuffle() | beam.Map(str)
    graph_check.check(pipeline)


@pytest.mark.parametrize("job", JOBS)
def test_the_graphs_of_all_stages_pass(job):
    """A graph comes out of an engine only after the check."""
    assert graph_of(job).components.transforms


def test_an_engine_refuses_a_graph_before_it_runs(tmp_path):
    """Nothing of a wrong graph is done."""

    def touch(number):
        (tmp_path / str(number)).touch()

    run(Engine(), 0, lambda pipeline: pipeline | beam.Create([1]) | beam.Map(touch), list)
    with pytest.raises(UsageError, match="second leaf"):
        run(Engine(), 0, lambda p: two_leaves(p | beam.Create([2]) | beam.Map(touch)), list)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
