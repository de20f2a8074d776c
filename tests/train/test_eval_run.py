"""forge eval from end to end: folders, figures, refusals."""

import gzip
import hashlib
import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from tiny import small, texts, write_tokens

from corpusforge import api
from corpusforge.cli import main
from corpusforge.manifest import Manifest
from corpusforge.schema import corpus_schema
from corpusforge.shard import ShardWriter
from corpusforge.spec.eval import EvalRunSpec
from corpusforge.train.eval import load

FEW = ("--set", "resample.samples=200")


def forge(*arguments):
    """Run a command; returns (exit code, stdout, stderr)."""
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    return done.exit_code, done.stdout, done.stderr


def evaluated(*arguments):
    """The JSON that forge eval prints."""
    code, out, err = forge("eval", *arguments, *FEW, "--json", "--quiet")
    assert code == 0, err
    return json.loads(out.splitlines()[-1])


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def records(folder, name):
    file = Path(folder, "predictions", f"{name}.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two causal models of one token folder, as forge train leaves them."""
    root = tmp_path_factory.mktemp("place")
    write_tokens(root / "tok", texts(120))
    for name, steps in (("short", 2), ("long", 60)):
        spec = small(run__steps=steps, run__evaluate_every=200)
        api.train([str(root / "tok")], str(root / name), spec)
    return root


@pytest.fixture
def heldout(tmp_path):
    """Texts of two sources."""
    rows = [
        {"text": f"{text} Zürich, 東京", "source": ["a", "b"][number % 3 == 0], "id": number}
        for number, text in enumerate(texts(30, seed=7))
    ]
    return lines(tmp_path / "heldout.jsonl", rows)


def test_texts_of_a_file(place, heldout, tmp_path):
    """Perplexity and bits per byte are of the sums, in total and by source; verify, report."""
    out = tmp_path / "eval"
    found = evaluated(place / "long", heldout, "-o", out)
    model = found["models"]["long"]
    scorer = load(str(place / "long"), EvalRunSpec(device="cpu"))
    rows = [json.loads(line) for line in Path(heldout).read_text().splitlines()]
    scored = scorer.texts(scorer.encode([row["text"] for row in rows]), 0)
    nats, tokens = (sum(column) for column in zip(*scored, strict=True))
    size = sum(len(row["text"].encode()) for row in rows)
    figures = model["figures"]
    assert figures["perplexity"]["value"] == pytest.approx(math.exp(nats / tokens), rel=1e-6)
    bits = figures["bits_per_byte"]
    assert bits["value"] == pytest.approx(nats / math.log(2) / size, rel=1e-6)
    low, high = bits["interval"]
    assert low < bits["value"] < high
    assert (model["tokens"], model["bytes"], found["items"]) == (tokens, size, 30)
    part = [pair[0] for pair, row in zip(scored, rows, strict=True) if row["source"] == "b"]
    bytes_ = sum(len(row["text"].encode()) for row in rows if row["source"] == "b")
    by = model["by_source"]["b"]
    assert by["items"] == len(part)
    assert by["bits_per_byte"]["value"] == pytest.approx(sum(part) / math.log(2) / bytes_, 1e-6)
    assert forge("verify", out)[0] == 0
    page = (out / "report.html").read_text()
    assert "Bits per byte" in page and "heldout.jsonl line" in page
    said = records(out, "long")
    assert [one["document"] for one in said][:2] == ["heldout.jsonl line 1", "heldout.jsonl line 2"]
    said[3]["nats"] += 1
    lines(out / "predictions/long.jsonl", said)
    code, _, err = forge("verify", out)
    assert (code, "predictions/long.jsonl" in err) == (4, True)


def test_the_same_command_again_is_the_same_run(place, heldout, tmp_path):
    """What is finished stays; other data, or --compare, need another folder; equal digests."""
    out = tmp_path / "eval"
    few = Path(heldout).read_text().splitlines()[:6]
    heldout = lines(tmp_path / "few.jsonl", map(json.loads, few))
    first = evaluated(place / "short", heldout, "-o", out)
    assert evaluated(place / "short", heldout, "-o", out) == first
    assert evaluated(place / "short", heldout, "-o", tmp_path / "b")["content"] == first["content"]
    code, _, err = forge("eval", place / "long", heldout, "-o", out, *FEW)
    assert (code, "of other models or other data" in err) == (3, True)
    code, _, err = forge("eval", place / "short", heldout, "-o", out, "--set", "stride=4")
    assert (code, "stride (0 -> 4)" in err) == (3, True)
    again = evaluated(place / "short", heldout, "-o", out, "--set", "stride=4", "--fresh")
    assert again["content"] != first["content"]
    (out / "manifest.json").unlink()  # as after a kill
    (out / "predictions/short.jsonl").write_text("torn")
    assert evaluated(place / "short", heldout, "-o", out, "--set", "stride=4") == again
    assert forge("verify", out)[0] == 0


def test_a_model_alone_is_measured_on_what_it_held_out(place, tmp_path):
    """The same documents as of its token folder; text gives what ids give."""
    found = evaluated(place / "long", "-o", tmp_path / "a")
    same = evaluated(place / "long", place / "tok", "-o", tmp_path / "b")
    assert found["content"] == same["content"]
    said = records(tmp_path / "a", "long")
    assert 2 < len(said) < 40 and len({one["document"] for one in said}) == len(said)
    assert {one["source"] for one in said} == {"sample"}


def test_two_models_are_compared_on_the_same_texts(place, heldout, tmp_path):
    """Perplexity and bits per byte of one tokenizer; the better model is told from chance."""
    found = evaluated(place / "short", place / "long", heldout, "--compare", "-o", tmp_path / "a")
    tests = found["comparison"]["tests"]
    assert set(tests) == {"perplexity", "bits_per_byte"}
    one = tests["bits_per_byte"]
    models = found["models"]
    assert one["value"] == models["short"]["figures"]["bits_per_byte"]["value"]
    assert one["difference"] == pytest.approx(one["other"] - one["value"])
    assert one["difference"] < 0 and one["interval"][1] < 0 and one["p"] < 0.01
    assert "paired bootstrap" in (tmp_path / "a/report.html").read_text()
    same = evaluated(place / "long", place / "long", heldout, "--compare", "-o", tmp_path / "b")
    assert same["comparison"]["tests"]["bits_per_byte"]["difference"] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "nothing to evaluate"),
        (("none.jsonl",), 3, "none.jsonl: no such file"),
        (("modle",), 3, "modle: no such file or folder"),
        (("{short}", "none.jsonl"), 3, "none.jsonl: no such file"),
        (("texts.jsonl",), 2, "holds texts, and no model is named"),
        (("{short}", "texts.jsonl", "bad.jsonl"), 3, "bad.jsonl record line 2: 'text' is 7"),
        (("{short}", "texts.jsonl", "choices.jsonl"), 3, "expected texts as"),
        (("{short}", "labels.jsonl"), 2, "labels are predictions already"),
        (("{short}", "texts.jsonl", "--compare"), 2, "--compare of 1 models"),
        (("{short}", "texts.jsonl", "--set", "strid=3"), 2, "did you mean 'stride'?"),
        (("{short}", "texts.jsonl", "--set", "stride=32"), 2, "expected less than 32"),
        (("{short}", "near.jsonl"), 3, "'txet': did you mean 'text'?"),
        (("{short}", "empty.jsonl"), 3, "no token to score"),
        (("{short}", "data.bin"), 3, "not a known ending"),
        (("{short}", "folder"), 3, "holds no readable file, no run and no model"),
    ],
    ids=str,
)
def test_refusals(place, tmp_path, monkeypatch, arguments, code, message):
    """One line with file and row; nothing is left behind."""
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("data.bin").write_bytes(b"\0")
    lines(Path("texts.jsonl"), [{"text": "the cat sees the river."}])
    lines(Path("bad.jsonl"), [{"text": "a"}, {"text": 7}])
    lines(Path("near.jsonl"), [{"txet": "a"}])
    lines(Path("empty.jsonl"), [{"text": ""}, {"text": ""}])
    lines(Path("choices.jsonl"), [{"context": "a", "choices": ["b", "c"], "answer": 0}])
    lines(Path("labels.jsonl"), [{"label": "a", "prediction": "b"}])
    given = [one.format(short=place / "short") for one in arguments]
    found, out, err = forge("eval", *given, "-o", "out", "--quiet")
    assert (found, out) == (code, ""), err
    assert message in err
    assert len(err.splitlines()) == 1, err
    assert not Path("out").exists() or "empty.jsonl" in str(arguments)


