"""What our rules decide where another tool's decisions are recorded.

    python benchmarks/conformance.py -o PRED.jsonl.gz --tool datatrove --splitter spacy \\
        text=TEXTS.jsonl.gz gold=MORE.jsonl.gz [--gold FILTERS.jsonl.gz]

Each input is SET=FILE, JSON lines with the fields "id" and "text". PRED gets a row a document and
filter of the tool: {"id", "set", "tool", "filter", "keep", "reason", "values"}, made by the kernels
and the rules of the tool's dialect, each filter on the untouched text. ``reason`` is the tool's
word for the first failing rule (DCLM has one a filter). With ``--gold``, the rows of the tool,
prints for every filter the share of equal decisions and reasons, and of every value the rows that
differ by more than 1e-6. dolma only measures: see conformance_peers.py.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpusforge import rules
from corpusforge.kernels import families
from corpusforge.schema import LANGUAGE, VERDICT
from corpusforge.transform import chain
from corpusforge.transforms.edit import Edit
from corpusforge.transforms.judge import judge_signals
from corpusforge.transforms.measure import Measure

TOLERANCE = 1e-6


@dataclass(frozen=True)
class Filter:
    """A filter of a tool: our rule set, and which of our signals are its values."""

    rule_set: str
    values: Mapping[str, str] = field(default_factory=dict)
    digest: bool = False  # the text behind it is compared
    only: str = ""  # of the set, the rules with this ``peer``


TOP = {f"top{n}": f"datatrove_top_{n}_gram" for n in (2, 3, 4)}
DUP = {f"dup{n}": f"datatrove_dup_{n}_gram" for n in range(5, 11)}
FILTERS: dict[str, dict[str, Filter]] = {
    "datatrove": {
        "gopher_quality": Filter(
            "gopher-quality",
            {
                "words": "datatrove_words",
                "tokens": "datatrove_tokens",
                "mean_len": "datatrove_mean_word_length",
                "hash": "datatrove_hash_ratio",
                "ellipsis": "datatrove_ellipsis_ratio",
                "bullet": "bullet_line_ratio",
                "end_ellipsis": "ellipsis_line_ratio",
                "alpha": "datatrove_alpha_ratio",
                "stop": "datatrove_stop_words",
            },
        ),
        "gopher_repetition": Filter(
            "gopher-repetition",
            {
                "para": "dup_paragraph_fraction",
                "para_char": "dup_paragraph_char_fraction",
                "line": "dup_line_fraction",
                "line_char": "dup_line_char_fraction",
                **TOP,
                **DUP,
            },
        ),
        "c4_quality": Filter("c4", digest=True),
        "c4_quality_no_punct": Filter("c4-no-punct", digest=True),
        "c4_paragraph": Filter("c4-paragraph", {"third_line": "datatrove_third_line"}),
        "fineweb_quality": Filter(
            "fineweb",
            {
                "punct": "line_punct_ratio",
                "short": "short_line_ratio",
                "char_dup": "char_dup_ratio",
                "newline": "datatrove_newline_ratio",
            },
        ),
    },
    "dclm": {
        "repetition": Filter("gopher-repetition"),
        **{
            name: Filter("gopher-quality", only=name)
            for name in (
                *("length", "word_length", "symbol_ratio", "bullets", "ellipsis", "alphabetic"),
                "stop_words",
            )
        },
    },
}


def lines(path: str | Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a JSON lines file, compressed or not."""
    opened = gzip.open if str(path).endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def predict(
    texts: Mapping[tuple[str, str], str], tool: str, splitter: str
) -> Iterator[dict[str, Any]]:
    """Yield the row of every document of ``texts``, {(set, id): text}, and filter of ``tool``."""
    batch = documents(texts)
    every = [rules.find(one.rule_set, tool) for one in FILTERS[tool].values()]
    reads = [rule.signal for one in every for rule in one.rules]
    batch = Measure(families.families_of(reads), splitter)(batch)
    for name, one in FILTERS[tool].items():
        chosen = rules.choose({"dialect": tool, "use": [one.rule_set]})
        steps = [Edit(scope, splitter) for scope in chosen.scopes[1:]]
        after = chain(*steps)(batch)
        asked = [rule for rule in chosen.rules if one.only in ("", rule.peer)]
        peer = {rule.id: rule.peer for rule in asked}
        reasons = judge_signals(after, asked)[0].to_pylist()
        columns = {ours: after.column(ours).to_pylist() for ours in one.values.values()}
        out = after.column("text").to_pylist() if one.digest else []
        for place, (group, key) in enumerate(texts):
            values = {theirs: columns[ours][place] for theirs, ours in one.values.items()}
            failed = [peer[reason["rule"]] for reason in reasons[place]]
            if one.digest and not failed:
                digest = hashlib.sha1(out[place].encode()).hexdigest()[:12]
                values |= {"sha1_out": digest, "chars_out": len(out[place])}
            yield {
                **{"id": key, "set": group, "tool": tool, "filter": name, "keep": not failed},
                **{"reason": failed[0] if failed else None, "values": values},
            }


