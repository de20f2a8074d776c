"""Rule sets: quality rules as data, one TOML file a set, and what a spec chooses of them.

The shipped files are DIALECT/SET.toml: the same set as several tools apply it (``parsing`` has the
format). The spec table ``rules`` chooses:

    [rules]
    use = ["gopher-quality", "c4", "datatrove/fineweb", "mine.toml"]
    dialect = "forge"               # of the sets that do not name one
    [rules.gopher-quality]
    min_words = 30                  # overrides a threshold

Order counts: a set that edits changes the text that later sets judge.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from corpusforge.errors import SpecError, nearest
from corpusforge.kernels.edits import EDITORS
from corpusforge.kernels.families import GENERAL, SIGNALS, families_of, signals_of

from .describing import as_text, compared, described
from .parsing import COMPARISONS, EditRule, Rule, RuleSet, names, number, parse, read_file

__all__ = [
    "COMPARISONS",
    "DEFAULT",
    "DIALECTS",
    "Chosen",
    "EditRule",
    "Rule",
    "RuleSet",
    "Scope",
    "as_text",
    "choose",
    "compared",
    "described",
    "dialects",
    "find",
    "load",
    "named",
    "names_of_sets",
    "rule_sets",
]

DEFAULT = ("gopher-quality", "gopher-repetition")
DIALECTS = ("forge", "paper", "datatrove", "dolma", "dclm", "curator")
_MEASURED = {*SIGNALS, *(one.name for editor in EDITORS.values() for one in editor.signals)}
SIZES = ("chars", "words")  # measured again after every edit


@dataclass(frozen=True)
class Scope:
    """A state of the text that rules look at: as extracted, or as one set's edits left it."""

    prefix: str  # of the signals' columns: "" or "SET:"
    edits: tuple[EditRule, ...]  # what leads here from the scope before
    signals: tuple[str, ...]  # that rules read here, without the prefix

    @property
    def families(self) -> tuple[str, ...]:
        """Families that must be measured here."""
        return families_of(self.signals)

    @property
    def reads_families(self) -> bool:
        """Whether a rule reads more here than what the edit itself yields."""
        return any(name in SIGNALS for name in self.signals)

    @property
    def columns(self) -> dict[str, str]:
        """Columns that an edit adds, and their kinds: sizes, and what rules read."""
        own = {one.name: one for edit in self.edits for one in EDITORS[edit.editor].signals}
        wanted = dict.fromkeys((*SIZES, *own, *self.signals))
        kinds = {name: (own.get(name) or SIGNALS.get(name)) for name in wanted}
        return {self.prefix + name: one.kind for name, one in kinds.items() if one}


@dataclass(frozen=True)
class Chosen:
    """The rule sets that a spec chose, in order."""

    sets: tuple[RuleSet, ...]

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every judging rule, in order; its signal is the column that it reads."""
        return tuple(
            # Numbers of models and own Python are of the document, not of a state of its text.
            replace(rule, signal=prefix + rule.signal) if rule.signal in _MEASURED else rule
            for prefix, one in self._placed()
            for rule in one.rules
        )

    @property
    def edits(self) -> tuple[EditRule, ...]:
        """Every editing rule, in order."""
        return tuple(rule for one in self.sets for rule in one.edits)

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The states of the text, in order; the first is the extracted text."""
        reads: dict[str, list[str]] = {"": []}
        edits: dict[str, tuple[EditRule, ...]] = {}
        for prefix, one in self._placed():
            reads.setdefault(prefix, []).extend(rule.signal for rule in one.rules)
            edits.setdefault(prefix, one.edits)
        return tuple(
            Scope(prefix, edits.get(prefix, ()) if prefix else (), tuple(dict.fromkeys(signals)))
            for prefix, signals in reads.items()
        )

    def columns(self, families: Iterable[str] = ()) -> dict[str, str]:
        """Return every column of signals that a run stores, with its kind (count or share).

        ``families`` are measured on the extracted text beside those that rules read.
        """
        first, *later = self.scopes
        measured = signals_of({GENERAL, *families, *first.families})
        found: dict[str, str] = {one.name: one.kind for one in measured}
        for scope in later:
            found |= scope.columns
        return found

    def _placed(self) -> Iterable[tuple[str, RuleSet]]:
        prefix = ""
        for one in self.sets:
            prefix = f"{one.name}:" if one.edits else prefix
            yield prefix, one


