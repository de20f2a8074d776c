"""Extra: columns that a user's own function adds to every batch, checked on every batch.

    def links(batch):                       # a pyarrow.RecordBatch of "id" and what it reads
        counts = pc.count_substring(batch.column("text"), "http")
        return batch.append_column("links", counts.cast(pa.int64()))

    links.reads = ("text",)
    links.adds = {"links": pa.int64()}

It is named ``module:links`` or ``path/to/file.py:links``. The function sees the batch after the
signals are measured and before the rules judge, decided documents too: their text may be null.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

from corpusforge.errors import SpecError, nearest
from corpusforge.transform import put

PROBE = 8  # rows of each batch that are done again in two parts, to see that rows stand alone
EXAMPLE = "e.g. links.reads = ('text',) and links.adds = {'links': pa.int64()}"


@dataclass(frozen=True)
class Extra:
    """Append the columns of ``function``. Raises SpecError where it breaks what it declared."""

    name: str
    function: Callable[[pa.RecordBatch], pa.RecordBatch]
    reads: tuple[str, ...]
    fields: tuple[pa.Field, ...]
    source: str  # sha256 of the file that holds the function

    @property
    def adds(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(field.name for field in self.fields)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the same rows with the columns appended."""
        missing = [name for name in self.reads if name not in batch.schema.names]
        if missing:
            raise self._error(
                f"reads '{missing[0]}', which is no column", nearest(missing[0], batch.schema.names)
            )
        seen = batch.select(list(dict.fromkeys(("id", *self.reads))))
        made = self._run(seen)
        probe = seen.slice(0, PROBE)
        cut = probe.num_rows // 2
        if cut:
            parts = [self._run(probe.slice(0, cut)), self._run(probe.slice(cut))]
            for column in self.adds:
                joined = pa.concat_arrays([part.column(column) for part in parts])
                if not joined.equals(made.column(column).slice(0, PROBE)):
                    raise self._error(
                        f"gives other values of '{column}' when a batch is cut in two",
                        "let a row depend on that row alone",
                    )
        for column in self.adds:
            batch = put(batch, column, made.column(column))
        return batch

    def _run(self, seen: pa.RecordBatch) -> pa.RecordBatch:
        try:
            made = self.function(seen)
        except Exception as error:
            raise self._error(f"raised {type(error).__name__}: {error}", "mend it") from error
        if not isinstance(made, pa.RecordBatch):
            raise self._error(f"returned {type(made).__name__}", "return a pyarrow.RecordBatch")
        if made.num_rows != seen.num_rows:
            raise self._error(
                f"returned {made.num_rows} rows for {seen.num_rows}", "keep every row, in order"
            )
        if "id" not in made.schema.names or not made.column("id").equals(seen.column("id")):
            raise self._error("changed the ids or their order", "keep 'id' as it came")
        for field in self.fields:
            if field.name not in made.schema.names:
                raise self._error(
                    f"adds no column '{field.name}'", f"it returned {made.schema.names}"
                )
            given = made.schema.field(field.name).type
            if given != field.type:
                raise self._error(
                    f"adds '{field.name}' as {given}", f"cast it to {field.type}, as declared"
                )
        return made

    def _error(self, what: str, remedy: str) -> SpecError:
        return SpecError(f"transforms.extra '{self.name}' {what}", remedy=remedy)


def load(names: Collection[str], taken: Collection[str]) -> tuple[Extra, ...]:
    """Import the functions ``names``; ``taken`` are columns that they may not add.

    Raises SpecError, one line, for what is not found or declares nothing usable.
    """
    loaded: list[Extra] = []
    for name in names:
        one = _load(name)
        for column in one.adds:
            if column in {*taken, *(other for extra in loaded for other in extra.adds)}:
                raise SpecError(
                    f"transforms.extra '{name}' adds '{column}', which is there already",
                    remedy="give the column another name",
                )
        loaded.append(one)
    return tuple(loaded)


def _load(name: str) -> Extra:
    path, _, attribute = name.rpartition(":")
    if not path or not attribute:
        raise SpecError(
            f"transforms.extra '{name}' is no function",
            expected="module:function or path/to/file.py:function",
        )
    module, file = _module(name, path)
    function = getattr(module, attribute, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value)]
        raise SpecError(
            f"transforms.extra '{name}': '{path}' has no function '{attribute}'",
            remedy=nearest(attribute, known),
        )
    reads, adds = getattr(function, "reads", None), getattr(function, "adds", None)
    if not isinstance(reads, tuple | list) or not all(isinstance(one, str) for one in reads):
        raise SpecError(
            f"transforms.extra '{name}' does not say what it reads", remedy=f"give it, {EXAMPLE}"
        )
    return Extra(name, function, tuple(reads), _fields(name, adds), _sha256(file))


def _fields(name: str, adds: Any) -> tuple[pa.Field, ...]:
    if not isinstance(adds, Mapping) or not adds:
        raise SpecError(
            f"transforms.extra '{name}' does not say what it adds", remedy=f"give it, {EXAMPLE}"
        )
    for column, kind in adds.items():
        plain = isinstance(kind, pa.DataType) and (
            (pa.types.is_integer(kind) and kind != pa.uint64())
            or kind in (pa.float32(), pa.float64(), pa.bool_(), pa.string())
        )
        if not isinstance(column, str) or not plain:
            raise SpecError(
                f"transforms.extra '{name}' adds '{column}' of the type {kind!r}",
                expected="a pyarrow integer up to int64, float32, float64, bool_ or string",
            )
    return tuple(pa.field(column, kind) for column, kind in adds.items())


def _module(name: str, path: str) -> tuple[ModuleType, Path]:
    """Import ``path``, a module of the environment or a file; returns it and its source."""
    try:
        if path.endswith(".py"):
            return _from_file(name, Path(path)), Path(path)
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        missing = error.name or path
        own = path == missing or path.startswith(missing + ".")
        raise SpecError(
            f"transforms.extra '{name}': no module '{missing}'"
            + ("" if own else f", which '{path}' imports"),
            remedy=f"install it, or name its file: {path}.py:..." if own else "install it",
        ) from None
    except SpecError:
        raise
    except Exception as error:
        raise SpecError(
            f"transforms.extra '{name}' cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not module.__file__:
        raise SpecError(f"transforms.extra '{name}': '{path}' is no file of Python source")
    return module, Path(module.__file__)


def _from_file(name: str, file: Path) -> ModuleType:
    if not file.is_file():
        raise SpecError(f"transforms.extra '{name}'", file=str(file), expected="a Python file")
    place = f"{file.resolve()} {_sha256(file)}".encode()  # a changed file is another module
    title = f"corpusforge_extra_{hashlib.sha256(place).hexdigest()[:16]}"
    if title in sys.modules:
        return sys.modules[title]
    found = importlib.util.spec_from_file_location(title, file, loader=_Source(title, str(file)))
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[title] = module
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[title]
        raise
    return module


class _Source(SourceFileLoader):
    """Reads the source each time: a byte-code cache may be of an older text of equal length."""

    def path_stats(self, path: str) -> Any:
        """There is nothing that a cache could be compared with."""
        raise OSError


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
