"""Messages and exit codes: one line that says what is wrong and what to do, never a traceback."""

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpusforge import api
from corpusforge.cli import main

ROOT = Path(__file__).parent.parent
WORDS = "The quick brown fox walks over the lazy dog and that is all it has to be with {} today. "


def forge(*arguments):
    """Run a command; returns (exit code, stdout, stderr)."""
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def notes(tmp_path):
    """A JSONL file of eight documents that pass the rules."""
    path = tmp_path / "notes.jsonl"
    lines = [
        json.dumps(
            {
                "id": f"note-{n}",
                "url": f"https://example.org/{n}",
                "text": " ".join(
                    f"{WORDS.format(n)} Sentence {n}{k} of this note has {k * n} ends."
                    for k in range(9)
                ),
            }
        )
        for n in range(8)
    ]
    path.write_text("\n".join(lines))
    return path


PLAIN = ("--set", "rules.use=[]", "--set", "dedup.near=none", "--quiet")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["clean"], 2, "no input; e.g. forge clean pages.warc.gz -o run/clean"),
        (["clean", "none.warc.gz"], 3, "none.warc.gz: no such file or folder"),
        (["clean", "zero.warc.gz"], 3, "zero.warc.gz: the file is empty (0 bytes)"),
        (["clean", "text.warc.gz"], 3, "text.warc.gz: "),
        (["clean", "hollow.warc.gz"], 3, "hollow.warc.gz: "),
        (["clean", "folder"], 3, "this folder holds no readable file"),
        (["clean", "notes.jsonl", "--set", "dedup.nera=none"], 2, "did you mean 'near'?"),
        (["clean", "notes.jsonl", "--set", "rules.use=['gohper-quality']"], 2, "gopher-quality"),
        (["clean", "notes.jsonl", "--set", "rules.gopher-quality.min_wrods=3"], 2, "min_words"),
        (["clean", "notes.jsonl", "--spec", "none.toml"], 2, "none.toml: no such spec file"),
        (["clean", "notes.jsonl", "--spec", "typo.toml"], 2, "unknown key 'dedpu'"),
        (["clean", "notes.jsonl", "--workers", "0"], 2, "--workers 0; expected 1 or more"),
        (["clean", "notes.jsonl", "-o", "other"], 3, "not empty and is no run folder"),
        (["clean", "notes.jsonl", "--nope"], 2, "No such option"),
        (["tokenize", "folder2"], 3, "folder2: no such file or folder"),
        (["tokenize", "notes.jsonl", "--vocab-size", "3"], 2, "'vocab_size' = 3 is not allowed"),
        (["train", "folder"], 3, "folder: this folder holds no finished run"),
        (["explain", "folder", "x"], 3, "folder: this folder holds no finished run"),
        (["explain", "folder"], 2, "nothing to explain"),
        (["verify", "none"], 3, "none: this folder holds no finished run"),
        (["export", "none", "-o", "x.jsonl"], 3, "none: this folder holds no finished run"),
        (["export", "none"], 2, "no output"),
        (["verify", "none", "--set", "a=1"], 2, "forge verify has no settings; expected no --set"),
        (
            ["clean", "notes.jsonl", "--spec", "nope"],
            2,
            "no spec is called 'nope'; did you mean",
        ),
        (["claen"], 2, "No such command 'claen'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_use_is_one_line_and_an_exit_code(
    notes, tmp_path, monkeypatch, arguments, code, message
):
    """What is wrong, in which file, what to do; nothing half-written is left."""
    monkeypatch.chdir(tmp_path)
    Path("zero.warc.gz").touch()
    Path("text.warc.gz").write_text("just some text\n")
    Path("hollow.warc.gz").write_bytes(gzip.compress(b""))
    Path("folder").mkdir()
    Path("folder/readme.md").write_text("x")
    Path("other").mkdir()
    Path("other/thesis.tex").write_text("x")
    Path("typo.toml").write_text("[dedpu]\nnear = 'none'\n")
    exit_code, out, err = forge(*arguments)
    assert (exit_code, out) == (code, "")
    assert message in err
    assert len(err.splitlines()) == 1, err
    assert not Path("run").exists()


def test_clean_ends_with_the_sum(notes, tmp_path):
    """The last line of stdout is the accounting identity and the digest."""
    code, out, _ = forge("clean", notes, "-o", tmp_path / "r", *PLAIN)
    assert code == 0
    done = json.loads((tmp_path / "r/manifest.json").read_text())
    assert (
        out.splitlines()[-1] == f"in 8 = kept 8 + dropped 0 + failed 0 · content {done['content']}"
    )
    assert set(done) >= {"content", "counts", "spec", "versions", "parent", "shards", "files"}
    assert set(done["shards"][0]) == {"name", "rows", "bytes", "sha256"}


