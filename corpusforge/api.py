"""The commands as Python calls. The one place that loads pipelines and train, by name, when called.

>>> import corpusforge.api as forge
>>> forge.clean(["pages.warc.gz"], "run/clean").counts          # doctest: +SKIP
{'in': 513, 'kept': 301, 'dropped': 199, 'failed': 13}
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from corpusforge import spec as specs
from corpusforge import storage
from corpusforge.adjust import finetune as finetune
from corpusforge.adjust import predict as predict
from corpusforge.adjust import sweep as sweep
from corpusforge.adjust import sweep_spec as sweep_spec
from corpusforge.errors import ExtraMissing, UsageError, nearest
from corpusforge.eval import evaluate as evaluate
from corpusforge.eval import make_choices as make_choices
from corpusforge.parts import Part
from corpusforge.spec.folder import TABLES, tables
from corpusforge.spec.folder import load_spec as load_spec

if TYPE_CHECKING:
    from corpusforge.manifest import Manifest
    from corpusforge.replay import Replay

S = TypeVar("S", bound=specs.Model)


def load_part(name: str, *local: str) -> Any:
    """Import ``corpusforge.NAME`` (pipelines or train), which needs ``local`` paths on a disk."""
    storage.need_local(*local)
    # Idle threads of torch sleep instead of spinning, which costs other processes half a machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        return importlib.import_module(f"corpusforge.{name}")
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package in ("torch", "optuna"):
            raise ExtraMissing(package, "train") from None
        raise


def clean(
    inputs: Sequence[str],
    output: str = "run/clean",
    spec: specs.CleanSpec | None = None,
    *,
    workers: int | None = None,
    runner: str = "direct",
    beam: Sequence[str] = (),
    fresh: bool = False,
    quiet: bool = True,
    max_failed_share: float | None = None,
    against: Sequence[str] = (),
    part: str | None = None,
    finish: bool = False,
) -> Manifest:
    """Turn pages and documents into a judged, deduplicated corpus; returns its Manifest.

    Documents that earlier corpora have too are dropped: ``against`` names clean runs or indexes.
    Of ``part`` ("i/n") only that share is done, then parts.Stopped is raised; ``finish`` closes.
    """
    spec = spec or specs.CleanSpec()
    engine = Part.given(output, part, finish, fresh) or _engine(runner, workers, beam)
    job = load_part("pipelines.clean_run")
    done: Manifest = job.clean(
        list(inputs) or spec.inputs,
        output,
        spec,
        engine,
        fresh=fresh,
        quiet=quiet,
        max_failed_share=max_failed_share,
        against=against,
    )
    return _reported(output, done)


def plan_clean(
    inputs: Sequence[str],
    spec: specs.CleanSpec | None = None,
    *,
    workers: int | None = None,
    against: Sequence[str] = (),
    assume_documents: float | None = None,
) -> tuple[dict[str, Any], str]:
    """Return what a clean run takes, of ``inputs`` or of so many documents like theirs."""
    from corpusforge import scale_plan

    spec, job = spec or specs.CleanSpec(), load_part("pipelines.clean_run")
    known = (chosen := list(inputs) or spec.inputs) or assume_documents is None
    units, earlier = job.prepared(chosen, spec, against) if known else ([], [])
    return scale_plan.plan(units, spec, workers, earlier, assume_documents)


def index(run: str, output: str) -> dict[str, Any]:
    """Write the dedup index of a clean run to ``output``; returns its facts, without the numbers.

    Later runs are compared with it as with the run itself, which may then be deleted.
    """
    from corpusforge import dedup_index

    facts = dedup_index.build(run, output)
    return {name: facts[name] for name in ("documents", "survivors", "parameters", "content")}


def _reported(root: str, done: Manifest) -> Manifest:
    from corpusforge import report as reports

    reports.complete(root, done)
    return done


def _engine(runner: str, workers: int | None, beam: Sequence[str]) -> Any:
    from corpusforge.run import check_workers

    count = check_workers(workers)
    part, table = load_part("pipelines.engine"), tables().get("beam", {})
    return part.Engine(runner, count, (*part.options.of_table(table), *beam))


def tokenize(
    inputs: Sequence[str] = (),
    output: str = "run/tok",
    spec: specs.TokenizeSpec | None = None,
    *,
    tokenizer: str | None = None,
    workers: int | None = None,
    runner: str = "direct",
    beam: Sequence[str] = (),
    fresh: bool = False,
    quiet: bool = True,
    part: str | None = None,
    finish: bool = False,
) -> Manifest:
    """Train a tokenizer on clean runs or plain corpus files and encode them; returns the Manifest.

    With ``tokenizer`` (a folder or tokenizer.json) nothing is trained; parts as of ``clean``.
    """
    spec = spec or specs.TokenizeSpec()
    engine = Part.given(output, part, finish, fresh) or _engine(runner, workers, beam)
    job = load_part("pipelines.tokens_run")
    chosen = list(inputs) or spec.inputs or ["run/clean"]
    done: Manifest = job.tokenize(
        chosen, output, spec, engine, tokenizer=tokenizer, fresh=fresh, quiet=quiet
    )
    return _reported(output, done)


def train(
    inputs: Sequence[str] = (),
    output: str = "run/model",
    spec: specs.TrainSpec | None = None,
    *,
    workers: int | None = None,
    fresh: bool = False,
    quiet: bool = True,
) -> Manifest:
    """Train a language model on token folders; resumes where it was stopped."""
    from corpusforge.run import check_workers

    spec = spec or specs.TrainSpec()
    chosen = list(inputs) or spec.inputs or ["run/tok"]
    job = load_part("train.run_train", *chosen, output)
    done: Manifest = job.run_train(
        chosen, output, spec, workers=check_workers(workers), fresh=fresh, quiet=quiet
    )
    return _reported(output, done)


def plan_train(
    inputs: Sequence[str] = (), spec: specs.TrainSpec | None = None
) -> tuple[dict[str, Any], str]:
    """Return what a process of a train run needs of memory, as values and as text; nothing is run.

    ``spec.parallel`` says how many processes there are.
    """
    spec = spec or specs.TrainSpec()
    chosen = list(inputs) or spec.inputs or ["run/tok"]
    job = load_part("train.memory", *chosen)
    found: dict[str, Any] = job.estimate(chosen, spec)
    return found, str(job.describe(found))


def replay(
    run: str,
    output: str | None = None,
    spec: specs.CleanSpec | None = None,
    *,
    workers: int | None = None,
    fresh: bool = False,
    quiet: bool = True,
) -> tuple[Replay, Manifest | None]:
    """Judge a finished clean run anew by ``spec``, by default its own, from what it stored.

    With ``output``, the run that ``spec`` gives is written there: the same as ``clean`` would; its
    ``difference.html`` sets it beside the old one.
    """
    from corpusforge import manifest
    from corpusforge import replay as replays

    old = manifest.read(run, "clean")
    spec = spec or specs.parse(specs.CleanSpec, old.spec)
    if output is not None:
        replays.check_output(run, old, output)
    found = replays.replay(run, spec)
    if output is None:
        return found, None
    job = load_part("pipelines.clean_run")
    engine = _engine("direct", workers, ())
    done = _reported(output, job.replay(run, output, spec, engine, fresh=fresh, quiet=quiet))
    compare(run, output)
    return found, done


def replay_spec(
    run: str, file: str | None = None, overrides: Iterable[str] = ()
) -> specs.CleanSpec:
    """Return the spec of a clean run with other settings over it."""
    from corpusforge import manifest

    base = manifest.read(run, "clean").spec
    return specs.load(specs.CleanSpec, file=file, overrides=overrides, base=base)


def classify(
    good: str,
    bad: str,
    output: str = "run/quality",
    *,
    keep: float = 0.1,
    workers: int | None = None,
) -> dict[str, Any]:
    """Train a quality model on two piles of text; returns its configuration and report."""
    from corpusforge import classify as classifies
    from corpusforge.run import check_workers

    count = check_workers(workers)
    config: dict[str, Any] = classifies.train(good, bad, output, keep=keep, workers=count)
    return config


def explain(
    run: str,
    document: str | None = None,
    *,
    step: int | None = None,
    spikes: bool = False,
    html: str | None = None,
) -> tuple[dict[str, Any], str]:
    """Say what happened to ``document`` in a clean run, or what training ``step`` read.

    Where token folders and models that were made of the run lie beside it, its token rows and
    training steps are told too. With ``html`` (a file), a page of it is written: every stage, the
    page's blocks that were kept and cut, the text, how it differs from the survivor.

    Of a model, ``document`` gives the steps that read it, and ``spikes`` the steps whose loss or
    gradient norm stands out, with their documents of the highest loss.
    """
    from corpusforge import explain as explains
    from corpusforge import manifest, whereabouts

    if spikes and document is None and step is None:
        manifest.read(run, "train")
        lines = load_part("train.spikes", run).read(run)
        return {"spikes": lines}, explains.describe_spikes(lines)
    if spikes or (document is None) == (step is None):
        raise UsageError(
            "nothing to explain"
            if document is None and step is None
            else "give one of a document, --step and --spikes",
            remedy="forge explain run/clean URL, or forge explain run/model --step 1",
        )
    if step is not None:
        rows = load_part("train.provenance", run).documents_of_step(run, step)
        return {"step": step, "documents": rows}, explains.describe_step(step, rows)
    if manifest.read(run, "clean", "train").kind == "train":
        steps = load_part("train.provenance", run).steps_of_document(run, str(document))
        return steps, explains.describe_steps(steps)
    found = explains.document(run, str(document))
    for row in found:
        whereabouts.add(run, row, _steps_of)
    if html is not None:
        from corpusforge.report import document as pages

        pages.write(html, run, found)
    text = "\n".join(explains.describe(run, row) for row in found)
    return {"records": [explains.plain(row) for row in found]}, text


def _steps_of(model: str, id_: str) -> Any:
    return load_part("train.provenance").steps_of_document(model, id_)["steps"]


def verify(run: str) -> dict[str, Any]:
    """Check every checksum, the accounting identity and the content digest of a run."""
    from corpusforge import verify as verifies

    return verifies.verify(run)


def export(
    run: str, output: str | None = None, *, to: tuple[str, str] | None = None
) -> dict[str, Any]:
    """Write the kept documents of a run to ``output``, or a tokenizer, tokens or model elsewhere.

    ``to`` is a format (hf, megatron, nanogpt, hf-dataset) and a folder.
    """
    from corpusforge import export as exports
    from corpusforge import export_tokens, manifest

    if to is not None:
        kind, folder = to
        if kind in export_tokens.KINDS:
            return export_tokens.export(run, kind, folder)
        if kind != "hf":
            known = ("hf", *export_tokens.KINDS)
            raise UsageError(f"--to {kind}", expected=", ".join(known), remedy=nearest(kind, known))
        if manifest.read(run, "tokenize", "train", "finetune").kind != "tokenize":
            return dict(load_part("train.export.write", run, folder).write(run, folder))
        return exports.tokenizer(run, folder)
    if output is None:
        raise UsageError("no output", remedy=f"e.g. forge export {run} -o corpus.jsonl.gz")
    return exports.corpus(run, output)


def report(run: str, compare: Sequence[str] = ()) -> str:
    """Write ``report.html`` of a run; returns its path.

    ``compare`` names tokenizers that a tokenize run is set beside.
    """
    from corpusforge import report as reports

    return reports.write(run, compare)


def kind(run: str) -> str:
    """Return what a finished run is: clean, tokenize, train, finetune or sweep."""
    from corpusforge import manifest

    return manifest.read(run, *TABLES).kind


def compare(first: str, second: str) -> str:
    """Write ``second/difference.html``, two runs of one kind side by side; returns its path."""
    from corpusforge import report as reports

    return reports.compare(first, second)


def generate(model: str, prompt: str = "", **settings: Any) -> str:
    """Sample a continuation of ``prompt`` from a trained model; settings as of ``stream``."""
    return "".join(stream(model, prompt, **settings))


def stream(model: str, prompt: str = "", **settings: Any) -> Iterator[str]:
    """Yield a continuation as it is sampled: tokens, temperature, top_k, top_p, seed."""
    drawn: Iterator[str] = load_part("train.generate", model).stream(model, prompt, **settings)
    return drawn


def doctor() -> dict[str, Any]:
    """Compile the kernels ahead; returns versions, what is free, extras, runners and seconds."""
    from corpusforge import doctor as doctors

    return doctors.examine()


def demo(
    output: str = "run", *, workers: int | None = None, quiet: bool = True
) -> tuple[dict[str, Any], str]:
    """Run the three commands on the packaged sample; returns the figures and their table."""
    from corpusforge import demo as demos

    return demos.demo(output, workers, quiet)
