"""Rule sets for people: a set as a table, and in what two differ."""

from __future__ import annotations

from typing import Any

from corpusforge.kernels.edits import EDITORS
from corpusforge.kernels.families import SIGNALS

from .parsing import EditRule, Rule, RuleSet


def described(chosen: RuleSet) -> dict[str, Any]:
    """Return name, dialect, rules (name, what a document must satisfy, source), and signals."""
    own = {one.name: one.meaning for edit in chosen.edits for one in EDITORS[edit.editor].signals}
    read = dict.fromkeys(rule.signal for rule in chosen.rules)
    return {
        "set": chosen.name,
        "dialect": chosen.dialect,
        "rules": [
            {
                "rule": rule.name,
                "does": condition(rule),
                "threshold": rule.threshold,
                "citation": rule.citation,
            }
            for rule in rules_of(chosen)
        ],
        "signals": {
            name: own.get(name) or (SIGNALS[name].meaning if name in SIGNALS else "")
            for name in read
        },
    }


def as_text(found: dict[str, Any]) -> str:
    """Return what ``described`` gives as lines for a terminal."""
    rows = found["rules"]
    width = max((len(row["rule"]) for row in rows), default=0)
    wide = max((len(row["does"]) for row in rows), default=0)
    lines = [f"{found['dialect'] or 'file'}/{found['set']}"]
    lines += [f"  {row['rule']:<{width}}  {row['does']:<{wide}}  {row['citation']}" for row in rows]
    lines += ["signals"] if found["signals"] else []
    lines += [f"  {name}: {meaning}" for name, meaning in found["signals"].items()]
    return "\n".join(lines)


def compared(before: RuleSet, after: RuleSet) -> list[dict[str, Any]]:
    """Return the rules, by name, that only one of two sets has or that ask for something else."""
    sides = [{rule.name: condition(rule) for rule in rules_of(one)} for one in (before, after)]
    return [
        {"rule": name, "a": sides[0].get(name), "b": sides[1].get(name)}
        for name in {**sides[0], **sides[1]}
        if sides[0].get(name) != sides[1].get(name)
    ]


def rules_of(chosen: RuleSet) -> tuple[Rule | EditRule, ...]:
    """Return the editing and the judging rules of a set, in order."""
    return (*chosen.edits, *chosen.rules)


def condition(rule: Rule | EditRule) -> str:
    """Return what the rule asks for: ``words >= 50 (only en)``, or ``edit c4 (3)``."""
    if isinstance(rule, EditRule):
        limit = "" if rule.threshold is None else f" ({rule.threshold:g})"
        return f"edit {rule.editor}{limit}"
    only = f" (only {' '.join(rule.languages)})" if rule.languages else ""
    only += f" (not {' '.join(rule.except_languages)})" if rule.except_languages else ""
    return f"{rule.signal} {rule.comparison} {rule.threshold:.10g}{only}"
