"""What all commands share: options, the answer, and failures as one line with an exit code."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import click

from corpusforge.errors import ForgeError, UsageError

INTERRUPTED = 130


class Forge(click.Group):
    """A group whose every failure is one line on stderr and an exit code."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command and exit with its code."""
        kwargs["standalone_mode"] = False
        try:
            code = super().main(*args, **kwargs)
        except ForgeError as error:
            click.echo(f"forge: {error}", err=True)
            sys.exit(error.exit_code)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            sys.exit(2)
        except click.ClickException as error:
            name = getattr(getattr(error, "ctx", None), "command_path", "forge")
            message = " ".join(error.format_message().split())
            click.echo(f"{name}: {message} See {name} --help", err=True)
            sys.exit(2)
        except (click.Abort, KeyboardInterrupt):
            click.echo("forge: interrupted; run the same command again to go on", err=True)
            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            sys.exit(0)
        except OSError as error:  # pyarrow's errors for damaged files are OSErrors and ValueErrors
            reason = error.strerror or " ".join(str(error).split())
            where = f"{error.filename}: " if error.filename else ""
            click.echo(f"forge: {where}{reason}; forge verify RUN checks a run folder", err=True)
            sys.exit(3)
        except Exception as error:
            if os.environ.get("FORGE_DEBUG"):
                raise
            text = " ".join(str(error).split())
            click.echo(
                f"forge: internal error: {type(error).__name__}: {text}; please report it; "
                "FORGE_DEBUG=1 shows where it happened",
                err=True,
            )
            sys.exit(1)
        sys.exit(code if isinstance(code, int) else 0)


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that every command has, each as a parameter of its own."""

    @click.option("--spec", "spec_file", metavar="FILE", help="A TOML file or a shipped spec name.")
    @click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one spec key."
    )
    @click.option("--workers", type=int, metavar="N", help="Worker processes; default: one a core.")
    @click.option("--json", "as_json", is_flag=True, help="The last line is JSON.")
    @click.option("--quiet", is_flag=True, help="No progress.")
    @functools.wraps(command)
    def wrapper(**values: Any) -> Any:
        return command(**values)

    return wrapper


def refuse(command: str, given: dict[str, Any]) -> None:
    """Refuse settings given to a command that has none, instead of ignoring them."""
    for flag, name in (("--spec", "spec_file"), ("--set", "overrides")):
        if given.get(name):
            raise UsageError(f"forge {command} has no settings", expected=f"no {flag}")


def runner_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of commands that run through Beam."""

    @click.option("--runner", default="direct", show_default=True, help="direct, or a Beam runner.")
    @click.option(
        "--beam", multiple=True, metavar="KEY=VALUE", help="An option for the Beam runner."
    )
    @click.option("--fresh", is_flag=True, help="Start the output folder anew.")
    @click.option("--part", metavar="I/N", help="Do the share I (from 0) of N processes.")
    @click.option("--finish", is_flag=True, help="Close the run when all parts are done.")
    @functools.wraps(command)
    def wrapper(**values: Any) -> Any:
        from corpusforge.parts import Stopped

        if values["part"] or values["finish"]:
            _refuse_engine("--part" if values["part"] else "--finish", values)
        try:
            return command(**values)
        except Stopped as stop:
            answer(values["as_json"], {"part": values["part"], "stopped": str(stop)}, str(stop))

    return wrapper


def _refuse_engine(flag: str, given: dict[str, Any]) -> None:
    for other in ("beam", "workers"):
        if given[other]:
            raise UsageError(
                f"{flag} with --{other}", remedy="a part is one process; give more parts"
            )
    if given["runner"] != "direct":
        raise UsageError(f"{flag} with --runner", remedy="a part needs none")


def answer(as_json: bool, values: dict[str, Any], text: str) -> None:
    """Print the result: its text, or one line of JSON."""
    click.echo(json.dumps(values, ensure_ascii=False) if as_json else text)
