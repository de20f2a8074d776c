"""URL lists, decontamination, own Python and PII through a whole run on small inputs."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from corpusforge import api, explain, manifest
from corpusforge import spec as specs
from corpusforge.errors import ForgeError
from corpusforge.shard import read_batches

PLAIN = ["rules.use=[]", "language.keep=all", "dedup.near=none", "dedup.exact=none"]
QUESTION = "which planet of the solar system has the largest number of known moons today"
DOCUMENTS = [
    {"id": "clean", "url": "https://good.example/a", "text": "Write to jo@site.com or 9.9.9.9."},
    {"id": "domain", "url": "https://x.bad.example/a", "text": "Nothing to see here."},
    {"id": "words", "url": "https://h.example/bet-spin", "text": "Nothing to see here."},
    {"id": "leak", "url": None, "text": f"Quiz: {QUESTION.upper()}? Ask jo@site.com."},
    {"id": "html", "url": "http://bad.example", "html": "<p>Page</p>"},
]
OWN = """
import pyarrow as pa
import pyarrow.compute as pc

def ats(batch):
    count = pc.cast(pc.count_substring(batch.column("text"), "@"), pa.int64())
    named = batch.append_column("ats", count)
    return named.append_column("half", pc.divide(pc.cast(count, pa.float64()), 3.0))

