"""The request that starts a Dataflow job, made by Beam's own client without a cloud: its size."""

import json
import sys
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipeline_graphs import JOBS, Built

from corpusforge.pipelines import dataflow
from corpusforge.pipelines.engine import Engine

pytestmark = [
    pytest.mark.engines,
    pytest.mark.skipif(
        not dataflow.installed("google.cloud.dataflow"), reason="the extra gcp is not installed"
    ),
]

LIMIT = 20_000_000  # bytes of JSON that Dataflow takes
GIVEN = ("project=p", "region=europe-west1", "temp_location=gs://bucket/temp", "no_auth")


class Requested(Engine):
    """An engine whose pipelines become Dataflow requests, with nothing sent."""

    def pipeline(self, mode):
        """Return a pipeline that raises its request."""
        flags = [*self.flags, "--dry_run=True", "--sdk_location=container"]

        class Kept(beam.Pipeline):
            def run(self, *arguments, **keywords):
                from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner
                from apache_beam.runners.dataflow.internal.apiclient import Environment

                options = PipelineOptions(flags)
                job = DataflowRunner().run_pipeline(self, options).job
                job.proto.environment = Environment(
                    proto_pipeline_staged_url="gs://bucket/temp/pipeline.pb",
                    packages=[],
                    options=options,
                    environment_version="8",
                    proto_pipeline=job.proto_pipeline,
                    pipeline_proto_hash="f" * 64,
                ).proto
                raise Built(job)

        return Kept(runner="FnApiRunner")


def requested(job, count):
    """The request of a job over so many units."""
    with pytest.raises(Built) as caught:
        JOBS[job](Requested(dataflow.RUNNER, options=GIVEN), count)
    return caught.value.graph


@pytest.mark.parametrize("job", JOBS)
def test_requests_have_one_thread_a_process(job):
    """And a process a core; the pipeline beside it is small too."""
    made = requested(job, 3)
    (pool,) = json.loads(made.json())["environment"]["workerPools"]
    assert pool["numThreadsPerWorker"] == 1
    (image,) = pool["sdkHarnessContainerImages"]
    assert image["useSingleCorePerContainer"] is True
    assert len(made.proto_pipeline.SerializeToString()) < 100_000


def test_a_request_for_many_units_is_far_below_the_limit():
    """100,000 units: request and pipeline together."""
    made = requested("documents", 100_000)
    assert len(made.json()) + 2 * len(made.proto_pipeline.SerializeToString()) < LIMIT / 100