def test_json_is_the_last_line(notes, tmp_path):
    """--json: machine-readable."""
    _, out, _ = forge("clean", notes, "-o", tmp_path / "r", *PLAIN, "--json")
    assert json.loads(out.splitlines()[-1])["counts"] == {
        "in": 8, "kept": 8, "dropped": 0, "failed": 0
    }  # fmt: skip


def test_another_spec_in_the_same_folder(notes, tmp_path):
    """Refused with the key and both values; --fresh starts anew; other inputs are refused too."""
    assert forge("clean", notes, "-o", tmp_path / "r", *PLAIN)[0] == 0
    again = ("clean", notes, "-o", tmp_path / "r", *PLAIN, "--set", "dedup.bands=20")
    code, _, err = forge(*again)
    assert (code, "dedup.bands (16 -> 20)" in err) == (3, True)
    other = tmp_path / "other.jsonl"
    other.write_bytes(notes.read_bytes())
    code, _, err = forge("clean", notes, other, "-o", tmp_path / "r", *PLAIN)
    assert (code, "made from other inputs: added other.jsonl" in err) == (3, True)
    assert forge(*again, "--fresh")[0] == 0


def test_a_share_of_failed_records_can_fail_the_run(tmp_path):
    """Failed records alone do not fail a run; over --max-failed-share they are exit code 4."""
    path = tmp_path / "bad.jsonl"
    path.write_text('{"text": "fine"}\n{"text": \n')
    assert forge("clean", path, "-o", tmp_path / "a", *PLAIN)[0] == 0
    code, out, err = forge("clean", path, "-o", tmp_path / "b", *PLAIN, "--max-failed-share", "0.1")
    assert (code, out) == (4, "")
    assert "1 of 2 records failed (50.0%)" in err


def test_verify_finds_a_changed_byte(notes, tmp_path):
    """Exit 0 when whole, 4 when a byte of a shard is changed or a file is missing."""
    root = tmp_path / "r"
    assert forge("clean", notes, "-o", root, *PLAIN)[0] == 0
    assert forge("verify", root)[0] == 0
    shard = next((root / "corpus").iterdir())
    whole = shard.read_bytes()
    shard.write_bytes(whole[:99] + bytes([whole[99] ^ 1]) + whole[100:])
    code, _, err = forge("verify", root)
    assert (code, shard.name in err, "expected" in err) == (4, True, True)
    shard.unlink()
    assert forge("verify", root)[0] == 4


def test_explain_by_url_source_id_and_id(notes, tmp_path):
    """All three name the same record; an unknown one suggests the nearest."""
    root = tmp_path / "r"
    forge("clean", notes, "-o", root, *PLAIN)
    row = json.loads(forge("explain", root, "note-3", "--json")[1])["records"][0]
    for key in ("https://example.org/3", "note-3", row["id"]):
        code, out, _ = forge("explain", root, key)
        assert code == 0
        assert out.startswith("https://example.org/3 · kept")
    code, _, err = forge("explain", root, "https://example.org/33")
    assert (code, "nearest: https://example.org/3" in err) == (3, True)


@pytest.mark.parametrize("name", ["c.jsonl", "c.jsonl.gz", "c.parquet", "c"])
def test_export_keeps_ids_and_meta(notes, tmp_path, name):
    """Rows {id, source_id, url, text, ...}; what is exported can be cleaned again."""
    import pyarrow.parquet as pq

    root, output = tmp_path / "r", tmp_path / name
    forge("clean", notes, "-o", root, *PLAIN)
    assert forge("export", root, "-o", output)[0] == 0
    if "jsonl" in name:
        raw = output.read_bytes()
        text = gzip.decompress(raw) if name.endswith(".gz") else raw
        rows = [json.loads(line) for line in text.splitlines()]
    else:
        rows = pq.read_table(output).to_pylist()
    assert [row["source_id"] for row in rows] == [f"note-{n}" for n in range(8)]
    assert all(row["text"] and row["url"] and len(row["id"]) == 32 for row in rows)


