"""The errors a user can meet. Each prints as one line and carries its exit code.

ForgeError
├── UsageError        2  wrong flag or argument
│   └── SpecError     2  a spec key or value that is not allowed
├── ExtraMissing      2  an optional package is not installed
├── InputError        3  an input that cannot be read as a whole
├── RunError          3  a run folder that cannot be used, or a run that could not finish
│   ├── WorkerDied    3  a worker process ended; the units without output are named
│   └── Diverged      3  a training whose loss is no number
└── AccountingError   4  the run ended, but its sum or a checksum is off
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ForgeError(Exception):
    """What went wrong, where, what was expected and what to do, in one line."""

    exit_code = 3

    def __init__(
        self,
        what: str,
        *,
        file: str | None = None,
        record: str | int | None = None,
        expected: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.what, self.file, self.record = what, file, record
        self.expected, self.remedy = expected, remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        where = self.file or ""
        if self.record is not None:
            where += f" record {self.record}" if where else f"record {self.record}"
        line = f"{where}: {self.what}" if where else self.what
        if self.expected:
            line += f"; expected {self.expected}"
        if self.remedy:
            line += f"; {self.remedy}"
        return " ".join(line.split())


class UsageError(ForgeError):
    """A flag or argument that is not allowed."""

    exit_code = 2


class SpecError(UsageError):
    """A spec key or value that is not allowed."""


class ExtraMissing(ForgeError):
    """An optional package that is not installed."""

    exit_code = 2

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed", remedy=f"run: pip install 'corpusforge[{extra}]'"
        )


class InputError(ForgeError):
    """An input that cannot be read as a whole."""


class RunError(ForgeError):
    """A run folder that cannot be used, or a run that could not finish."""


class WorkerDied(RunError):
    """A worker process ended before its units were committed."""


class Diverged(RunError):
    """A training whose loss or gradient is not finite."""


class AccountingError(ForgeError):
    """The sum of the ledger or a checksum is off."""

    exit_code = 4


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` or the list of known names, for an unknown ``name``."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names)}"
