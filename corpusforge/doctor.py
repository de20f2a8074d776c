"""Doctor: what this machine and installation can do, and whether the kernels compile."""

from __future__ import annotations

import os
import shutil
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from corpusforge import manifest
from corpusforge import spec as specs
from corpusforge.run import check_workers
from corpusforge.stages import warm

EXTRAS = {  # a module of each, and what is missing without it
    "train": "torch",
    "report": "vl_convert",
    "extractors": "trafilatura",
    "spacy": "spacy",
    "gcp": "gcsfs",
    "s3": "s3fs",
    "dask": "dask",
}
ENGINES = {"direct": "apache_beam", "DaskRunner": "dask", "DataflowRunner": "google.cloud.dataflow"}


def examine(folder: str = ".") -> dict[str, Any]:
    """Compile the kernels, and say what is here: versions, cores, bytes free, extras, engines."""
    start = time.monotonic()
    warm.clean(specs.CleanSpec())
    warm.tokens(specs.TokenizeSpec())
    return {
        "versions": manifest.versions(),
        "seconds": time.monotonic() - start,
        "cores": check_workers(None),
        "memory_free": memory_free(),
        "disk_free": shutil.disk_usage(folder).free,
        "extras": {name: _installed(module) for name, module in EXTRAS.items()},
        "engines": {name: _installed(module) for name, module in ENGINES.items()},
    }


def memory_free() -> int | None:
    """Bytes of memory that a program can still take; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    except (ValueError, OSError):
        return None


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a parent of it is not there
        return False


def describe(found: dict[str, Any]) -> str:
    """Return what ``examine`` found as text."""
    memory = found["memory_free"]
    lines = [f"{name} {version}" for name, version in found["versions"].items()]
    lines += [
        f"cores {found['cores']}",
        f"memory free {memory / 1e9:.1f} GB" if memory else "memory free: not known",
        f"disk free {found['disk_free'] / 1e9:.1f} GB",
        *(
            f"extra {name}: installed"
            if there
            else f"extra {name}: not installed; pip install 'corpusforge[{name}]'"
            for name, there in found["extras"].items()
        ),
        f"runners {', '.join(name for name, there in found['engines'].items() if there)}",
        f"kernels compiled in {found['seconds']:.1f} s",
    ]
    return "\n".join(lines)
