"""Rule sets: quality rules as data, one TOML file a set, and their loader.

A file holds one table a rule, in the order in which reasons are reported:

    [min_words]
    signal = "words"       # a name of kernels.signals.SIGNALS
    keep = ">="            # what a kept document satisfies: signal keep threshold
    threshold = 50
    citation = "..."       # where the rule comes from
    languages = ["en"]     # optional: only these; or except_languages: all but these

A rule with ``languages`` leaves a document of unknown language alone.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from corpusforge.errors import SpecError, nearest
from corpusforge.kernels.signals import SIGNALS

DEFAULT = ("gopher-quality", "gopher-repetition")
COMPARISONS = (">=", ">", "<=", "<")

_KEYS = ("signal", "keep", "threshold", "citation", "languages", "except_languages")
_NEEDED = _KEYS[:4]


@dataclass(frozen=True)
class Rule:
    """Keep a document if ``signal comparison threshold``, in the languages it applies to."""

    rule_set: str
    name: str
    signal: str
    comparison: str
    threshold: float
    citation: str
    languages: tuple[str, ...] = ()  # empty: every language
    except_languages: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Name in ledger and spec: ``rule-set.rule``."""
        return f"{self.rule_set}.{self.name}"


def load(rules: Mapping[str, Any], added: Collection[str] = ()) -> tuple[Rule, ...]:
    """Return the rules that the spec table ``rules`` asks for, in order.

    ``added`` are numeric columns of own Python, which a rule file may name as its signal.

    ``use`` lists shipped sets and paths of TOML files (a file's set is called by its stem); every
    other key is a set in use with a table of thresholds, ``{"gopher-quality": {"min_words": 30}}``.
    Raises SpecError, with the nearest known name, for an unknown set, rule or signal, and for a
    threshold that is no number or belongs to a set that is not in use.
    """
    shipped = rule_sets()
    used: dict[str, tuple[Rule, ...]] = {}
    for name in _names(rules.get("use", DEFAULT), "rules.use"):
        if name.endswith(".toml"):
            loaded = _read(Path(name), added)
        elif name in shipped:
            loaded = shipped[name]
        else:
            raise SpecError(
                f"no rule set is called '{name}'",
                expected="a shipped set or a path that ends in .toml",
                remedy=nearest(name, shipped),
            )
        key = Path(name).name.removesuffix(".toml")
        if key in used:
            raise SpecError(f"rules.use names '{key}' twice", remedy="leave one out or rename it")
        used[key] = loaded
    for key, thresholds in rules.items():
        if key != "use":
            used[key] = _override(key, thresholds, used, shipped)
    return tuple(rule for loaded in used.values() for rule in loaded)


def rule_sets() -> dict[str, tuple[Rule, ...]]:
    """Return every shipped rule set by name, sorted."""
    found = {}
    for entry in sorted(resources.files(__package__).iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".toml"):
            name = entry.name.removesuffix(".toml")
            found[name] = _parse(name, tomllib.loads(entry.read_text(encoding="utf-8")), entry.name)
    return found


def _override(
    key: str,
    thresholds: object,
    used: Mapping[str, tuple[Rule, ...]],
    shipped: Mapping[str, tuple[Rule, ...]],
) -> tuple[Rule, ...]:
    if key not in used:
        if key in shipped:
            names = ", ".join(f'"{name}"' for name in (*used, key))
            raise SpecError(
                f"rules.{key} is given, but '{key}' is not in use",
                remedy=f"add it: --set 'rules.use=[{names}]'",
            )
        raise SpecError(f"unknown rule set 'rules.{key}'", remedy=nearest(key, {*used, *shipped}))
    if not isinstance(thresholds, Mapping):
        raise SpecError(
            f"rules.{key} = {thresholds!r} is not allowed",
            expected="a table of thresholds",
            remedy=f"e.g. --set rules.{key}.{used[key][0].name}={used[key][0].threshold:g}"
            if used[key]
            else None,
        )
    changed = {rule.name: rule for rule in used[key]}
    for name, value in thresholds.items():
        if name not in changed:
            raise SpecError(f"unknown rule 'rules.{key}.{name}'", remedy=nearest(name, changed))
        number = _number(value, f"rules.{key}.{name}", None)
        changed[name] = replace(changed[name], threshold=number)
    return tuple(changed.values())


def _read(path: Path, added: Collection[str]) -> tuple[Rule, ...]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpecError("no such rule file", file=str(path), remedy="check rules.use") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SpecError(f"not a TOML file: {error}", file=str(path)) from None
    return _parse(path.stem, tables, str(path), added)


def _parse(
    rule_set: str, tables: Mapping[str, Any], file: str, added: Collection[str] = ()
) -> tuple[Rule, ...]:
    return tuple(_rule(rule_set, name, table, file, added) for name, table in tables.items())


def _rule(rule_set: str, name: str, table: object, file: str, added: Collection[str]) -> Rule:
    if not isinstance(table, Mapping):
        raise SpecError(f"'{name}' is no rule", file=file, expected=f"a table [{name}]")
    for key in table:
        if key not in _KEYS:
            raise SpecError(f"unknown key '{name}.{key}'", file=file, remedy=nearest(key, _KEYS))
    for key in _NEEDED:
        if key not in table:
            raise SpecError(f"'{name}.{key}' is missing", file=file, remedy=f"add {key} = ...")
    if table["signal"] not in SIGNALS and table["signal"] not in added:
        raise SpecError(
            f"'{name}' asks for an unknown signal '{table['signal']}'",
            file=file,
            remedy=nearest(str(table["signal"]), {*SIGNALS, *added}),
        )
    if table["keep"] not in COMPARISONS:
        raise SpecError(
            f"'{name}.keep' = {table['keep']!r}",
            file=file,
            expected=f"one of {', '.join(COMPARISONS)}",
        )
    return Rule(
        rule_set=rule_set,
        name=name,
        signal=table["signal"],
        comparison=table["keep"],
        threshold=_number(table["threshold"], f"{name}.threshold", file),
        citation=str(table["citation"]),
        languages=_names(table.get("languages", ()), f"{name}.languages", file),
        except_languages=_names(table.get("except_languages", ()), f"{name}.languages", file),
    )


def _number(value: object, key: str, file: str | None) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value):  # type: ignore[arg-type]
        raise SpecError(f"'{key}' = {value!r} is not allowed", file=file, expected="a number")
    return float(value)  # type: ignore[arg-type]


def _names(value: object, key: str, file: str | None = None) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise SpecError(
            f"'{key}' = {value!r} is not allowed", file=file, expected="a list of names"
        )
    return tuple(value)
