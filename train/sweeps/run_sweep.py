"""A whole sweep: the locked run folder around its trials, what is best, and the manifest."""

from __future__ import annotations

import importlib.util
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from corpusforge import manifest, trials
from corpusforge import spec as specs
from corpusforge.errors import (
    AccountingError,
    ExtraMissing,
    RunError,
    SpecError,
)
from corpusforge.run import RunFolder, check_workers
from corpusforge.spec import SweepSpec
from corpusforge.trials import Trial

from ..interrupt import Interrupt
from .crew import Crew, Worker, wait_for_orphans
from .progress import Progress
from .study import Study, storing

BEST = "best.toml"
STARTS = 2  # of a trial whose process ends of itself, in one sweep
DROPPED = ("manifest.json", "checkpoints", "plans", "tokenizer")  # of trials that are not kept


def run_sweep(
    folders: Sequence[str],
    output: str,
    spec: SweepSpec,
    *,
    workers: int | None,
    fresh: bool,
    quiet: bool,
) -> manifest.Manifest:
    """Sweep in ``output``; see ``corpusforge.api.sweep``."""
    if importlib.util.find_spec("torch") is None:
        raise ExtraMissing("torch", "train")
    parents = [
        {"path": str(Path(folder).resolve()), "content": manifest.read(folder, "tokenize").content}
        for folder in folders
    ]
    if workers is not None:
        settings = spec.sweep.model_copy(update={"workers": check_workers(workers)})
        spec = spec.model_copy(update={"sweep": settings})
    wait_for_orphans(Path(output))
    with RunFolder(output, "sweep", _lasting(spec), fresh=fresh) as run:
        if not run.local:
            raise RunError("a sweep is no remote folder", file=output, remedy="choose a local -o")
        if done := _finished(run.root, spec, parents):
            return done
        root = Path(run.root)
        with (
            storing(root),
            closing(Study(root, spec, [parent["content"] for parent in parents])) as study,
        ):
            run.remove("manifest.json", "report.html", BEST)
            with Interrupt() as interrupt:
                Sweep(root, spec, study, [p["path"] for p in parents], quiet).run(interrupt)
            return _close(run, spec, study, parents)


def _lasting(spec: SweepSpec) -> SweepSpec:
    """The spec without what may change when a sweep goes on."""
    free = ("trials", "workers", "keep")
    default = {name: getattr(specs.SweepSettings(), name) for name in free}
    settings = spec.sweep.model_copy(update=default)
    return spec.model_copy(update={"sweep": settings, "inputs": []})


def _finished(
    root: str, spec: SweepSpec, parents: list[dict[str, str]]
) -> manifest.Manifest | None:
    """Return the manifest of a sweep that has all the trials that are wanted."""
    if not manifest.finished(root):
        return None
    done = manifest.read(root, "sweep")
    same = sorted(p["content"] for p in done.facts["parents"]) == sorted(
        p["content"] for p in parents
    )
    if not same or done.counts["in"] < min(
        spec.sweep.trials, done.facts["most"] or spec.sweep.trials
    ):
        return None
    manifest.check_whole(root, done)
    return done