def test_forge_toml_gives_inputs_and_settings(notes, tmp_path, monkeypatch):
    """A bare ``forge clean`` in a folder with forge.toml; an unknown table is refused."""
    monkeypatch.chdir(tmp_path)
    Path("forge.toml").write_text('[clean]\ninputs = ["notes.jsonl"]\n[clean.rules]\nuse = []\n')
    code, out, _ = forge("clean", "--quiet")
    assert (code, out.startswith("in 8 = ")) == (0, True)
    Path("forge.toml").write_text("[claen]\n")
    assert "unknown table '[claen]'; did you mean 'clean'?" in forge("clean")[2]


def test_bare_commands_work_in_order(notes, tmp_path, monkeypatch):
    """clean, tokenize --algo bpe, train: each reads what the one before wrote."""
    monkeypatch.chdir(tmp_path)
    assert forge("clean", notes, *PLAIN)[0] == 0
    code, out, err = forge("tokenize", "--algo", "bpe", "--vocab-size", "400", "--quiet")
    assert (code, "bytes/token" in out) == (0, True), err
    small = [
        f"--set={k}"
        for k in (
            "model.width=32",
            "model.layers=1",
            "run.batch=2",
            "data.sequence=32",
            "data.heldout=0.3",
        )
    ]
    code, out, err = forge("train", "--steps", "3", *small, "--quiet")
    assert (code, out.startswith("steps 3 · loss ")) == (0, True), err
    code, out, _ = forge("explain", "run/model", "--spikes")
    assert (code, out.strip()) == (0, "no step stands out")
    code, out, _ = forge("explain", "run/model", "--step", "2")
    assert (code, "https://example.org/" in out) == (0, True)
    read = json.loads(forge("explain", "run/model", "--step", "2", "--json")[1])["documents"]
    steps = json.loads(forge("explain", "run/model", read[0]["url"], "--json")[1])["steps"]
    assert {"epoch": 0, "step": 2} in steps
    code, _, err = forge("explain", "run/model", "https://example.org/none")
    assert (code, "no token shard holds 'https://example.org/none'" in err) == (3, True)
    for run in ("run/clean", "run/tok", "run/model"):
        assert forge("verify", run)[0] == 0
        assert forge("report", run)[0] == 0
        assert Path(run, "report.html").exists()
    assert forge("generate", "run/model", "--prompt", "The", "--tokens", "5")[0] == 0
    assert forge("export", "run/tok", "--to", "hf", "out")[0] == 0
    assert Path("out/tokenizer.json").exists()


def commands():
    """Every command by its words, those of groups too."""
    found = {}
    for name, command in main.commands.items():
        inner = getattr(command, "commands", None)
        found |= {f"{name} {key}": one for key, one in inner.items()} if inner else {name: command}
    return found


def test_every_command_has_help_with_an_example():
    """--help of each command shows an example and the common options."""
    for name, command in commands().items():
        code, out, _ = forge(*name.split(), "--help")
        assert code == 0
        assert f"forge {name}" in out.split("Options:")[0], name
        assert "--json" in out, name
        assert command.help


def test_the_flags_stay_few():
    """A new knob goes into the spec, not onto the command line."""
    common = {"spec_file", "overrides", "workers", "as_json", "quiet"}
    engine = {"runner", "beam", "fresh", "part", "finish"}
    want = {
        "clean": {
            "inputs",
            "output",
            "max_failed_share",
            "against",
            "only_plan",
            "assume_documents",
        }
        | engine,
        "tokenize": {"inputs", "output", "algo", "vocab_size", "tokenizer"} | engine,
        "train": {"inputs", "output", "steps", "only_plan", "fresh"},
        "finetune": {"model", "data", "output", "task", "predict", "fresh"},
        "sweep": {"spec", "inputs", "output", "fresh"},
        "eval": {"paths", "output", "compare", "make", "fresh"},
        "explain": {"run", "document", "step", "spikes", "html"},
        "replay": {"run", "output", "limit", "changes", "fresh"},
        "classify train": {"good", "bad", "output", "keep"},
        "index": {"run", "output"},
        "verify": {"run"},
        "export": {"run", "output", "to"},
        "report": {"runs", "compare"},
        "generate": {"model", "prompt", "tokens", "temperature", "top_k", "top_p", "seed"},
        "doctor": set(),
        "demo": {"output"},
        "rules list": set(),
        "rules show": {"rule_set", "dialect"},
        "rules diff": {"before", "after"},
    }
    found = {name: {p.name for p in c.params} - common for name, c in commands().items()}
    assert found == want


def test_python_calls_do_what_commands_do(notes, tmp_path):
    """corpusforge.api.clean returns the manifest."""
    assert api.clean([str(notes)], str(tmp_path / "r")).counts["in"] == 8
