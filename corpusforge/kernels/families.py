"""Families of signals: which there are, what each measures, and how.

The general signals are always measured; another family where a rule reads one of its signals, or
the spec names it. An editing family's signals come from its edit (``edits``), not from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpusforge.errors import SpecError, nearest
from corpusforge.kernels import curator, datatrove, dclm, dolma, general, signals
from corpusforge.kernels.family import Signal
from corpusforge.kernels.splitters import Tokens, split

GENERAL = "general"


@dataclass(frozen=True)
class Family:
    """Signals that are measured together.

    ``measure`` takes the texts, and the tokens of the chosen splitter where ``tokens`` says so.
    """

    signals: tuple[Signal, ...]
    measure: Callable[..., dict[str, np.ndarray]]
    tokens: bool = False  # looks at the words of the chosen splitter


def _plain(found: Iterable[signals.Signal]) -> tuple[Signal, ...]:
    return tuple(Signal(one.name, one.meaning, one.kind) for one in found)


FAMILIES = {
    "text": Family(_plain(general.SIGNALS), general.measure),
    "datatrove": Family(datatrove.SIGNALS, datatrove.measure, tokens=True),
    "dolma": Family(_plain(dolma.SIGNALS), dolma.measure),
    "dclm": Family(_plain(dclm.SIGNALS), dclm.measure),
    "curator": Family(_plain(curator.SIGNALS), curator.measure),
}
_GENERAL = _plain(signals.SIGNALS.values())
NAMES = (GENERAL, *FAMILIES)
SIGNALS: dict[str, Signal] = {one.name: one for one in _GENERAL} | {
    one.name: one for family in FAMILIES.values() for one in family.signals
}
_FAMILY_OF = dict.fromkeys((one.name for one in _GENERAL), GENERAL) | {
    one.name: name for name, family in FAMILIES.items() for one in family.signals
}


def families_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return the families of the signals ``names`` in the order of NAMES, the general one first.

    Names that belong to no family are left out.
    """
    wanted = {_FAMILY_OF[name] for name in names if name in _FAMILY_OF}
    return tuple(name for name in NAMES if name == GENERAL or name in wanted)


def known_families(names: Iterable[str]) -> tuple[str, ...]:
    """Return the general family and ``names``, in the order of NAMES; refuses an unknown one."""
    wanted = set(names)
    for name in sorted(wanted):
        if name not in NAMES:
            raise SpecError(f"no family of signals is called '{name}'", remedy=nearest(name, NAMES))
    return tuple(name for name in NAMES if name == GENERAL or name in wanted)


def signals_of(families: Iterable[str]) -> tuple[Signal, ...]:
    """Return the signals of ``families``, in the order of SIGNALS."""
    chosen = set(families)
    return tuple(one for one in SIGNALS.values() if _FAMILY_OF[one.name] in chosen)


def measure(
    text: pa.StringArray, families: Iterable[str] = (GENERAL,), splitter: str = "unicode"
) -> dict[str, np.ndarray]:
    """Return every signal of ``families`` of every text by name.

    Each is (rows,): int64 for a count, float64 for a share. A null text has 0 or NaN.
    """
    tokens: Tokens | None = None
    measured: dict[str, np.ndarray] = {}
    for name in families:
        family = FAMILIES.get(name)
        if tokens is None and (splitter != "unicode" if family is None else family.tokens):
            tokens = split(text, splitter)
        if family is None:
            measured |= signals.measure(text, None if splitter == "unicode" else tokens)
        else:
            measured |= family.measure(text, tokens) if family.tokens else family.measure(text)
    return measured
