"""Edit replaces texts, says what it cut, and measures what is left under the set's name."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.kernels import families
from corpusforge.rules import Chosen, choose
from corpusforge.schema import EDITS, LANGUAGE, VERDICT
from corpusforge.transform import chain, note_edits
from corpusforge.transforms.edit import Edit
from corpusforge.transforms.judge import Judge, judge_signals
from corpusforge.transforms.measure import Measure

LINE = "This line of five words stays here."
RULES = {"dialect": "datatrove", "use": ["gopher-repetition", "c4", "fineweb"]}


def batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """Document batch of ``rows``."""
    types = {"id": pa.binary(), "text": pa.string()}
    types |= {field.name: field.type for field in (*VERDICT, *LANGUAGE)}
    neutral = {"id": b"1", "outcome": "kept", "language": "en", "language_score": 1.0}
    full = [{**neutral, **row} for row in rows]
    return pa.RecordBatch.from_pydict(
        {name: pa.array([row.get(name) for row in full], kind) for name, kind in types.items()}
    )


def run(chosen: Chosen, rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """Measure, edit and judge ``rows`` as a clean run does."""
    first, *later = chosen.scopes
    return chain(Measure(first.families), *(Edit(scope) for scope in later), Judge(chosen.rules))(
        batch(rows)
    )


def test_text_counts_and_signals() -> None:
    """Of rows still kept only; the ledger's counts name the rule."""
    (_, scope) = choose({"use": ["c4"]}).scopes
    text = f"{LINE}\nno mark here\nToo few.\n{LINE}[1]"
    rows = [{"text": text}, {"text": text, "outcome": "failed"}, {"text": None}, {"text": LINE}]
    after = chain(Edit(scope))(batch(rows))
    assert after.column("text").to_pylist() == [f"{LINE}\n{LINE}", text, None, LINE]
    assert after.column("edits").type == EDITS.type
    assert after.column("edits").to_pylist() == [
        [
            {"rule": "c4.citations", "count": 1},
            {"rule": "c4.end_mark", "count": 1},
            {"rule": "c4.min_line_words", "count": 1},
        ],
        None,
        None,
        None,
    ]
    assert after.column("c4:c4_sentences").to_pylist() == [2, None, None, 1]
    assert after.column("c4:chars").to_pylist() == [2 * len(LINE) + 1, None, None, len(LINE)]


def test_later_sets_judge_the_edited_text() -> None:
    """Earlier ones the text as it came; the columns are those that the rules say."""
    chosen = choose(RULES)
    assert [scope.prefix for scope in chosen.scopes] == ["", "c4:"]
    text = "\n".join([LINE, "and one more line without an end mark"] * 3)
    after = run(chosen, [{"text": text}])
    reasons = {one["rule"]: one["signal"] for one in after.column("reasons")[0].as_py()}
    assert reasons["gopher-repetition.max_dup_lines"] == "dup_line_fraction"
    assert reasons["c4.min_sentences"] == "c4:c4_sentences"
    assert reasons["fineweb.max_dup_chars"] == "c4:char_dup_ratio"
    assert set(chosen.columns()) <= set(after.schema.names)
    assert after.column("c4:line_punct_ratio")[0].as_py() == 1


def test_edits_of_two_steps_are_joined() -> None:
    """In order, row by row."""
    rows = batch([{"text": "a"}, {"text": "b"}, {"text": "c"}])
    once = note_edits(rows, ["x", "y"], pa.array([0, 1, 2]).to_numpy()[:, None] * [1, 2])
    twice = note_edits(once, ["z"], pa.array([5, 0, 6]).to_numpy()[:, None])
    assert twice.column("edits").to_pylist() == [
        [{"rule": "z", "count": 5}],
        [{"rule": "x", "count": 1}, {"rule": "y", "count": 2}],
        [{"rule": "x", "count": 2}, {"rule": "y", "count": 4}, {"rule": "z", "count": 6}],
    ]


TEXT = st.lists(
    st.sampled_from([LINE, "no mark", "lorem ipsum here now.", "a { b c.", "", "Use cookies now."]),
    max_size=9,
).map("\n".join)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.none() | TEXT, max_size=5), st.integers(0, 5))
def test_replay_law_and_concatenation(texts: list[str | None], cut: int) -> None:
    """Stored signals give the verdicts of the run, and parts those of the whole."""
    chosen = choose(RULES)
    rows = [{"text": text} for text in texts]
    after = run(chosen, rows)
    wanted = ["text", "edits", *VERDICT.names]
    parts = [run(chosen, rows[:cut]), run(chosen, rows[cut:])]
    assert after.select(wanted).to_pylist() == [
        row for part in parts for row in part.select(wanted).to_pylist()
    ]
    stored = io.BytesIO()
    pq.write_table(pa.table(after.select([*LANGUAGE.names, *chosen.columns()])), stored)
    reasons, _ = judge_signals(pq.read_table(stored), chosen.rules)
    for row, again in zip(after.to_pylist(), reasons.to_pylist(), strict=True):
        assert (row["reasons"] or []) == again


def test_kinds_of_columns() -> None:
    """What a run stores says of every column whether it counts or is a share."""
    chosen = choose(RULES)
    after = run(chosen, [{"text": LINE}])
    kinds = chosen.columns(families.NAMES)
    assert {"words", "datatrove_top_2_gram", "c4:words", "c4:c4_sentences"} <= set(kinds)
    for name, kind in chosen.columns().items():
        expected = pa.int64() if kind == "count" else pa.float64()
        assert after.column(name).type == expected, name
