"""Options of a Beam runner as a user gives them, ``key=value`` or a bare ``key``, as Beam's flags.

Beam itself passes over a key that it does not know, and ends the process for a value that it does
not take; here both are one line, before anything is touched.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from corpusforge.errors import UsageError, nearest

YES, NO = ("", "true"), ("false",)


def split(option: str) -> tuple[str, str]:
    """Return key and value of an option; the value of a bare key is empty."""
    key, _, value = option.lstrip("-").partition("=")
    return key, value


def of_table(table: Mapping[str, Any]) -> list[str]:
    """Return the options of a ``[beam]`` table, whose lists are an option given several times."""
    return [
        f"{key}={value}"
        for key, values in table.items()
        for value in (values if isinstance(values, list) else [values])
    ]


def flags(options: Sequence[str], *, closed: bool) -> list[str]:
    """Return ``options`` as Beam's flags, in order: of one given twice the last counts, or both do.

    A flag without a value, like ``no_use_public_ips``, is bare or ``=true``. With ``closed`` a key
    that Beam does not know is refused; else it is the runner's.
    """
    known = {flag: one for one in _parsers() for flag in one._option_string_actions}
    found = []
    for option in options:
        key, value = split(option)
        flag = f"--{key}"
        if flag not in known:
            if closed or "=" not in option:
                names = {name.removeprefix("--") for name in known}
                raise UsageError(f"--beam {option}", remedy=nearest(key, names)[:200])
            found.append(f"{flag}={value}")
            continue
        bare = known[flag]._option_string_actions[flag].nargs == 0
        if bare and value.lower() in NO:
            continue
        made = flag if bare and value.lower() in YES else f"{flag}={value}"
        try:
            if not bare and "=" not in option:
                raise argparse.ArgumentError(None, "expected key=value")
            known[flag].parse_known_args([made])
        except argparse.ArgumentError as error:
            raise UsageError(f"--beam {option}", expected=_expected(error)) from None
        found.append(made)
    return found


def _expected(error: argparse.ArgumentError) -> str:
    return str(error.message).removeprefix("expected ")


def _parsers() -> Iterator[argparse.ArgumentParser]:
    """Yield a parser for each class of Beam's options."""
    classes = [PipelineOptions]
    for one in classes:
        classes += [more for more in one.__subclasses__() if more not in classes]
        if "_add_argparse_args" in one.__dict__:
            parser = _Parser(allow_abbrev=False, add_help=False, exit_on_error=False)
            one._add_argparse_args(parser)  # type: ignore[arg-type]
            yield parser


class _Parser(argparse.ArgumentParser):
    """As Beam's, for options whose values may come at run time."""

    def add_value_provider_argument(self, *args: str, **keywords: object) -> None:
        """Add it as any other."""
        self.add_argument(*args, **keywords)  # type: ignore[arg-type]
