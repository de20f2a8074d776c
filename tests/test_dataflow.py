"""Dataflow: what is missing is told in one line before anything is read, and nothing hangs."""

import importlib.util
import os
import subprocess
import sys

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.stager import Stager

from corpusforge.errors import UsageError
from corpusforge.pipelines import dataflow
from corpusforge.pipelines.engine import Engine

GIVEN = ("project=p", "region=europe-west1", "temp_location=gs://bucket/temp")
HERE = ("crawl=gs://b/in", "gs://b/year=2025/in")
LIMIT = 100  # seconds, after which a command hangs

needs_google = pytest.mark.skipif(
    importlib.util.find_spec("google.auth") is None, reason="google-auth is not installed"
)


@pytest.mark.parametrize(
    ("options", "output", "inputs", "message"),
    [
        ((), "gs://b/run", HERE, "without project, region, temp_location; --beam project="),
        (GIVEN[:2], "gs://b/run", HERE, "without temp_location; --beam temp_location=..., e.g. gs"),
        ((*GIVEN[:2], "temp_location=gs://b/t"), "gs://b/run", HERE, "expected gs://BUCKET/FOLDER"),
        ((*GIVEN, "staging_location=/tmp"), "gs://b/run", HERE, "staging_location=/tmp; expected"),
        (GIVEN, "run/clean", HERE, "run/clean: workers in the cloud cannot see a local path"),
        (GIVEN, "gs://b/run", ["crawl=in.warc.gz"], "^in.warc.gz: workers in the cloud"),
        (GIVEN, "gs://b/run", ["file:///in.warc.gz"], "file:///in.warc.gz: workers"),
    ],
)
def test_what_is_missing_is_named(options, output, inputs, message):
    """Options, then paths."""
    with pytest.raises(UsageError, match=message):
        Engine(dataflow.RUNNER, options=options).check(output, inputs)


def environment(folder, **more):
    """Ours, with a home that holds no credentials."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GOOGLE_", "CLOUDSDK_"))}
    return {**kept, "HOME": str(folder), "CLOUDSDK_CONFIG": str(folder), **more}


@pytest.mark.parametrize("command", ["clean", "tokenize"])
def test_a_launch_without_packages_or_credentials_ends_in_one_line(command, tmp_path):
    """Exit code, one line, no traceback, nothing made, within LIMIT."""
    options = [part for option in GIVEN for part in ("--beam", option)]
    arguments = [command, "gs://b/in", "-o", "gs://b/run", "--runner", "DataflowRunner", *options]
    done = subprocess.run(
        [sys.executable, "-m", "corpusforge", *arguments],
        cwd=tmp_path,
        env=environment(tmp_path, PYTHONSAFEPATH="1"),
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode in (2, 3) and not done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith(("forge: no Google Cloud credentials", "forge: apache-beam[gcp] is not"))


@needs_google
@pytest.mark.parametrize("key", [{}, {"GOOGLE_APPLICATION_CREDENTIALS": "/no/such/key.json"}])
def test_missing_credentials_are_one_line(key, tmp_path):
    """None at all, and a key file that is not there."""
    code = (
        "from corpusforge.pipelines import dataflow\n"
        "from corpusforge.errors import RunError\n"
        "try: dataflow.credentials()\n"
        "except RunError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path, PYTHONSAFEPATH="1", **key),
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.stdout.startswith("no Google Cloud credentials: ")
    assert "gcloud auth application-default login" in done.stdout
    assert done.stdout.count("\n") == 1


def test_a_process_works_on_one_unit_at_a_time():
    """Beam's default is a dozen threads a process, each with the memory of a unit."""
    given = [f"--{option}" for option in GIVEN]
    threads = "number_of_worker_harness_threads"
    assert Engine(dataflow.RUNNER, options=GIVEN).flags == [f"--{threads}=1", *given]
    more = Engine(dataflow.RUNNER, options=(*GIVEN, f"{threads}=2"))
    assert PipelineOptions(more.flags).get_all_options()[threads] == 2


def test_a_wheel_goes_to_the_workers(tmp_path):
    """``--beam extra_package=WHEEL``: Beam stages it under its own name."""
    wheel = tmp_path / "corpusforge-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    made = Engine(dataflow.RUNNER, options=(*GIVEN, f"extra_package={wheel}"))
    staged = Stager.create_job_resources(PipelineOptions(made.flags), str(tmp_path))
    role = beam_runner_api_pb2.ArtifactStagingToRolePayload
    names = [role.FromString(one.role_payload).staged_name for one in staged]
    assert wheel.name in names
