"""What a Dataflow job needs, asked for before anything is read or started."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence

from corpusforge.errors import ExtraMissing, RunError, UsageError

RUNNER = "DataflowRunner"
NEEDED = {
    "project": "the Google Cloud project",
    "region": "e.g. europe-west1",
    "temp_location": "e.g. gs://bucket/temp",
}
BUCKET = re.compile(r"gs://[a-z0-9][a-z0-9._-]+[a-z0-9](/|$)")
# One thread a process: a unit in work takes the memory that the plan says, times the cores.
DEFAULTS = ("number_of_worker_harness_threads=1",)


def check(options: Mapping[str, str], output: str, inputs: Sequence[str]) -> None:
    """Raise for a missing option, package or credential, and for paths workers cannot see."""
    if missing := [name for name in NEEDED if not options.get(name)]:
        raise UsageError(
            f"--runner {RUNNER} without {', '.join(missing)}",
            remedy=f"--beam {missing[0]}=..., {NEEDED[missing[0]]}",
        )
    for name in ("temp_location", "staging_location"):
        # Beam asks the network for two minutes for another bucket when a name cannot be one.
        if name in options and not BUCKET.match(options[name]):
            raise UsageError(
                f"--beam {name}={options[name]}",
                expected="gs://BUCKET/FOLDER, BUCKET of 3 or more of a-z 0-9 - _ .",
            )
    for path in (output, *inputs):
        path = re.sub(r"^[^/:=]+=", "", path)  # of label=path
        if "://" not in path or path.startswith("file:"):
            raise UsageError(
                "workers in the cloud cannot see a local path",
                file=path,
                expected="gs://bucket/...",
                remedy="copy the inputs there, and name an output there by -o",
            )
    if not installed("google.cloud.dataflow"):
        raise ExtraMissing("apache-beam[gcp]", "gcp")
    credentials()


def installed(name: str) -> bool:
    """Tell whether a package is there, and what it is in."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # not even the package it would be in
        return False


def credentials() -> None:
    """Raise RunError where Google's library finds no credentials."""
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    try:
        google.auth.default()
    except GoogleAuthError as error:
        raise RunError(
            f"no Google Cloud credentials: {str(error).split('. ')[0]}",
            remedy="run gcloud auth application-default login, or set "
            "GOOGLE_APPLICATION_CREDENTIALS to a key file",
        ) from None