class Sweep:
    """The trials that run and those that are still to begin."""

    def __init__(
        self, root: Path, spec: SweepSpec, study: Study, folders: list[str], quiet: bool
    ) -> None:
        self.root, self.spec, self.study, self.folders = root, spec, study, folders
        self.left = study.unfinished()  # by a sweep that was stopped
        self.starts: Counter[int] = Counter()
        self.progress = Progress(spec, study.wanted, quiet)

    def run(self, interrupt: Interrupt) -> None:
        """Run every trial; raises KeyboardInterrupt once those that run have saved their state."""
        size = self.spec.sweep.workers
        threads = max(1, check_workers(None) // size)
        _drop(self.root, self.spec, self.study.trials())  # a kill may have been quicker
        self.progress.begin(self.study.trials(), len(self.left))
        asked = False
        with closing(self.progress), Crew(self.root, size, threads) as crew:
            while True:
                while crew.free and not interrupt.requested:
                    number = self._next()
                    if number is None:
                        break
                    self._begin(crew, number)
                if interrupt.requested and not asked:
                    asked = True
                    crew.stop()
                if not crew.busy:
                    break
                for worker, message in crew.messages(0.25):
                    self._hear(crew, worker, message, asked)
                self.progress.show(crew.busy)
        if interrupt.requested:
            raise KeyboardInterrupt

    def _next(self) -> int | None:
        """Return the number of a trial that may begin or go on."""
        if self.left:
            return self.left.pop(0)
        if self.study.count() >= self.study.wanted:
            return None
        return self.study.begin()

    def _begin(self, crew: Crew, number: int) -> None:
        try:
            spec = self.spec.trial(self.study.settings(number))
        except SpecError as error:
            self.study.fail(number, str(error))
            self._ended(number)
            return
        self.starts[number] += 1
        task = {
            "folder": str(self.root / trials.folder(number)),
            "tokens": self.folders,
            "objective": self.spec.sweep.objective,
            "spec": spec.model_dump(mode="json"),
        }
        crew.begin(number, task)

    def _hear(self, crew: Crew, worker: Worker, message: dict[str, Any], stopping: bool) -> None:
        """Act on what a process says of its trial."""
        number, study = worker.number, self.study
        if "at" in message:
            worker.step = message["at"]
        elif "value" in message and number is not None:
            worker.step = message["step"]
            crew.send(worker, {"go": self._goes_on(number, worker.step, message["value"])})
        elif "end" in message and number is not None:
            worker.number = None
            end = message["end"]
            if end == "error":
                kind = AccountingError if message["code"] == 4 else RunError
                raise kind(message["reason"], remedy="mend it, then run again to go on")
            if end in ("died", "stopped"):
                if not stopping:
                    self._again(number, message.get("reason", "its process was told to stop"))
                return
            if end == "complete":
                study.complete(number, message["values"], message["content"])
            elif end == "failed":
                study.fail(number, message["reason"])
            self._ended(number)  # a pruned one is stored

    def _goes_on(self, number: int, step: int, value: float) -> bool:
        """Store a value; tell whether the trial goes on, or else end it before it hears so."""
        known = self.study.values(number)
        self.study.value(number, step, value)
        # A trial that goes on after a kill tells again what it told: it was let go on then.
        if (known and step < known[-1][0]) or step >= self._steps(number):
            return True
        if not self.study.hopeless(number):
            return True
        self.study.prune(number)
        return False

    def _steps(self, number: int) -> int:
        return self.spec.trial(self.study.settings(number)).run.steps

    def _again(self, number: int, reason: str) -> None:
        """Go on with a trial whose process ended of itself; the second time it has failed."""
        if self.starts[number] < STARTS:
            self.left.insert(0, number)
        else:
            self.study.fail(number, f"{STARTS} times {reason}")
            self._ended(number)

    def _ended(self, number: int) -> None:
        found = self.study.trials()
        _drop(self.root, self.spec, found)
        self.progress.ended(found, number)


def _drop(root: Path, spec: SweepSpec, found: Sequence[Trial]) -> None:
    """Delete what is large of the trials that ended and are not among the best."""
    ranked = trials.ranked(found, spec.sweep.maximize)
    kept = {trial["number"] for trial in ranked[: spec.sweep.keep]}
    for trial in found:
        if trial["number"] not in kept:
            folder = root / trials.folder(trial["number"])
            for name in DROPPED:
                path = folder / name
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)


def _close(
    run: RunFolder, spec: SweepSpec, study: Study, parents: list[dict[str, str]]
) -> manifest.Manifest:
    """Write trials.jsonl, best.toml and the manifest."""
    found = study.trials()
    states = Counter(trial["state"] for trial in found)
    counts = {
        "in": study.count(),
        "kept": states["complete"],
        "dropped": states["pruned"],
        "failed": states["failed"],
    }
    if counts["in"] != sum(states.values()):
        raise AccountingError(
            f"{counts['in']} trials began, {sum(states.values())} ended",
            file=run.root,
            expected="two equal numbers",
        )
    run.write(trials.NAME, trials.lines(found))
    ranked = trials.ranked(found, spec.sweep.maximize)
    if not ranked:
        reason = next((trial["reason"] for trial in found if trial["reason"]), "none began")
        raise RunError(
            f"none of {counts['in']} trials is complete; trial {found[0]['number'] if found else 0}"
            f" failed: {reason}",
            file=run.root,
            remedy="change [ranges] or the base, in another -o",
        )
    best = ranked[0]
    trained = spec.trial(best["settings"]).model_copy(update={"inputs": []})
    head = (
        f"# trial {best['number']} of a sweep of {counts['in']}: "
        f"{spec.sweep.objective} {best['value']:.6g}\n"
    )
    run.write(BEST, (head + specs.dump(trained)).encode())
    return manifest.close(
        run.root,
        "sweep",
        spec,
        content=(trials.NAME, BEST),
        others=(),
        counts=counts,
        parents=parents,
        facts={
            "objective": spec.sweep.objective,
            "maximize": spec.sweep.maximize,
            "best": best["number"],
            "value": best["value"],
            "settings": best["settings"],
            "most": study.most,
            "importance": study.importance(),
        },
    )
