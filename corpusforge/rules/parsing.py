"""One rule file: its tables, checked, as rules.

A file holds one table a rule, in the order in which reasons are reported:

    [min_words]
    signal = "words"       # a name of kernels.families.SIGNALS, or quality_score
    keep = ">="            # what a kept document satisfies: signal keep threshold
    threshold = 50
    citation = "..."       # where the rule comes from
    languages = ["en"]     # optional: only these; or except_languages: all but these
    peer = "short_doc"     # optional: what the cited tool calls the reason

A rule with ``languages`` leaves a document of unknown language alone. Rules that edit the text
stand before the ones that judge what is left:

    [min_line_words]       # a rule of the editor
    edit = "c4"            # a name of kernels.edits.EDITORS
    threshold = 3          # where the rule has a limit
    citation = "..."
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpusforge.errors import SpecError, nearest
from corpusforge.kernels.edits import EDITORS
from corpusforge.kernels.families import SIGNALS
from corpusforge.schema import QUALITY

COMPARISONS = (">=", ">", "<=", "<")
SCORES = (QUALITY.name,)  # signals of models: one value a document, of its last text

_NEEDED = ("signal", "keep", "threshold", "citation")
_JUDGING = (*_NEEDED, "languages", "except_languages", "peer")
_EDITING = ("edit", "threshold", "citation")


@dataclass(frozen=True)
class Rule:
    """Keep a document if ``signal comparison threshold``, in the languages it applies to."""

    rule_set: str
    name: str
    signal: str  # a column: the signal's name, behind "SET:" where the set SET edited the text
    comparison: str
    threshold: float
    citation: str
    languages: tuple[str, ...] = ()  # empty: every language
    except_languages: tuple[str, ...] = ()
    peer: str = ""  # the reason in the words of the cited tool

    @property
    def id(self) -> str:
        """Name in ledger and spec: ``rule-set.rule``."""
        return f"{self.rule_set}.{self.name}"


@dataclass(frozen=True)
class EditRule:
    """Cut out of a text what the rule ``name`` of ``editor`` says."""

    rule_set: str
    name: str
    editor: str
    threshold: float | None
    citation: str

    @property
    def id(self) -> str:
        """Name in ledger and spec: ``rule-set.rule``."""
        return f"{self.rule_set}.{self.name}"


@dataclass(frozen=True)
class RuleSet:
    """The rules of one file: edits first, then what judges the text that they leave."""

    name: str
    dialect: str  # "" for a file of the user
    edits: tuple[EditRule, ...]
    rules: tuple[Rule, ...]


def read_file(path: Path, also: Collection[str] = ()) -> RuleSet:
    """Read a rule file of the user, whose set is called by its stem; raises SpecError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpecError("no such rule file", file=str(path), remedy="check rules.use") from None
    except (UnicodeDecodeError, OSError) as error:
        raise SpecError(f"not a TOML file: {error}", file=str(path)) from None
    return parse(path.stem, "", text, str(path), also)


def parse(name: str, dialect: str, text: str, file: str, also: Collection[str] = ()) -> RuleSet:
    """Check the tables of a rule file; ``also`` names signals beside those of the families."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"not a TOML file: {error}", file=file) from None
    edits, judging = [], {}
    for key, table in tables.items():
        if not isinstance(table, Mapping):
            raise SpecError(f"'{key}' is no rule", file=file, expected=f"a table [{key}]")
        if "edit" in table:
            edits.append(_edit(name, key, table, file))
        else:
            judging[key] = table
    editors = {rule.editor for rule in edits}
    if len(editors) > 1:
        raise SpecError(
            f"'edit' names {' and '.join(sorted(editors))}",
            file=file,
            expected="one editor a file",
            remedy="write one file an editor",
        )
    known = {
        *SIGNALS,
        *SCORES,
        *also,
        *(one.name for key in editors for one in EDITORS[key].signals),
    }
    rules = [_rule(name, key, table, file, known) for key, table in judging.items()]
    return RuleSet(name, dialect, tuple(edits), tuple(rules))


def _edit(rule_set: str, name: str, table: Mapping[str, Any], file: str) -> EditRule:
    _check_keys(name, table, _EDITING, ("edit", "citation"), file)
    editor = EDITORS.get(str(table["edit"]))
    if editor is None:
        raise SpecError(
            f"'{name}.edit' names no editor: '{table['edit']}'",
            file=file,
            remedy=nearest(str(table["edit"]), EDITORS),
        )
    if name not in editor.rules:
        raise SpecError(
            f"'{name}' is no rule of the editor '{table['edit']}'",
            file=file,
            remedy=nearest(name, editor.rules),
        )
    if (name in editor.limited) != ("threshold" in table):
        wrong = "needs a" if name in editor.limited else "has no"
        raise SpecError(f"'{name}' {wrong} threshold", file=file)
    threshold = table.get("threshold")
    return EditRule(
        rule_set=rule_set,
        name=name,
        editor=str(table["edit"]),
        threshold=None if threshold is None else number(threshold, f"{name}.threshold", file),
        citation=str(table["citation"]),
    )


def _rule(
    rule_set: str, name: str, table: Mapping[str, Any], file: str, known: Collection[str]
) -> Rule:
    _check_keys(name, table, _JUDGING, _NEEDED, file)
    if table["signal"] not in known:
        raise SpecError(
            f"'{name}' asks for an unknown signal '{table['signal']}'",
            file=file,
            remedy=nearest(str(table["signal"]), known),
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
        threshold=number(table["threshold"], f"{name}.threshold", file),
        citation=str(table["citation"]),
        languages=names(table.get("languages", ()), f"{name}.languages", file),
        except_languages=names(table.get("except_languages", ()), f"{name}.except_languages", file),
        peer=str(table.get("peer", "")),
    )


def _check_keys(
    name: str,
    table: Mapping[str, Any],
    allowed: Collection[str],
    needed: Collection[str],
    file: str,
) -> None:
    for key in table:
        if key not in allowed:
            raise SpecError(f"unknown key '{name}.{key}'", file=file, remedy=nearest(key, allowed))
    for key in needed:
        if key not in table:
            raise SpecError(f"'{name}.{key}' is missing", file=file, remedy=f"add {key} = ...")


def number(value: object, key: str, file: str | None = None) -> float:
    """Return a finite number of a spec or file; raises SpecError that names ``key``."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):  # type: ignore[arg-type]
        raise SpecError(f"'{key}' = {value!r} is not allowed", file=file, expected="a number")
    return float(value)  # type: ignore[arg-type]


def names(value: object, key: str, file: str | None = None) -> tuple[str, ...]:
    """Return a list of strings of a spec or file; raises SpecError that names ``key``."""
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise SpecError(
            f"'{key}' = {value!r} is not allowed", file=file, expected="a list of names"
        )
    return tuple(value)
