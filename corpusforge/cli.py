"""The command line: every command declared here, each a call of api.py.

stdout is the result, stderr is progress and messages. Exit 0 done; 2 wrong usage or spec; 3 input
or run folder unusable; 4 accounting or a checksum off; 130 interrupted, state kept.
"""

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
    """Add the options that every command has; they come as one ``Common`` dictionary."""

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
    @functools.wraps(command)
    def wrapper(**values: Any) -> Any:
        return command(**values)

    return wrapper


def answer(as_json: bool, values: dict[str, Any], text: str) -> None:
    """Print the result: its text, or one line of JSON."""
    click.echo(json.dumps(values, ensure_ascii=False) if as_json else text)


@click.group(cls=Forge, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="corpusforge", prog_name="forge")
def main() -> None:
    """Raw web pages to a trained tokenizer and language model, every document accounted for.

    \b
    forge clean pages.warc.gz          pages -> judged, deduplicated corpus, ledger
    forge tokenize --algo bpe          corpus -> tokenizer and token shards
    forge train                        tokens -> model
    forge explain run/clean URL        why is this page (not) in my corpus
    """


@main.command()
@click.argument("inputs", nargs=-1)
@click.option("-o", "--output", default="run/clean", show_default=True, help="Run folder.")
@click.option(
    "--max-failed-share", type=click.FloatRange(0, 1), metavar="X", help="Exit 4 above this share."
)
@runner_options
@common
def clean(
    inputs: tuple[str, ...],
    output: str,
    max_failed_share: float | None,
    runner: str,
    beam: tuple[str, ...],
    fresh: bool,
    spec_file: str | None,
    overrides: tuple[str, ...],
    workers: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Turn WARC and JSONL files, folders or globs into a corpus with its ledger.

    Example: forge clean pages.warc.gz more.jsonl.zst -o run/clean
    """
    from corpusforge import api
    from corpusforge import spec as specs

    spec = api.load_spec(specs.CleanSpec, spec_file, overrides)
    done = api.clean(
        inputs,
        output,
        spec,
        workers=workers,
        runner=runner,
        beam=beam,
        fresh=fresh,
        quiet=quiet,
        max_failed_share=max_failed_share,
    )
    n = done.counts
    answer(
        as_json,
        {"output": output, "content": done.content, "counts": n},
        f"in {n['in']} = kept {n['kept']} + dropped {n['dropped']} + failed {n['failed']}"
        f" · content {done.content}",
    )


@main.command()
@click.argument("inputs", nargs=-1)
@click.option("-o", "--output", default="run/tok", show_default=True, help="Run folder.")
@click.option("--algo", type=click.Choice(["bpe", "wordpiece", "unigram"]), help="Algorithm.")
@click.option("--vocab-size", type=int, metavar="N", help="Tokens in the vocabulary.")
@click.option("--tokenizer", metavar="PATH", help="Encode with this tokenizer instead of training.")
@runner_options
@common
def tokenize(
    inputs: tuple[str, ...],
    output: str,
    algo: str | None,
    vocab_size: int | None,
    tokenizer: str | None,
    runner: str,
    beam: tuple[str, ...],
    fresh: bool,
    spec_file: str | None,
    overrides: tuple[str, ...],
    workers: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train a tokenizer on a clean run (or plain corpus files) and encode it into token shards.

    Example: forge tokenize run/clean -o run/tok --algo bpe --vocab-size 32000
    """
    from corpusforge import api
    from corpusforge import spec as specs

    flags = [f'algo="{algo}"'] if algo else []
    flags += [f"vocab_size={vocab_size}"] if vocab_size is not None else []
    spec = api.load_spec(specs.TokenizeSpec, spec_file, (*flags, *overrides))
    done = api.tokenize(
        inputs,
        output,
        spec,
        tokenizer=tokenizer,
        workers=workers,
        runner=runner,
        beam=beam,
        fresh=fresh,
        quiet=quiet,
    )
    facts = done.facts
    ratio = facts["bytes"] / max(facts["tokens"], 1)
    answer(
        as_json,
        {
            "output": output,
            "content": done.content,
            "documents": done.counts["kept"],
            "counts": done.counts,
            "tokens": facts["tokens"],
            "bytes": facts["bytes"],
            "bytes_per_token": ratio,
            "vocab_size": facts["tokenizer"]["vocab_size"],
        },
        f"documents {done.counts['kept']}"
        + "".join(f" · {k} {done.counts[k]}" for k in ("dropped", "failed") if done.counts[k])
        + f" · vocabulary {facts['tokenizer']['vocab_size']} · "
        f"tokens {facts['tokens']} · {ratio:.2f} bytes/token · content {done.content}",
    )


@main.command()
@click.argument("inputs", nargs=-1)
@click.option("-o", "--output", default="run/model", show_default=True, help="Run folder.")
@click.option("--steps", type=int, metavar="N", help="Optimizer steps.")
@click.option("--fresh", is_flag=True, help="Start the output folder anew.")
@common
def train(
    inputs: tuple[str, ...],
    output: str,
    steps: int | None,
    fresh: bool,
    spec_file: str | None,
    overrides: tuple[str, ...],
    workers: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train a language model on one or several token folders; resumes where it was stopped.

    Example: forge train run/tok -o run/model --spec gpt-mini --steps 300
    """
    from corpusforge import api
    from corpusforge import spec as specs

    flags = [f"run.steps={steps}"] if steps is not None else []
    spec = api.load_spec(specs.TrainSpec, spec_file, (*flags, *overrides))
    done = api.train(inputs, output, spec, workers=workers, fresh=fresh, quiet=quiet)
    facts = done.facts
    answer(
        as_json,
        {"output": output, "content": done.content, **facts},
        f"steps {facts['steps']} · loss {facts['first_loss']:.3f} -> {facts['last_loss']:.3f}"
        + (f" · held-out perplexity {facts['perplexity']:.2f}" if facts["perplexity"] else "")
        + f" · content {done.content}",
    )


@main.command()
@click.argument("run")
@click.argument("document", required=False)
@click.option("--step", type=int, metavar="N", help="The documents that training step N read.")
@common
def explain(run: str, document: str | None, step: int | None, as_json: bool, **given: Any) -> None:
    """Say why a document (URL, id or source id) is kept, dropped or failed, or what a step read.

    Example: forge explain run/clean https://a.b/c
    """
    refuse("explain", given)
    from corpusforge import api

    values, text = api.explain(run, document, step=step)
    answer(as_json, values, text)


@main.command()
@click.argument("run")
@common
def verify(run: str, as_json: bool, **given: Any) -> None:
    """Check every checksum, the accounting identity and the content digest of a run.

    Example: forge verify run/clean
    """
    refuse("verify", given)
    from corpusforge import api

    values = api.verify(run)
    answer(
        as_json, values, f"{run}: {values['shards']} files verified · content {values['content']}"
    )


@main.command()
@click.argument("run")
@click.option(
    "-o", "--output", metavar="FILE|DIR", help="FILE.jsonl[.gz], FILE.parquet or a folder."
)
@click.option("--to", metavar="FORMAT DIR", nargs=2, help="hf DIR: a Hugging Face folder.")
@common
def export(
    run: str, output: str | None, to: tuple[str, str] | None, as_json: bool, **given: Any
) -> None:
    """Write a corpus as JSONL or Parquet, or a tokenizer as a Hugging Face folder.

    Example: forge export run/clean -o corpus.jsonl.gz
    """
    refuse("export", given)
    from corpusforge import api

    values = api.export(run, output, to=to)
    answer(as_json, values, f"wrote {values['rows']} rows to {values['output']}")


@main.command()
@click.argument("runs", nargs=-1, required=True)
@common
def report(runs: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Write report.html of one or several runs: funnel, drops by rule, histograms, loss.

    Example: forge report run/clean
    """
    refuse("report", given)
    from corpusforge import api

    written = [api.report(run) for run in runs]
    answer(as_json, {"reports": written}, "\n".join(written))


@main.command()
@click.argument("model")
@click.option("--prompt", required=True, help="Text to go on from.")
@click.option("--tokens", default=64, show_default=True, help="Tokens to sample.")
@click.option("--temperature", default=0.8, show_default=True, help="0 takes the likeliest.")
@click.option("--seed", default=0, show_default=True, help="Seed of the sampling.")
@common
def generate(
    model: str, prompt: str, tokens: int, temperature: float, seed: int, as_json: bool, **given: Any
) -> None:
    """Sample a continuation from a trained model.

    Example: forge generate run/model --prompt "The package"
    """
    refuse("generate", given)
    from corpusforge import api

    text = api.generate(model, prompt, tokens=tokens, temperature=temperature, seed=seed)
    answer(as_json, {"prompt": prompt, "text": text}, text)


@main.command()
@common
def doctor(as_json: bool, **given: Any) -> None:
    """Compile the kernels ahead and report versions.

    Example: forge doctor
    """
    refuse("doctor", given)
    from corpusforge import api

    values = api.doctor()
    lines = [f"{name} {version}" for name, version in values["versions"].items()]
    answer(as_json, values, "\n".join([*lines, f"kernels compiled in {values['seconds']:.1f} s"]))


@main.command()
@click.option("-o", "--output", default="run", show_default=True, help="Folder for the three runs.")
@common
def demo(output: str, workers: int | None, as_json: bool, quiet: bool, **given: Any) -> None:
    """Run clean, tokenize, train, explain and report on the packaged sample.

    Example: forge demo
    """
    refuse("demo", given)
    from corpusforge import api

    values, table = api.demo(output, workers=workers, quiet=quiet)
    answer(as_json, values, table)