ats.reads = ("text",)
ats.adds = {"ats": pa.int64(), "half": pa.float64()}
"""


def write(folder: Path) -> None:
    """The input and all that a spec names."""
    lines = "".join(json.dumps(row) + "\n" for row in DOCUMENTS)
    (folder / "in.jsonl").write_text(lines)
    (folder / "domains.txt").write_text("bad.example\n")
    (folder / "soft.txt").write_text("bet\nspin\n")
    (folder / "quiz.jsonl").write_text(json.dumps({"q": QUESTION}) + '\n{"q": "too short"}\n')
    (folder / "own.py").write_text(OWN)
    (folder / "few.toml").write_text(
        '[max_ats]\nsignal = "ats"\nkeep = "<"\nthreshold = 1\ncitation = "own"\n'
    )


def clean(folder: Path, *settings: str, out: str = "run") -> tuple[str, manifest.Manifest, Any]:
    """Run with the settings; returns root, manifest and ledger rows by source id."""
    if not (folder / "in.jsonl").exists():
        write(folder)
    spec = specs.load(specs.CleanSpec, overrides=[*PLAIN, *settings])
    root = str(folder / out)
    done = api.clean([str(folder / "in.jsonl")], root, spec)
    api.verify(root)
    rows = {row["source_id"]: row for row in explain.ledger(root).to_pylist()}
    return root, done, rows


def texts(root: str, done: manifest.Manifest, folder: str = "corpus") -> dict[str, Any]:
    """Stored rows by source id."""
    return {
        row["source_id"]: row
        for shard in done.in_folder(folder)
        for batch in read_batches(root, shard.name)
        for row in batch.to_pylist()
    }


def test_url_lists(tmp_path: Path) -> None:
    """All reasons; a page is not extracted; a new list is a new result."""
    lists = [f"url.domains={tmp_path}/domains.txt", f'url.soft_words=["{tmp_path}/soft.txt"]']
    _, done, rows = clean(tmp_path, *lists)
    outcomes = {name: (row["outcome"], row["stage"]) for name, row in rows.items()}
    assert outcomes == {
        "clean": ("kept", None),
        "leak": ("kept", None),
        "domain": ("dropped", "url"),
        "words": ("dropped", "url"),
        "html": ("dropped", "url"),
    }
    (reason,) = rows["words"]["reasons"]
    assert (reason["rule"], reason["value"], reason["threshold"]) == ("url.soft_words", 2, 2)
    assert rows["domain"]["detail"] == "domains: bad.example"
    assert rows["html"]["chars"] is None
    assert done.facts["url_lists"]["domains"][0]["name"] == "domains.txt"
    (tmp_path / "domains.txt").write_text("good.example\n")
    _, again, rows = clean(tmp_path, *lists)
    assert again.content != done.content
    assert rows["clean"]["stage"] == "url"
    assert rows["html"]["outcome"] == "kept"


def test_no_list_is_told(tmp_path: Path) -> None:
    """Nothing is tested, and the manifest says so; the model of the language is named."""
    _, done, rows = clean(tmp_path)
    assert done.facts["url_lists"] == "no domain list"
    assert len(done.facts["language_model"]["sha256"]) == 64
    assert {row["outcome"] for row in rows.values()} == {"kept"}
    assert rows["leak"]["language"] == "en"
    assert rows["leak"]["language2"] not in (None, "en")
    assert 0 <= rows["leak"]["language2_score"] <= rows["leak"]["language_score"]


@pytest.mark.parametrize("action", ["drop", "report"])
def test_decontamination(tmp_path: Path, action: str) -> None:
    """File, item and n-gram stand in the ledger; report only tells."""
    settings = [f"decontaminate.files={tmp_path}/quiz.jsonl", f"decontaminate.action={action}"]
    root, done, rows = clean(tmp_path, *settings)
    leak = rows["leak"]
    assert leak["detail"] == f"quiz.jsonl line 1: {' '.join(QUESTION.upper().split()[:13])}"
    signals = pq.read_table(f"{root}/signals").column("contaminated_ngrams").to_pylist()
    assert sorted(signals) == [0, 0, 0, 0, 2]
    assert done.facts["decontamination"][0]["short"] == 1
    if action == "report":
        assert (leak["outcome"], leak["reasons"] or None) == ("kept", None)
        return
    assert (leak["outcome"], leak["stage"]) == ("dropped", "decontaminate")
    (reason,) = leak["reasons"]
    assert (reason["rule"], reason["value"], reason["threshold"]) == ("contaminated", 2, 1)


def test_pii(tmp_path: Path) -> None:
    """Counts in the ledger; the value is in no file that is left; equal fakes everywhere."""
    root, done, rows = clean(tmp_path, 'pii.mask=["email","ip"]')
    assert rows["clean"]["edits"] == [
        {"rule": "pii.email", "count": 1},
        {"rule": "pii.ip", "count": 1},
    ]
    assert rows["domain"]["edits"] is None
    kept = texts(root, done)
    fake = kept["clean"]["text"].split()[2]
    assert fake in kept["leak"]["text"]
    assert "jo@site.com" not in str(kept)
    assert rows["clean"]["chars"] == len(DOCUMENTS[0]["text"] or "")  # measured as it was read


@pytest.mark.parametrize("form", ["arrow", "parquet", "jsonl"])
def test_own_python(tmp_path: Path, form: str) -> None:
    """Its columns are in corpus, signals and export, and a rule file may judge them."""
    settings = [
        f'transforms.extra=["{tmp_path}/own.py:ats"]',
        f'rules.use=["{tmp_path}/few.toml"]',
        f"output.format={form}",
    ]
    root, done, rows = clean(tmp_path, *settings)
    assert rows["leak"]["reasons"][0]["rule"] == "few.max_ats"
    assert texts(root, done)["html"]["ats"] == 0
    assert texts(root, done, "dropped")["leak"]["half"] == 1 / 3
    assert "ats" in pq.read_table(f"{root}/signals").schema.names
    for name in ("out.jsonl", "out.parquet"):
        api.export(root, str(tmp_path / name))
    exported = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["half"] for row in exported] == [0.0, 0.0, 0.0]
    assert json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])["ats"] == 0
    (tmp_path / "own.py").write_text(OWN.replace('"@"', '"e"'))
    assert clean(tmp_path, *settings)[1].content != done.content


def test_all_at_once_for_any_units(tmp_path: Path) -> None:
    """One digest for one worker and two processes, with everything switched on."""
    settings = [
        f"url.domains={tmp_path}/domains.txt",
        f"decontaminate.files={tmp_path}/quiz.jsonl",
        f'transforms.extra=["{tmp_path}/own.py:ats"]',
        'pii.mask=["email","ip","phone","iban","card"]',
    ]
    _, one, _ = clean(tmp_path, *settings)
    spec = specs.load(specs.CleanSpec, overrides=[*PLAIN, *settings])
    two = api.clean(
        [str(tmp_path / "in.jsonl")],
        str(tmp_path / "two"),
        spec,
        workers=2,
        beam=("direct_running_mode=multi_processing",),
    )
    assert one.content == two.content
    assert one.counts["dropped"] == 3


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        ('language.keep=["en","german"]', "'german'.*did you mean 'de'"),
        ('language.keep=["eng"]', "did you mean 'en'"),
        ("url.domains=nowhere.txt", "nowhere.txt: no such file"),
        ("decontaminate.files=nowhere.jsonl", "nowhere.jsonl: no such file"),
        ("transforms.extra=['nowhere:f']", "no module 'nowhere'"),
        ('pii.mask=["mail"]', "pii.mask"),
    ],
)
def test_wrong_settings_are_told_before_anything_is_read(
    tmp_path: Path, setting: str, match: str
) -> None:
    """One line, exit code 2, and no run folder."""
    with pytest.raises(ForgeError, match=match) as told:
        clean(tmp_path, setting)
    assert told.value.exit_code == 2
    assert not (tmp_path / "run").exists()
