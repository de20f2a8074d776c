"""What a Dataflow job needs, asked for before anything is read or started."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence

from corpusforge.errors import ExtraMissing, RunError, UsageError

RUNNER = "DataflowRunner"
NEEDED = {
    "project": "the Google Cloud project",
    "region": "e.g. europe-west1",
    "temp_location": "e.g. gs://bucket/temp",
}
# One thread a process: a unit in work takes the memory that the plan says, times the cores.
DEFAULTS = {"number_of_worker_harness_threads": "1"}


def check(options: Mapping[str, str], output: str, inputs: Sequence[str]) -> None:
    """Raise for a missing package, option or credential, and for paths workers cannot see."""
    if importlib.util.find_spec("apitools") is None:
        raise ExtraMissing("apache-beam[gcp]", "gcp")
    if missing := [name for name in NEEDED if not options.get(name)]:
        raise UsageError(
            f"--runner {RUNNER} without {', '.join(missing)}",
            remedy=f"--beam {missing[0]}=..., {NEEDED[missing[0]]}",
        )
    for path in (output, *inputs):
        if "://" not in path or path.startswith("file:"):
            raise UsageError(
                "workers in the cloud cannot see a local path",
                file=path,
                expected="gs://bucket/...",
                remedy="copy the inputs there, and name an output there by -o",
            )
    credentials()


def credentials() -> None:
    """Raise RunError where Google's library finds no credentials."""
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    try:
        google.auth.default()
    except GoogleAuthError:
        raise RunError(
            "no Google Cloud credentials",
            remedy="run: gcloud auth application-default login, or set "
            "GOOGLE_APPLICATION_CREDENTIALS to a key file",
        ) from None
