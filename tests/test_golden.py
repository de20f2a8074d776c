"""The sample end to end: one content digest for any workers, order, unit size and engine mode.

The digest in golden/sample.json changes only with a deliberate change of what is kept or recorded;
``python tests/test_golden.py`` writes it anew.
"""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from corpusforge import api, explain
from corpusforge import spec as specs
from corpusforge.shard import read_batches

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "sample_data"
GOLDEN = ROOT / "tests/golden/sample.json"
FILES = [SAMPLE / n for n in ("pages.warc.gz", "awkward.warc.gz", "notes.jsonl", "more.jsonl.gz")]
MULTI = ("direct_running_mode=multi_processing",)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A clean run of the sample with the defaults."""
    root = str(tmp_path_factory.mktemp("golden") / "clean")
    return root, api.clean([str(SAMPLE)], root)


def test_the_content_digest_is_the_committed_one(clean):
    """Same input and spec: the same corpus and ledger, to the last byte of every row."""
    golden = json.loads(GOLDEN.read_text())
    assert clean[1].counts == golden["counts"]
    assert clean[1].content == golden["content"]


@pytest.mark.parametrize(
    ("workers", "beam", "unit_bytes"),
    [(1, MULTI, 1 << 16), (2, MULTI, 1 << 18), (1, (), 1 << 17)],
    ids=["one worker process", "two worker processes", "in memory, other units"],
)
def test_workers_engines_and_units_do_not_matter(clean, tmp_path, workers, beam, unit_bytes):
    """Workers 1 and 2, multi_processing and in_memory, many small units: one digest."""
    spec = specs.load(specs.CleanSpec, overrides=[f"plan.unit_bytes={unit_bytes}"])
    done = api.clean([str(SAMPLE)], str(tmp_path / "r"), spec, workers=workers, beam=beam)
    assert done.content == clean[1].content
    assert len(done.in_folder("corpus")) > 1


def test_the_order_of_files_does_not_matter(tmp_path):
    """Files named one by one, in two orders, give one digest."""
    names = [str(path) for path in FILES]
    one = api.clean(names, str(tmp_path / "a"))
    two = api.clean(names[::-1], str(tmp_path / "b"))
    assert one.content == two.content


def test_output_formats_hold_the_same_rows(clean, tmp_path):
    """Arrow, Parquet and JSONL corpora have one content digest."""
    for name in ("parquet", "jsonl"):
        spec = specs.load(specs.CleanSpec, overrides=[f"output.format={name}"])
        done = api.clean([str(SAMPLE)], str(tmp_path / name), spec)
        assert done.content == clean[1].content
        assert api.verify(str(tmp_path / name))["counts"] == clean[1].counts


def test_a_second_run_does_nothing(clean):
    """A finished run is recognised and not touched."""
    before = sorted((p, p.stat().st_mtime_ns) for p in Path(clean[0]).rglob("*.arrow"))
    assert api.clean([str(SAMPLE)], clean[0]).content == clean[1].content
    assert before == sorted((p, p.stat().st_mtime_ns) for p in Path(clean[0]).rglob("*.arrow"))


def test_every_awkward_record_has_its_answer(clean):
    """Outcome, stage and rule of each record of expected.json, and what its text must hold."""
    rows = {
        (r["source"].removeprefix("sample_data/"), r["offset"]): r
        for r in explain.ledger(clean[0]).to_pylist()
    }
    groups: dict[str, list[str]] = {}
    wrong = []
    for want in json.loads((SAMPLE / "expected.json").read_text()):
        row = rows[want["file"], want["offset"]]
        allowed = want["outcome"] if isinstance(want["outcome"], list) else [want["outcome"]]
        if want.get("group"):
            groups.setdefault(want["group"], []).append(row["outcome"])
        rules = {reason["rule"] for reason in row["reasons"] or []}
        fits = row["outcome"] in allowed
        if row["outcome"] != "kept":
            fits &= want["stage"] in (None, row["stage"]) or len(allowed) > 1
            fits &= want["rule"] is None or want["rule"] in rules or len(allowed) > 1
        if not fits:
            wrong.append((want, row["outcome"], row["stage"], sorted(rules), row["detail"]))
    assert not wrong, "\n".join(map(str, wrong))
    assert groups
    assert all(sorted(found) == ["dropped", "kept"] for found in groups.values()), groups


def test_texts_hold_what_the_expected_answers_say(tmp_path):
    """Charsets, encodings and broken headers: the decoded text holds the given words."""
    settings = ["extract.method=none", "rules.use=[]", "dedup.near=none", "dedup.exact=none"]
    done = api.clean(
        [str(SAMPLE)], str(tmp_path / "r"), specs.load(specs.CleanSpec, overrides=settings)
    )
    texts = {}
    for shard in done.in_folder("corpus"):
        for batch in read_batches(str(tmp_path / "r"), shard.name):
            for row in batch.to_pylist():
                texts[row["source"].removeprefix("sample_data/"), row["offset"]] = row["text"]
    checked = 0
    for want in json.loads((SAMPLE / "expected.json").read_text()):
        text = texts.get((want["file"], want["offset"]))
        if want.get("contains") and text is not None:
            assert want["contains"] in text, want
            checked += 1
    assert checked > 10


def test_removed_documents_name_a_kept_survivor(clean):
    """No duplicate points to a document that is not in the corpus."""
    rows = explain.ledger(clean[0]).to_pylist()
    kept = {row["id"] for row in rows if row["outcome"] == "kept"}
    removed = [row for row in rows if row["duplicate_of"] is not None]
    assert removed
    assert all(row["duplicate_of"] in kept and row["similarity"] >= 0.7 for row in removed)


def test_explain_shows_what_a_page_states(clean):
    """Title and blocks of a page of the sample, from the file that holds its text."""
    url = "https://www.debian.org/releases/bookworm/arm64/ch08s06.en.html"
    (row,) = explain.document(clean[0], url)
    said = explain.describe(clean[0], row)
    assert row["stated"]["title"] == "8.6. Recovering a Broken System"
    assert "\n  title 8.6. Recovering a Broken System\n" in said
    assert f"{row['stated']['blocks_kept']} of {row['stated']['blocks_seen']} blocks kept" in said


def test_other_tools_read_ledger_and_signals(clean):
    """They are plain Parquet."""
    ledger = pq.read_table(Path(clean[0], "ledger"))
    assert ledger.num_rows == clean[1].counts["in"]
    assert "dup_line_fraction" in pq.read_table(Path(clean[0], "signals")).schema.names


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        made = api.clean([str(SAMPLE)], f"{folder}/clean")
        GOLDEN.write_text(
            json.dumps({"content": made.content, "counts": made.counts}, indent=1) + "\n"
        )
        print(GOLDEN.read_text())