def test_files_of_all_kinds(place, heldout, tmp_path):
    """JSONL, Parquet, packed and plain text, and a folder of them; another name of the field."""
    rows = [json.loads(line) for line in Path(heldout).read_text().splitlines()][:4]
    folder = tmp_path / "folder"
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet")
    (folder / "rows.jsonl.gz").write_bytes(
        gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
    )
    (folder / "plain.txt").write_text(rows[0]["text"])
    evaluated(place / "short", folder, "-o", tmp_path / "a")
    found = records(tmp_path / "a", "short")
    nats = {one["document"]: one["nats"] for one in found}
    assert len(nats) == 9
    assert nats["plain.txt line 1"] == nats["rows.jsonl.gz line 1"] == nats["rows.parquet row 1"]
    other = lines(tmp_path / "other.jsonl", [{"body": row["text"]} for row in rows])
    evaluated(place / "short", other, "-o", tmp_path / "b", "--set", "columns.text=body")
    assert [one["nats"] for one in records(tmp_path / "b", "short")] == [
        nats[f"rows.parquet row {number}"] for number in range(1, 5)
    ]
    evaluated(place / "short", heldout, "-o", tmp_path / "c", "--set", "limit=2")
    assert len(records(tmp_path / "c", "short")) == 2


CHOICES = [
    {"context": "the cat", "choices": ["sees the river.", "river sees the."], "answer": 0},
    {"context": "a dog ", "choices": ["bread some likes.", "likes some bread."], "answer": 1},
    {"context": "no one", "choices": [" paints nothing at all.", "."], "answer": 0},
]


