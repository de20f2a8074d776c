"""Judge keeps every failing rule, in order; stored signals give the same verdicts again."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.kernels.signals import SIGNALS
from corpusforge.rules import Rule, find, load
from corpusforge.schema import LANGUAGE, REASON, VERDICT, check
from corpusforge.transform import chain
from corpusforge.transforms.judge import Judge, judge_signals
from corpusforge.transforms.measure import Measure

WORDS = Rule("set", "min_words", "words", ">=", 3.0, "")
ENGLISH = Rule("set", "stop", "stop_words", ">", 1.0, "", languages=("en",))
SPACED = Rule("set", "length", "mean_word_length", "<=", 4.5, "", except_languages=("zh",))
RULES = (WORDS, ENGLISH, SPACED)


def batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """Document batch of ``rows`` with neutral values for what a row leaves out."""
    types = {"id": pa.binary(), **{field.name: field.type for field in (*VERDICT, *LANGUAGE)}}
    types |= {"words": pa.int64(), "stop_words": pa.int64(), "mean_word_length": pa.float64()}
    neutral = {"id": b"1", "outcome": "kept"}
    return pa.RecordBatch.from_arrays(
        [
            pa.array([{**neutral, **row}.get(name) for row in rows], kind)
            for name, kind in types.items()
        ],
        schema=pa.schema(
            [pa.field(name, kind, nullable=name not in neutral) for name, kind in types.items()]
        ),
    )


def failing(row: dict[str, Any], judge: Judge) -> list[dict[str, Any]]:
    """Reasons that ``judge`` gives one document; its outcome and stage must fit them."""
    after = chain(judge)(batch([row]))
    check(after, VERDICT)
    (verdict,) = after.select(["outcome", "stage", "reasons"]).to_pylist()
    reasons = verdict["reasons"] or []
    assert verdict["outcome"] == ("dropped" if reasons else "kept")
    first = reasons[0]["rule"].partition(".")[0] if reasons else None
    assert verdict["stage"] == {None: None, "language": "language", "set": "rules"}[first]
    return reasons


GOOD = {
    "language": "en",
    "language_score": 0.9,
    "words": 3,
    "stop_words": 2,
    "mean_word_length": 4.5,
}


def test_a_good_document_is_kept() -> None:
    """Values at the threshold are kept where the comparison says so."""
    assert failing(GOOD, Judge(RULES, ("en",), 0.9)) == []


def test_all_failing_rules_in_order() -> None:
    """Each with its value and threshold, past the first one."""
    row = GOOD | {"words": 2, "stop_words": 1, "mean_word_length": 4.6}
    assert failing(row, Judge(RULES)) == [
        {
            "rule": "set.min_words",
            "signal": "words",
            "value": 2,
            "comparison": ">=",
            "threshold": 3,
        },
        {"rule": "set.stop", "signal": "stop_words", "value": 1, "comparison": ">", "threshold": 1},
        {
            "rule": "set.length",
            "signal": "mean_word_length",
            "value": 4.6,
            "comparison": "<=",
            "threshold": 4.5,
        },
    ]


def test_languages_of_a_rule() -> None:
    """A rule for some languages leaves the others, and an unknown language, alone."""
    bad = GOOD | {"stop_words": 0, "mean_word_length": 9.0}
    rules = {
        language: [reason["rule"] for reason in failing(bad | {"language": language}, Judge(RULES))]
        for language in ("en", "de", "zh", None)
    }
    assert rules == {
        "en": ["set.stop", "set.length"],
        "de": ["set.length"],
        "zh": [],
        None: ["set.length"],
    }


def test_language_rules_come_first() -> None:
    """Only with a keep list; its reason has no value; the rest of the rules is judged as well."""
    row = GOOD | {"language": "fr", "language_score": 0.649, "words": 0}
    assert [reason["rule"] for reason in failing(row, Judge(RULES))] == ["set.min_words"]
    assert failing(row, Judge(RULES, ("en", "de"), 0.65)) == [
        {
            "rule": "language.keep",
            "signal": "language",
            "value": None,
            "comparison": "in",
            "threshold": None,
        },
        {
            "rule": "language.min_score",
            "signal": "language_score",
            "value": 0.649,
            "comparison": ">=",
            "threshold": 0.65,
        },
        {
            "rule": "set.min_words",
            "signal": "words",
            "value": 0,
            "comparison": ">=",
            "threshold": 3,
        },
    ]
    assert failing(row | {"language": None, "words": 3}, Judge((), ("en",)))[0]["value"] is None


def test_a_score_at_the_limit_is_kept() -> None:
    """0.65 as float32 lies below 0.65; the three decimals count."""
    assert failing(GOOD | {"language_score": 0.65}, Judge(RULES, ("en",), 0.65)) == []


def test_decided_rows_and_missing_signals_are_left_alone() -> None:
    """An earlier verdict stands; a null signal fails nothing."""
    reason = {"rule": "mime", "signal": None, "value": None, "comparison": None, "threshold": None}
    decided = {"outcome": "dropped", "stage": "read", "reasons": [reason], "words": 0}
    after = chain(Judge(RULES))(batch([decided, {"id": b"2"}]))
    assert after.column("stage").to_pylist() == ["read", None]
    assert after.column("reasons").to_pylist() == [[reason], None]
    assert after.column("outcome").to_pylist() == ["dropped", "kept"]


def test_no_rules_keep_everything() -> None:
    """``rules.use = []`` and every language: no verdict, and no signal is asked for."""
    assert Judge(()).reads == ("outcome", "language", "language_score")
    assert failing({}, Judge(())) == []


DOCUMENTS = st.lists(
    st.fixed_dictionaries(
        {
            "text": st.none()
            | st.lists(st.sampled_from(["the", "and", "cat", "我", "#", "\n"])).map(" ".join),
            "language": st.sampled_from(["en", "zh", None]),
            "language_score": st.sampled_from([0.1, 0.65, 0.999]),
            "outcome": st.sampled_from(["kept", "failed"]),
        }
    ),
    max_size=6,
)


def _documents(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    document = batch(rows).drop_columns(["words", "stop_words", "mean_word_length"])
    return document.append_column("text", pa.array([row["text"] for row in rows], pa.string()))


@settings(max_examples=40, deadline=None)
@given(DOCUMENTS, st.integers(0, 6), st.floats(0, 1), st.sampled_from([0, 3, 60]))
def test_replay_law_and_concatenation(
    rows: list[dict[str, Any]], cut: int, score: float, words: int
) -> None:
    """Verdicts of a run = verdicts of its stored signals = verdicts of its parts."""
    rules = (
        *load({"gopher-quality": {"min_words": words}}),
        *find("fineweb").rules,
    )
    judge = Judge(rules, ("en",), score)
    run = chain(Measure(), judge)
    after = run(_documents(rows))
    verdicts = after.select(VERDICT.names).to_pylist()
    parts = [run(_documents(rows[:cut])), run(_documents(rows[cut:]))]
    assert [
        *parts[0].select(VERDICT.names).to_pylist(),
        *parts[1].select(VERDICT.names).to_pylist(),
    ] == verdicts

    stored = io.BytesIO()
    pq.write_table(pa.table(after.select([*LANGUAGE.names, *SIGNALS])), stored)
    reasons, stages = judge_signals(pq.read_table(stored), rules, ("en",), score)
    assert reasons.type == pa.list_(REASON)
    for row, verdict, again, stage in zip(
        rows, verdicts, reasons.to_pylist(), stages.to_pylist(), strict=True
    ):
        if row["outcome"] == "kept":
            assert (verdict["reasons"] or []) == again
            assert verdict["stage"] == stage
