"""The one way a kernel is compiled: numba, cached on disk, without the interpreter lock.

The cache lies in NUMBA_CACHE_DIR or the user's cache folder, under a digest of all kernel sources:
numba itself looks only at the file of the function it loads, not at those of the kernels that the
function calls, and would run machine code of older sources.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def _cache_folder() -> str:
    sources = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        sources.update(path.read_bytes())
    caches = "Library/Caches" if sys.platform == "darwin" else ".cache"
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / caches)
    given = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(given or home / "corpusforge", sources.hexdigest()[:16])
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # no home to write to
        folder = Path(tempfile.gettempdir(), f"corpusforge-{os.getuid()}", folder.name)
        folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _without_blas() -> None:
    """Load what numba loads at the first call of a kernel, but for scipy, a fifth of a start.

    numba imports scipy.linalg only to learn whether np.cov could be compiled, which no kernel
    needs; code of the user's finds it as before.
    """
    blas = "scipy.linalg.cython_blas"
    if blas in sys.modules:
        return
    sys.modules[blas] = None  # type: ignore[assignment]  # an import of it fails
    try:
        functions = importlib.import_module("numba.np.arraymath")
    finally:
        del sys.modules[blas]
    found = importlib.util.find_spec("scipy") is not None
    functions._HAVE_BLAS = found  # type: ignore[attr-defined]


_without_blas()
numba.config.CACHE_DIR = _cache_folder()  # type: ignore[attr-defined]


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile ``function`` at its first call; the machine code is kept in the user's cache."""
    return cast(Callable[P, R], numba.njit(cache=True, nogil=True)(function))


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Compile ``function`` into the kernels that call it; it makes no arrays.

    A call with arrays passes seven values each, and numba counts their references atomically: in a
    hot loop that costs more than what a small function does.
    """
    flags: dict[str, Any] = {"forceinline": True, "_nrt": False}
    return cast(Callable[P, R], numba.njit(cache=True, nogil=True, **flags)(function))