def test_choices(place, tmp_path):
    """The likeliest continuation, by itself, a token and a byte; a space where none is."""
    file = lines(tmp_path / "choices.jsonl", CHOICES)
    found = evaluated(place / "long", file, "-o", tmp_path / "a")
    model, said = found["models"]["long"], records(tmp_path / "a", "long")
    scorer = load(str(place / "long"), EvalRunSpec(device="cpu"))
    pairs = [("the cat", " sees the river."), ("the cat", " river sees the.")]
    for (value, tokens), score, count in zip(
        scorer.continuations(pairs), said[0]["scores"], said[0]["tokens"], strict=True
    ):
        assert (score, count) == (pytest.approx(value, abs=1e-6), tokens)
    assert said[0]["bytes"] == [15, 15]
    rights = {"accuracy": [], "accuracy_per_token": [], "accuracy_per_byte": []}
    for one in said:
        for name, sizes in zip(rights, ([1, 1], one["tokens"], one["bytes"]), strict=True):
            values = [score / size for score, size in zip(one["scores"], sizes, strict=True)]
            rights[name].append(values.index(max(values)) == one["answer"])
    for name, right in rights.items():
        assert model["figures"][name]["value"] == pytest.approx(sum(right) / 3)
    assert rights["accuracy"] == [True, True, False]  # a full stop alone is likelier
    assert rights["accuracy_per_byte"] == [True, True, True]
    assert model["chance"] == 0.5
    assert "wrong choices" in (tmp_path / "a/report.html").read_text()
    both = evaluated(place / "short", place / "long", file, "--compare", "-o", tmp_path / "b")
    assert both["comparison"]["tests"]["accuracy"]["test"] == "McNemar, exact"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"context": "a", "choices": ["b"], "answer": 0}, "expected a list of two texts"),
        ({"context": "a", "choices": ["b", ""], "answer": 0}, "'choices[1]' is empty"),
        ({"context": "a", "choices": ["b", 3], "answer": 0}, "'choices[1]' is 3"),
        ({"context": "a", "choices": ["b", "c"], "answer": 2}, "expected a number from 0 to 1"),
        ({"context": "a", "choices": ["b", "c"], "answer": "d"}, "or one of the choices"),
        ({"context": "a", "choices": ["b", "c"], "answer": True}, "'answer' is True"),
        ({"choices": ["b", "c"], "answer": 1}, "'context' is missing"),
        ({"context": "\ud800", "choices": ["b", "c"], "answer": 1}, "half a surrogate pair"),
    ],
    ids=str,
)
def test_choices_that_are_none(place, tmp_path, row, message):
    """File, line, field and what was expected."""
    file = lines(tmp_path / "c.jsonl", [CHOICES[0], row])
    code, _, err = forge("eval", place / "short", file, "-o", tmp_path / "a", "--quiet")
    assert (code, len(err.splitlines())) == (3, 1)
    assert "c.jsonl record line 2: " in err and message in err


