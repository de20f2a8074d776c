"""The trials of a sweep: drawn, stored and ended; the one place that knows Optuna.

They are stored in SQLite. A kill in the middle of a write leaves the old state or the new one,
since SQLite rolls a torn write back, and its locks die with the process. (Optuna's journal file
has neither: a torn last line makes the file unreadable once another is appended to it, and the
lock file of a killed writer holds up the next one.) One process writes; a second one, were there
one, would wait for SQLite's lock.

A trial is stored with all its settings in one transaction, before anything of it runs. They are a
function of (seed, its number, the trials before it) alone, so a sweep of one worker that is killed
draws what it would have drawn.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import random
import sqlite3
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from corpusforge.errors import RunError
from corpusforge.spec import Range, SweepSpec
from corpusforge.trials import Trial

NAME = "study.db"
STUDY = "sweep"
PARENTS = "parents"
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


@contextmanager
def storing(root: Path) -> Iterator[None]:
    """Turn errors of the database, for instance of a full disk, into RunError."""
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise RunError(
            f"the trials cannot be stored: {_first(error)}",
            file=str(root / NAME),
            remedy="mend it, then run again to go on",
        ) from None


def _first(error: BaseException) -> str:
    """What the database itself says."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).splitlines() or [type(error).__name__])[0]


class Study:
    """The stored trials of the sweep in the folder ``root``.

    ``parents`` are the content digests of the token folders; RunError for a sweep over others.
    """

    def __init__(self, root: Path, spec: SweepSpec, parents: Sequence[str]) -> None:
        self.spec = spec
        self.distributions = {key: _distribution(one) for key, one in spec.ranges.items()}
        path = root / NAME
        if not path.exists():
            if any(root.glob("trials/????/")):
                raise RunError(f"{NAME} is gone", file=str(root), remedy="--fresh to start anew")
            _create(path, spec, parents)
        try:
            self.storage = _storage(path)
            self.study = optuna.load_study(study_name=STUDY, storage=self.storage)
            before = self.study.user_attrs[PARENTS]
        except (SQLAlchemyError, optuna.exceptions.OptunaError, KeyError) as error:
            raise RunError(
                f"not the trials of a sweep: {_first(error)}",
                file=str(path),
                remedy="put it back, or --fresh to start anew",
            ) from None
        if sorted(before) != sorted(parents):
            raise RunError(
                "this sweep tried other token folders",
                file=str(root),
                remedy="choose another -o, or --fresh to start anew",
            )
        settings = spec.sweep
        self.pruner: optuna.pruners.BasePruner = (
            optuna.pruners.MedianPruner(n_startup_trials=settings.warmup)
            if settings.pruner == "median"
            else optuna.pruners.NopPruner()
        )
        self.grid = _grid(spec) if settings.sampler == "grid" else None

    @property
    def most(self) -> int | None:
        """How many trials there can be; None without a grid."""
        return None if self.grid is None else len(self.grid)

    @property
    def wanted(self) -> int:
        """How many trials there shall be."""
        return min(self.spec.sweep.trials, self.most or self.spec.sweep.trials)

    def frozen(self) -> list[FrozenTrial]:
        """Return the trials as Optuna has them, by number."""
        return self.study.get_trials(deepcopy=False)

    def count(self) -> int:
        """Return how many trials have begun."""
        return len(self.frozen())

    def unfinished(self) -> list[int]:
        """Return the numbers of the trials that have begun and not ended."""
        return [t.number for t in self.frozen() if not t.state.is_finished()]

    def begin(self) -> int:
        """Draw and store the next trial; returns its number."""
        before = self.frozen()
        drawn = self._draw(before)
        trial = create_trial(
            state=TrialState.RUNNING, params=drawn, distributions=self.distributions
        )
        self.study.add_trial(trial)
        return len(before)

    def settings(self, number: int) -> dict[str, Any]:
        """Return the drawn values of a trial by key of the train spec."""
        return self._settings(self._trial(number))

    def values(self, number: int) -> list[tuple[int, float]]:
        """Return the stored (step, value) of a trial in order."""
        return sorted(self._trial(number).intermediate_values.items())

    def value(self, number: int, step: int, value: float) -> None:
        """Store the objective at an evaluation."""
        self.storage.set_trial_intermediate_value(self._id(number), step, value)

    def hopeless(self, number: int) -> bool:
        """Tell whether the pruner ends the trial at its last stored value."""
        return self.pruner.prune(self.study, self._trial(number))

    def prune(self, number: int) -> None:
        """End a trial early."""
        self.storage.set_trial_state_values(self._id(number), TrialState.PRUNED)

    def fail(self, number: int, reason: str) -> None:
        """End a trial that gave no value."""
        self.storage.set_trial_user_attr(self._id(number), "reason", reason)
        self.storage.set_trial_state_values(self._id(number), TrialState.FAIL)

    def complete(self, number: int, values: Sequence[tuple[int, float]], content: str) -> None:
        """End a trial with its last value."""
        for step, value in values:
            self.value(number, step, value)
        self.storage.set_trial_user_attr(self._id(number), "content", content)
        last = [values[-1][1]]
        self.storage.set_trial_state_values(self._id(number), TrialState.COMPLETE, last)

    def trials(self) -> list[Trial]:
        """Return the trials that have ended, by number."""
        return [
            Trial(
                number=trial.number,
                state=STATES[trial.state],
                settings=self._settings(trial),
                value=trial.value if trial.state == TrialState.COMPLETE else None,
                values=sorted(trial.intermediate_values.items()),
                reason=trial.user_attrs.get("reason"),
                content=trial.user_attrs.get("content"),
            )
            for trial in self.frozen()
            if trial.state in STATES
        ]

    def importance(self) -> dict[str, float]:
        """Return what share of the good values each key explains; {} where too few have ended.

        PED-ANOVA (Watanabe, Bansal, Hutter, IJCAI 2023, arXiv 2304.10255) of Optuna: densities of
        the best tenth of the trials against those of all; no randomness.
        """
        ended = [t for t in self.frozen() if t.state == TrialState.COMPLETE]
        if len(ended) < 2:
            return {}
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of so few trials that all are the best
            found = optuna.importance.get_param_importances(self.study, evaluator=evaluator)
        return {key: float(share) if math.isfinite(share) else 0.0 for key, share in found.items()}

    def close(self) -> None:
        """Close the file."""
        self.storage.remove_session()
        self.storage.engine.dispose()

    def _trial(self, number: int) -> FrozenTrial:
        return self.frozen()[number]

    def _id(self, number: int) -> int:
        study = self.storage.get_study_id_from_name(STUDY)
        return self.storage.get_trial_id_from_study_id_trial_number(study, number)

    def _settings(self, trial: FrozenTrial) -> dict[str, Any]:
        return {key: _meant(choice, trial.params[key]) for key, choice in self.spec.ranges.items()}

    def _draw(self, before: Sequence[FrozenTrial]) -> dict[str, Any]:
        number = len(before)
        if self.grid is not None:
            return self.grid[number]
        settings, key = self.spec.sweep, _key(self.spec.sweep.seed, number)
        sampler: optuna.samplers.BaseSampler = (
            optuna.samplers.TPESampler(
                seed=key, n_startup_trials=settings.warmup, multivariate=True, constant_liar=True
            )
            if settings.sampler == "tpe"
            else optuna.samplers.RandomSampler(seed=key)
        )
        copy = optuna.create_study(direction=_direction(self.spec), sampler=sampler)
        copy.add_trials(before)
        return copy.ask(self.distributions).params


