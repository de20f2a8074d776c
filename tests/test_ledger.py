"""The ledger: in = kept + dropped + failed for any verdicts, and one digest for any cut."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusforge import ledger
from corpusforge.errors import AccountingError
from corpusforge.kernels import digest
from corpusforge.ledger import Place
from corpusforge.schema import CUT, LEDGER, TWIN, VERDICT
from corpusforge.stages.recipe import WORK
from corpusforge.transform import alive, decide, reasons_array
from corpusforge.transforms.mark import Mark

OUTCOMES = st.sampled_from(["kept", "dropped", "failed"])


def work(outcomes, texts):
    """A batch as the documents stage leaves it, with the columns of Mark."""
    rows = [
        {
            "id": number.to_bytes(16, "big"),
            "source": "s",
            "offset": number,
            "ordinal": 0,
            "text": text,
            "outcome": outcome,
            "stage": None if outcome == "kept" else "rules",
            "reasons": [{"rule": "r", "value": 1.5}] if outcome == "dropped" else None,
        }
        for number, (outcome, text) in enumerate(zip(outcomes, texts, strict=True))
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=WORK)
    n = len(rows)
    for field in (*TWIN, CUT):
        batch = batch.append_column(field, pa.nulls(n, field.type))
    return batch


@given(st.lists(st.tuples(OUTCOMES, st.one_of(st.none(), st.text(max_size=20))), max_size=30))
def test_settle_loses_nothing(rows):
    """Every row is in the ledger once; kept and stored rows are where the ledger says."""
    batch = work([o for o, _ in rows], [t for _, t in rows])
    done = ledger.settle(batch, Place("corpus/a.arrow", 7), Place("dropped/a.arrow", 3))
    counts = ledger.count(done.ledger)
    ledger.balance(len(rows), counts)
    assert done.ledger.column("id").equals(batch.column("id"))
    assert done.kept.num_rows == counts["kept"]
    for kind, start, stored in (("corpus", 7, done.kept), ("dropped", 3, done.dropped)):
        named = [r for r in done.ledger.to_pylist() if r["shard"] == f"{kind}/a.arrow"]
        assert [r["row"] for r in named] == list(range(start, start + stored.num_rows))
        assert [r["id"] for r in named] == stored.column("id").to_pylist()


@given(
    st.lists(
        st.tuples(OUTCOMES, st.one_of(st.none(), st.text(max_size=20))), min_size=2, max_size=20
    ),
    st.data(),
)
def test_content_digest_is_a_sum_over_rows(rows, data):
    """Cutting a batch anywhere gives the same content digest; changing a text does not."""
    batch = work([o for o, _ in rows], [t for _, t in rows])
    cut = data.draw(st.integers(0, len(rows)))

    def content(part, row):
        done = ledger.settle(part, Place("x", row), Place("y", row))
        return ledger.content(done.kept, done.ledger)

    whole = content(batch, 0)
    assert whole == digest.combine([content(batch.slice(0, cut), 5), content(batch.slice(cut), 9)])
    if rows[0][0] == "kept":
        other = work([o for o, _ in rows], ["changed!" * 9, *[t for _, t in rows[1:]]])
        assert content(other, 0) != whole


def test_balance_refuses_a_lost_row():
    """A missing row is exit code 4, with the numbers."""
    with pytest.raises(AccountingError, match="5 records were read, the ledger has 4") as caught:
        ledger.balance(5, {"in": 4, "kept": 4, "dropped": 0, "failed": 0})
    assert caught.value.exit_code == 4


def test_the_first_verdict_stays():
    """decide() never overrules an earlier verdict, and keeps reasons of undecided rows apart."""
    batch = work(["kept", "failed", "kept"], ["a", "b", "c"])
    reasons = reasons_array(
        np.array([1, 1, 0]),
        ["x", "y"],
        ["s", "s"],
        np.array([1.0, 2.0]),
        ["<", "<"],
        np.array([0.5, 0.5]),
    )
    after = decide(
        batch, np.array([True, True, False]), outcome="dropped", stage="rules", reasons=reasons
    )
    assert after.column("outcome").to_pylist() == ["dropped", "failed", "kept"]
    assert after.column("reasons").to_pylist()[0][0]["rule"] == "x"
    assert after.column("reasons").to_pylist()[1:] == [None, None]
    assert alive(after).tolist() == [False, False, True]
    assert batch.column("outcome").to_pylist() == ["kept", "failed", "kept"]  # input untouched


def test_mark_names_the_survivor():
    """A removed document is dropped at dedup with survivor, similarity and threshold."""
    batch = work(["kept", "kept", "failed"], ["a", "b", None]).drop_columns(
        [field.name for field in TWIN]
    )
    ids = batch.column("id")
    removed = pa.table(
        {
            "id": ids.slice(1, 1),
            "duplicate_of": ids.slice(0, 1),
            "duplicate_in": pa.array(["old"]),
            "similarity": pa.array([0.75], pa.float32()),
            "bands_matched": pa.array([2], pa.int32()),
            "exact": pa.array([False]),
        }
    )
    row = Mark(removed, 0.7)(batch).to_pylist()[1]
    assert (row["outcome"], row["stage"], row["duplicate_of"]) == (
        "dropped",
        "dedup",
        ids[0].as_py(),
    )
    assert (row["duplicate_in"], row["bands_matched"]) == ("old", 2)
    assert row["reasons"] == [
        {
            "rule": "near-duplicate",
            "signal": "similarity",
            "value": 0.75,
            "comparison": "<",
            "threshold": 0.7,
        }
    ]


def test_every_ledger_column_but_the_file_address_is_in_the_digest():
    """Only shard and row, which depend on unit sizes, stay out."""
    assert set(LEDGER.names) - set(ledger.LOGICAL) == {"shard", "row"}
    assert set(VERDICT.names) <= set(ledger.LOGICAL)