def test_prompts_are_answered_and_measured(place, tmp_path):
    """Greedily; what was written can be measured again without the model."""
    rows = [
        {"prompt": "the cat", "reference": "sees the river."},
        {"prompt": "a dog", "reference": ["likes some bread.", "sees two birds."]},
    ]
    file = lines(tmp_path / "prompts.jsonl", rows)
    found = evaluated(place / "long", file, "-o", tmp_path / "a", "--set", "tokens=6")
    said = records(tmp_path / "a", "long")
    scorer = load(str(place / "long"), EvalRunSpec(device="cpu"))
    assert [one["prediction"] for one in said] == scorer.answers(["the cat", "a dog"], 6)
    again = evaluated(tmp_path / "a/predictions/long.jsonl", "-o", tmp_path / "b")
    assert again["models"]["long"] == found["models"]["long"]
    assert "version:" in found["models"]["long"]["signature"]


def write_clean(root, documents):
    """A clean run of the documents that tiny's token folder has, with the same ids."""
    schema = corpus_schema({})
    columns = {
        "id": [hashlib.md5(str(number).encode()).digest() for number in range(len(documents))],
        "source": ["sample"] * len(documents),
        "language": ["en"] * len(documents),
        "text": documents,
    }
    arrays = [
        pa.array(
            columns.get(
                field.name,
                [0 if field.type == pa.int64() or field.type == pa.int32() else None]
                * len(documents),
            ),
            field.type,
        )
        for field in schema
    ]
    writer = ShardWriter(str(root), "corpus/part-00000.arrow", schema)
    writer.write(pa.RecordBatch.from_arrays(arrays, schema=schema))
    Manifest("clean", "c1ea", {}, {}, "", (writer.close(),)).write(str(root))


def test_a_clean_run_is_read_where_its_models_held_it_out(tmp_path):
    """The same documents and nats as by the ids of its token folder; a note says so."""
    documents = [". ".join(part.capitalize() for part in text.split(". ")) for text in texts(60, 3)]
    tok, clean, model = (tmp_path / name for name in ("tok", "clean", "model"))
    write_tokens(tok, documents)
    write_clean(clean, documents)
    made = json.loads((tok / "manifest.json").read_text())
    made["parents"] = [{"path": str(clean), "content": "c1ea"}]
    (tok / "manifest.json").write_text(json.dumps(made))
    api.train([str(tok)], str(model), small(run__steps=1, data__heldout=0.2))
    found = [
        evaluated(model, data, "-o", tmp_path / f"e{at}") for at, data in enumerate((clean, tok))
    ]
    said = [records(tmp_path / f"e{at}", "model") for at in (0, 1)]
    assert 3 < len(said[0]) < 25
    assert {one["document"]: one["nats"] for one in said[0]} == pytest.approx(
        {one["document"]: one["nats"] for one in said[1]}, abs=1e-4
    )
    assert "the 20 % of the documents that were held out" in found[0]["notes"][0]
    outside = lines(tmp_path / "order.jsonl", [])
    code, out, err = forge("eval", model, clean, "--make", "order", "-o", outside)
    assert code == 0 and out.startswith("wrote "), err
    names = {json.loads(line)["document"] for line in Path(outside).read_text().splitlines()}
    assert names <= {one["document"] for one in said[0]}
    api.train([str(tok)], str(tmp_path / "all"), small(run__steps=1, data__heldout=0.0))
    whole = evaluated(tmp_path / "all", clean, "-o", tmp_path / "e3")
    assert whole["items"] == 60 and "was trained on all of it" in whole["notes"][0]
    code, _, err = forge("eval", tmp_path / "all", "-o", tmp_path / "e4")
    assert (code, "held nothing out" in err) == (2, True)


def test_a_set_is_written_to_a_file(place, heldout):
    """Not to the usual run folder."""
    code, _, err = forge("eval", heldout, "--make", "cloze")
    assert (code, "expected -o FILE.jsonl" in err) == (2, True)