def load(rules: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Return the judging rules that the spec table ``rules`` asks for, in order."""
    return choose(rules).rules


def choose(rules: Mapping[str, Any], also: Collection[str] = ()) -> Chosen:
    """Return the rule sets that the spec table ``rules`` asks for, in order.

    ``use`` lists shipped sets, ``DIALECT/SET`` or SET in the dialect ``dialect``, and paths of TOML
    files (a file's set is called by its stem); every other key is a set in use with a table of
    thresholds, ``{"gopher-quality": {"min_words": 30}}``. ``also`` names signals that other steps
    add. Raises SpecError, with the nearest known name, for an unknown dialect, set, rule or signal,
    and for a threshold that is no number or belongs to a set that is not in use.
    """
    dialect = str(rules.get("dialect", DIALECTS[0]))
    if dialect not in DIALECTS:
        raise SpecError(
            f"'rules.dialect' = '{dialect}' is not allowed", remedy=nearest(dialect, DIALECTS)
        )
    used: dict[str, RuleSet] = {}
    for name in names(rules.get("use", DEFAULT), "rules.use"):
        loaded = named(name, dialect, also)
        if loaded.name in used:
            raise SpecError(
                f"rules.use names '{loaded.name}' twice", remedy="leave one out or rename it"
            )
        used[loaded.name] = loaded
    for key, thresholds in rules.items():
        if key not in ("use", "dialect"):
            used[key] = _override(key, thresholds, used)
    return Chosen(tuple(used.values()))


def named(name: str, dialect: str | None = None, also: Collection[str] = ()) -> RuleSet:
    """Return the set that ``name`` stands for in ``use``: a shipped one, or that of a file."""
    if name.endswith(".toml"):
        return read_file(Path(name), also)
    return find(name, dialect or DIALECTS[0])


def find(name: str, dialect: str = DIALECTS[0]) -> RuleSet:
    """Return the shipped set ``name``: SET in ``dialect``, or DIALECT/SET; raises SpecError."""
    given, _, base = name.rpartition("/")
    chosen, shipped = given or dialect, rule_sets()
    if (chosen, base) in shipped:
        return shipped[chosen, base]
    having = dialects(base)
    if chosen not in DIALECTS:
        raise SpecError(f"no dialect is called '{chosen}'", remedy=nearest(chosen, DIALECTS))
    if having:
        raise SpecError(
            f"the dialect '{chosen}' has no rule set '{base}'",
            expected=f"one of the dialects {', '.join(having)}",
            remedy=f"name it: {having[0]}/{base}",
        )
    raise SpecError(
        f"no rule set is called '{base}'",
        expected="a shipped set or a path that ends in .toml",
        remedy=nearest(base, {key[1] for key in shipped}),
    )


def names_of_sets() -> tuple[str, ...]:
    """Return the name of every shipped set, sorted."""
    return tuple(sorted({name for _, name in rule_sets()}))


def dialects(name: str) -> tuple[str, ...]:
    """Return the dialects that have the set ``name``, in the order of DIALECTS."""
    return tuple(dialect for dialect in DIALECTS if (dialect, name) in rule_sets())


@cache
def rule_sets() -> dict[tuple[str, str], RuleSet]:
    """Return every shipped rule set by (dialect, name)."""
    found = {}
    for dialect in DIALECTS:
        folder = resources.files(__package__) / dialect
        if not folder.is_dir():
            continue
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if entry.name.endswith(".toml"):
                name, text = entry.name.removesuffix(".toml"), entry.read_text(encoding="utf-8")
                found[dialect, name] = parse(name, dialect, text, f"{dialect}/{entry.name}")
    return found


def _override(key: str, thresholds: object, used: Mapping[str, RuleSet]) -> RuleSet:
    if key not in used:
        shipped = {name for _, name in rule_sets()}
        if key in shipped:
            listed = ", ".join(f'"{name}"' for name in (*used, key))
            raise SpecError(
                f"rules.{key} is given, but '{key}' is not in use",
                remedy=f"add it: --set 'rules.use=[{listed}]'",
            )
        raise SpecError(f"unknown rule set 'rules.{key}'", remedy=nearest(key, {*used, *shipped}))
    chosen = used[key]
    every: tuple[Rule | EditRule, ...] = (*chosen.edits, *chosen.rules)
    known = {rule.name: rule for rule in every}
    limits = {name: rule for name, rule in known.items() if rule.threshold is not None}
    if not isinstance(thresholds, Mapping):
        example = next(iter(limits.values()), None)
        raise SpecError(
            f"rules.{key} = {thresholds!r} is not allowed",
            expected="a table of thresholds",
            remedy=f"e.g. --set rules.{example.id}={example.threshold:g}" if example else None,
        )
    for name, value in thresholds.items():
        if name not in known:
            raise SpecError(f"unknown rule 'rules.{key}.{name}'", remedy=nearest(name, known))
        if name not in limits:
            raise SpecError(
                f"'rules.{key}.{name}' has no threshold",
                remedy="to leave it out, write a rule file of your own (forge rules show)",
            )
        known[name] = replace(known[name], threshold=number(value, f"rules.{key}.{name}"))
    return replace(
        chosen,
        edits=tuple(rule for rule in known.values() if isinstance(rule, EditRule)),
        rules=tuple(rule for rule in known.values() if isinstance(rule, Rule)),
    )