def documents(texts: Mapping[tuple[str, str], str]) -> pa.RecordBatch:
    """Return a document batch of ``texts`` in English."""
    rows = len(texts)
    columns = {
        "id": pa.array([key.encode() for _, key in texts]),
        "text": pa.array([_valid(text) for text in texts.values()], pa.string()),
        "outcome": pa.array(["kept"] * rows),
        "language": pa.array(["en"] * rows),
        "language_score": pa.array([1.0] * rows, pa.float32()),
    }
    for one in (*VERDICT, *LANGUAGE):
        columns.setdefault(one.name, pa.nulls(rows, one.type))
    return pa.RecordBatch.from_pydict(columns)


def _valid(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


@dataclass
class Score:
    """How the rows of one filter compare."""

    rows: int = 0
    equal: int = 0
    both_drop: int = 0
    same_reason: int = 0
    compared: Counter[str] = field(default_factory=Counter)
    differ: Counter[str] = field(default_factory=Counter)
    different: list[tuple[str, str]] = field(default_factory=list)  # documents, any difference

    def add(self, gold: Mapping[str, Any], ours: Mapping[str, Any] | None) -> None:
        """Compare a recorded row with ours; a document without ours is a disagreement."""
        self.rows += 1
        found = ours or {"keep": None, "reason": None, "values": {}}
        same = gold["keep"] == found["keep"]
        self.equal += same
        if same and not gold["keep"] and gold["reason"]:
            self.both_drop += 1
            self.same_reason += gold["reason"] == found["reason"]
            same = gold["reason"] == found["reason"]
        for name, value in (gold["values"] or {}).items():
            if value is None:
                continue
            self.compared[name] += 1
            if not _equal(value, found["values"].get(name)):
                self.differ[name] += 1
                same = False
        if not same:
            self.different.append((gold["set"], gold["id"]))


def _equal(theirs: Any, ours: Any) -> bool:
    if isinstance(theirs, int | float) and isinstance(ours, int | float):
        return abs(theirs - ours) <= TOLERANCE * max(1.0, abs(theirs))
    return bool(theirs == ours)


def score(
    gold: Iterable[Mapping[str, Any]], predicted: Iterable[Mapping[str, Any]]
) -> dict[str, Score]:
    """Compare recorded rows with ours, by filter."""
    ours = {(row["set"], row["id"], row["filter"]): row for row in predicted}
    found: dict[str, Score] = defaultdict(Score)
    for row in gold:
        found[row["filter"]].add(row, ours.get((row["set"], row["id"], row["filter"])))
    return found


def main() -> None:
    """Write the predictions, and compare them where there is something to compare with."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inputs", nargs="+", metavar="SET=FILE")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--tool", default="datatrove", choices=sorted(FILTERS))
    parser.add_argument("--splitter", default="unicode")
    parser.add_argument("--gold", metavar="FILE")
    parser.add_argument("--only", metavar="SET", help="compare the documents of one set")
    given = parser.parse_args()
    texts = {}
    for item in given.inputs:
        name, _, path = item.partition("=")
        texts |= {(name, str(row["id"])): row["text"] for row in lines(path)}
    rows = list(predict(texts, given.tool, given.splitter))
    opened = gzip.open if given.output.endswith(".gz") else open
    with opened(given.output, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    if not given.gold:
        return
    known = FILTERS[given.tool]
    gold = [
        row
        for row in lines(given.gold)
        if row["tool"] == given.tool and row["filter"] in known and given.only in (None, row["set"])
    ]
    for name, one in score(gold, rows).items():
        reasons = one.same_reason / one.both_drop if one.both_drop else 1.0
        print(
            f"{name}: {one.rows} documents, decisions {one.equal / one.rows:.3%},"
            f" reasons {reasons:.3%}, different documents {len(one.different)}"
        )
        for value, count in one.differ.items():
            print(f"    {value}: {count} of {one.compared[value]} differ")
        for group, key in one.different[:5]:
            print(f"    ! {group} {key}")


if __name__ == "__main__":
    main()