def _create(path: Path, spec: SweepSpec, parents: Sequence[str]) -> None:
    """Make the file whole under another name first: its tables are no single transaction."""
    temporary = path.with_name(f"{NAME}.tmp")
    for leftover in (temporary, temporary.with_name(f"{NAME}.tmp-journal")):
        leftover.unlink(missing_ok=True)
    storage = _storage(temporary)
    made = optuna.create_study(study_name=STUDY, storage=storage, direction=_direction(spec))
    made.set_user_attr(PARENTS, list(parents))
    storage.remove_session()
    storage.engine.dispose()
    temporary.replace(path)


def _storage(path: Path) -> optuna.storages.RDBStorage:
    # A creator instead of a URL: a path may hold any character.
    connect = {"creator": lambda: sqlite3.connect(path, timeout=60.0, check_same_thread=False)}
    return optuna.storages.RDBStorage("sqlite://", engine_kwargs=connect)


def _direction(spec: SweepSpec) -> str:
    return "maximize" if spec.sweep.maximize else "minimize"


def _key(seed: int, number: int) -> int:
    """One 32-bit seed of two numbers."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{number}".encode()).digest()[:4], "big")


def _distribution(choice: Range | list[Any]) -> BaseDistribution:
    if not isinstance(choice, Range):
        return CategoricalDistribution([_label(one) for one in choice])
    low, high, log = choice.low, choice.high, choice.log
    if isinstance(low, int):
        return IntDistribution(low, int(high), log=log, step=int(choice.step) or 1)
    return FloatDistribution(low, high, log=log, step=choice.step or None)


def _label(value: Any) -> Any:
    """A value of a list as Optuna stores it: what is no number or word is written as JSON."""
    return value if isinstance(value, str | int | float) else json.dumps(value, sort_keys=True)


def _meant(choice: Range | list[Any], drawn: Any) -> Any:
    if isinstance(choice, Range):
        return drawn
    return next(one for one in choice if _label(one) == drawn)


def _grid(spec: SweepSpec) -> list[dict[str, Any]]:
    """All combinations, in an order that the seed gives: part of a grid is spread over it."""
    axes = [
        choice.values() if isinstance(choice, Range) else [_label(one) for one in choice]
        for choice in spec.ranges.values()
    ]
    points = [dict(zip(spec.ranges, point, strict=True)) for point in itertools.product(*axes)]
    random.Random(spec.sweep.seed).shuffle(points)
    return points
