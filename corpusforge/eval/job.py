"""A whole evaluation run: the locked run folder around models and data, and what it leaves.

OUT/results.json   every figure with its interval    predictions/NAME.jsonl   a record an item
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from corpusforge import manifest
from corpusforge.errors import RunError, UsageError
from corpusforge.run import RunFolder, beat
from corpusforge.shard import write_json
from corpusforge.spec import EvalSpec

from . import data as given
from . import results
from .data import Data, is_model
from .results import Scored

RESULTS, PREDICTIONS = "results.json", "predictions"


def evaluate(
    paths: Sequence[str],
    output: str,
    spec: EvalSpec,
    part: Callable[[], Any],
    *,
    compare: bool,
    workers: int,
    fresh: bool,
    quiet: bool,
) -> manifest.Manifest:
    """Evaluate in ``output``; ``part`` loads ``train.eval``. See ``corpusforge.eval.evaluate``."""
    if not paths:
        raise UsageError("nothing to evaluate", remedy="e.g. forge eval run/model test.jsonl")
    models = [path for path in paths if is_model(path)]
    others = [path for path in paths if not is_model(path)]
    sets = _sets(models, others, spec)
    if compare and len(models or sets) != 2:
        raise UsageError(
            f"--compare of {len(models or sets)} models or files of predictions", expected="two"
        )
    train = part() if models else None
    scorers = [train.load(model, spec.run) for model in models] if train else []
    for scorer in scorers:
        scorer.check(sets[0].kind, spec.stride)
    parents = [
        {"path": folder, "content": scorer.content}
        for folder, scorer in zip(models, scorers, strict=True)
    ]
    parents += [parent for one in sets for parent in one.parents]
    calm = train.threads(spec.run.threads or workers) if train else nullcontext()
    with RunFolder(output, "eval", spec, fresh=fresh) as run, calm:
        if manifest.finished(run.root):
            return _finished(run, parents, compare)
        run.remove("report.html", PREDICTIONS, RESULTS)
        found = list[Scored]()
        for number, name in enumerate(_names(models or others)):
            one = sets[0] if scorers else sets[number]
            scorer = scorers[number] if scorers else None
            stage = f"eval {name}"

            def report(items: int, size: int, stage: str = stage) -> None:
                run.check()
                beat(run.root, stage, "0", items, size)

            with run.stage(stage, one.bytes, quiet=quiet):
                records = results.records(scorer, one, spec, report)
            found.append(Scored(name, one.kind, records, scorer))
            lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
            run.write(f"{PREDICTIONS}/{name}.jsonl", "".join(lines).encode())
        values = results.results(found, spec, compare, sets[0].notes)
        write_json(run.file(RESULTS), values)
        done = manifest.close(
            run.root,
            "eval",
            spec,
            content=[f"{PREDICTIONS}/{one.name}.jsonl" for one in found],
            others=[RESULTS],
            counts=manifest.all_kept(sum(len(one.records) for one in found)),
            parents=parents,
            facts=values,
        )
        run.remove("progress")
        return done


def _sets(models: Sequence[str], others: Sequence[str], spec: EvalSpec) -> list[Data]:
    """One set for all models, or without models one a file of predictions."""
    if models:
        found = given.load(others, models, spec.columns, spec.limit)
        if found.kind not in results.WITH_MODEL:
            raise UsageError(
                f"{found.kind} are predictions already",
                file=others[0],
                remedy=f"forge eval {' '.join(others)}",
            )
        return [found]
    sets = [given.load([path], (), spec.columns, spec.limit) for path in others]
    for one, path in zip(sets, others, strict=True):
        if one.kind in results.WITH_MODEL:
            raise UsageError(
                f"holds {one.kind}, and no model is named",
                file=path,
                expected="a model beside it, or predictions",
                remedy=f"e.g. forge eval run/model {path}",
            )
    return sets


def _names(paths: Sequence[str]) -> list[str]:
    """A name for each path that can be a file's, the last part where these differ."""
    last = [path.rstrip("/").rpartition("/")[2].removesuffix(".jsonl") for path in paths]
    chosen = last if len(set(last)) == len(last) else list(paths)
    plain = [re.sub(r"[^\w.-]+", "-", one).strip("-.") or "model" for one in chosen]
    return [one if plain.count(one) == 1 else f"{one}-{at}" for at, one in enumerate(plain, 1)]


def _finished(
    run: RunFolder, parents: Sequence[dict[str, str]], compare: bool
) -> manifest.Manifest:
    done = manifest.read(run.root, "eval")
    if [one["content"] for one in done.facts["parents"]] != [one["content"] for one in parents]:
        raise RunError(
            "this evaluation is of other models or other data",
            file=run.root,
            remedy="choose another -o, or --fresh to start anew",
        )
    manifest.check_whole(run.root, done)
    if compare != ("comparison" in done.facts):
        raise RunError(
            "this evaluation was made " + ("without --compare" if compare else "with --compare"),
            file=run.root,
            remedy="choose another -o, or --fresh to start anew",
        )
    return done
