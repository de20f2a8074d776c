"""A tokenize run as a whole: its key, its accounting, what is done again, how shards are cut."""

import inspect
import json
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpusforge import api
from corpusforge import spec as specs
from corpusforge.errors import AccountingError, InputError, RunError
from corpusforge.kernels import digest
from corpusforge.loader import TokenLoader
from corpusforge.pipelines import tokens as jobs
from corpusforge.pipelines import tokens_run
from corpusforge.shard import read_batches
from corpusforge.stages import tokens as stages
from corpusforge.stages import warm
from corpusforge.stages.tokens import Texts

WORDS = ("ash", "birch", "cedar", "elm", "larch", "maple", "oak", "pine", "rowan", "willow", "yew")


def spec(**changes):
    """Settings of a small run."""
    return specs.TokenizeSpec(vocab_size=300, plan=changes.pop("plan", specs.Plan()), **changes)


def write(path, rows, seed=1):
    """A JSONL file of ``rows`` texts of about 400 bytes."""
    draw = random.Random(seed)
    lines = [
        json.dumps({"id": f"{path.stem}-{n}", "text": " ".join(draw.choices(WORDS, k=70))})
        for n in range(rows)
    ]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture
def notes(tmp_path):
    """Eight texts."""
    return write(tmp_path / "notes.jsonl", 8)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two clean runs of different documents."""
    folder = tmp_path_factory.mktemp("runs")
    plain = specs.load(
        specs.CleanSpec, overrides=["rules.use=[]", "dedup.near=none", "language.keep='all'"]
    )
    for seed, name in enumerate(("ca", "cb")):
        source = write(folder / f"{name}.jsonl", 5 + seed, seed)
        api.clean([source], str(folder / name), plain)
    return folder


def same(one, other):
    """Tell whether two manifests say the same."""
    return one.to_json() == other.to_json()


def times(folder):
    """Time of last change of every file of a folder."""
    return {path.name: path.stat().st_mtime_ns for path in Path(folder).iterdir()}


# -- what a run depends on -------------------------------------------------------------------------


def test_the_given_tokenizer_belongs_to_the_run(notes, tmp_path):
    """Another --tokenizer, or none, is refused in a finished folder and begun anew in another."""
    for name in "ab":
        api.tokenize([write(tmp_path / f"{name}.jsonl", 5, name)], str(tmp_path / name), spec())
    a, b = str(tmp_path / "a/tokenizer"), str(tmp_path / "b/tokenizer")
    root = tmp_path / "r"
    done = api.tokenize([notes], str(root), spec(), tokenizer=a)
    assert done.facts["given"] == {"path": a, "digest": done.facts["tokenizer"]["digest"]}
    assert same(api.tokenize([notes], str(root), spec(), tokenizer=a), done)
    for other in (b, None):
        with pytest.raises(RunError, match="made with another tokenizer"):
            api.tokenize([notes], str(root), spec(), tokenizer=other)
    (root / "manifest.json").unlink()
    again = api.tokenize([notes], str(root), spec(), tokenizer=b)
    assert again.content != done.content
    assert again.content == api.tokenize([notes], str(tmp_path / "s"), spec(), tokenizer=b).content


def test_our_version_belongs_to_the_run(notes, tmp_path, monkeypatch):
    """What another version of the code encoded is not taken for the result of this one."""
    api.tokenize([notes], str(tmp_path / "r"), spec())
    monkeypatch.setattr(tokens_run, "__version__", "999")
    with pytest.raises(RunError, match="another version of forge"):
        api.tokenize([notes], str(tmp_path / "r"), spec())


def test_the_order_of_runs_does_not_matter(runs, tmp_path):
    """``ca cb`` and ``cb ca`` are one run: same folder, same bytes, same parents."""
    ca, cb = str(runs / "ca"), str(runs / "cb")
    one = api.tokenize([ca, cb], str(tmp_path / "one"), spec())
    assert same(api.tokenize([cb, ca], str(tmp_path / "one"), spec()), one)
    assert same(api.tokenize([cb, ca], str(tmp_path / "two"), spec()), one)


def test_a_run_given_twice_is_refused(runs, tmp_path):
    """Its documents would count twice."""
    ca, cb = str(runs / "ca"), str(runs / "cb")
    with pytest.raises(InputError, match=r"holds the same documents as .*; give it once"):
        api.tokenize([ca, cb, ca], str(tmp_path / "r"), spec())
    assert not (tmp_path / "r").exists()


# -- accounting ------------------------------------------------------------------------------------


def test_every_record_of_a_plain_file_is_accounted_for(tmp_path, capsys):
    """What is not encoded is counted and told in one line that names the first of it."""
    path = tmp_path / "mixed.jsonl"
    fine = json.dumps({"text": "oak pine oak elm " * 20})
    lines = [fine, '{"text": \n{"html": "<p>oak</p>"}\n{"text": " "}', fine, '{"text": 7}']
    path.write_text("\n".join(lines))
    done = api.tokenize([str(path)], str(tmp_path / "r"), spec(), quiet=False)
    assert done.counts == {"in": 6, "kept": 2, "dropped": 2, "failed": 2}
    told = [line for line in capsys.readouterr().err.splitlines() if "not encoded" in line]
    assert told == [
        "2 dropped + 2 failed of 6 records are not encoded; "
        f"the first is mixed.jsonl offset {len(fine) + 1}: line 2: not JSON"
    ]
    again = api.tokenize([str(path)], str(tmp_path / "r"), spec())
    assert (again.counts, capsys.readouterr().err) == (done.counts, "")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"html": "<p>oak</p>"}', "a page without text; forge clean extracts it"),
        ('{"text": ""}', "empty"),
    ],
)
def test_a_dropped_record_says_why(notes, tmp_path, line, why):
    """A record that is dropped without an error text is named by its rule."""
    size = Path(notes).stat().st_size
    with Path(notes).open("a") as file:
        file.write(line + "\n")
    done = api.tokenize([notes], str(tmp_path / "r"), spec())
    assert done.counts == {"in": 9, "kept": 8, "dropped": 1, "failed": 0}
    assert done.facts["first_lost"] == f"notes.jsonl offset {size}: {why}"


def test_a_clean_run_is_encoded_whole(runs, tmp_path):
    """in = kept = rows of the corpus; refused where these are not as its manifest says."""
    ca = runs / "ca"
    done = api.tokenize([str(ca)], str(tmp_path / "r"), spec())
    assert done.counts == {"in": 5, "kept": 5, "dropped": 0, "failed": 0}
    assert done.facts["first_lost"] is None
    values = json.loads((ca / "manifest.json").read_text())
    shard = next(one for one in values["shards"] if one["name"].startswith("corpus/"))
    shard["rows"] += 1
    other = tmp_path / "other"
    other.mkdir()
    (other / "manifest.json").write_text(json.dumps(values))
    (other / "corpus").symlink_to(ca / "corpus")
    with pytest.raises(AccountingError, match="6 records were read, the ledger has 5"):
        api.tokenize([str(other)], str(tmp_path / "s"), spec())


def test_a_lost_document_is_off(notes, tmp_path):
    """Kept are the rows that the token shards have, not those that were meant to be written."""
    root = tmp_path / "r"
    api.tokenize([notes], str(root), spec())
    (root / "manifest.json").unlink()
    record = root / "commits/encode/part-00000.commit.json"
    values = json.loads(record.read_text())
    values["shards"][0]["rows"] -= 1
    record.write_text(json.dumps(values))
    with pytest.raises(AccountingError, match=r"kept 7 \+ dropped 0 \+ failed 0 = 7"):
        api.tokenize([notes], str(root), spec())


def test_pages_alone_give_no_token_shard(notes, tmp_path):
    """They are counted; to train a tokenizer on them is refused with the way out."""
    path = tmp_path / "pages.jsonl"
    path.write_text('{"html": "<p>oak</p>"}\n' * 3)
    with pytest.raises(InputError, match="no text to train on; forge clean makes text of pages"):
        api.tokenize([str(path)], str(tmp_path / "r"), spec())
    api.tokenize([notes], str(tmp_path / "t"), spec())
    given = str(tmp_path / "t/tokenizer")
    done = api.tokenize([str(path)], str(tmp_path / "s"), spec(), tokenizer=given)
    assert done.counts == {"in": 3, "kept": 0, "dropped": 3, "failed": 0}
    assert done.in_folder("tokens") == []
    api.verify(str(tmp_path / "s"))


# -- done again ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["missing shard", "cut shard", "missing tokenizer", "no tokens"])
def test_a_finished_run_with_lost_files_goes_on(tmp_path, how):
    """What is missing is made again with the same bytes; what is there stays as it is."""
    inputs = [write(tmp_path / f"{name}.jsonl", 130, name) for name in "abc"]
    small, root = spec(plan=specs.Plan(unit_bytes=1 << 16)), tmp_path / "r"
    done = api.tokenize(inputs, str(root), small)
    before = times(root / "tokens")
    lost = sorted(before)[1]
    assert len(before) == 3
    if how == "missing shard":
        (root / "tokens" / lost).unlink()
    elif how == "cut shard":
        (root / "tokens" / lost).write_bytes((root / "tokens" / lost).read_bytes()[:-9])
    elif how == "missing tokenizer":
        (root / "tokenizer/tokenizer.json").unlink()
    else:
        for path in (root / "tokens").iterdir():
            path.unlink()
    assert same(api.tokenize(inputs, str(root), small), done)
    api.verify(str(root))
    after = times(root / "tokens")
    assert after.keys() == before.keys()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"missing tokenizer": set(), "no tokens": {*before}}.get(how, {lost})


def test_shards_of_what_a_stopped_run_was_are_removed(tmp_path):
    """A run that goes on with fewer inputs leaves no token shard that its manifest lacks."""
    inputs = [write(tmp_path / f"{name}.jsonl", 130, name) for name in "ab"]
    small, root = spec(plan=specs.Plan(unit_bytes=1 << 16)), tmp_path / "r"
    api.tokenize(inputs, str(root), small)
    (root / "manifest.json").unlink()
    done = api.tokenize(inputs[:1], str(root), small)
    found = {f"tokens/{path.name}" for path in (root / "tokens").iterdir()}
    assert found == {shard.name for shard in done.in_folder("tokens")}


def test_a_range_of_counts_without_output_is_refused(tmp_path):
    """It is not taken for an empty one."""
    root = str(tmp_path)
    for number in (0, 1, 3):
        stages.count_reduce(root, number, [b""], "key")
    with pytest.raises(RunError, match="without output: range-00002; run again to go on"):
        stages.gather(root, spec(ranges=4), "key")
    stages.count_reduce(root, 2, [], "key")
    assert stages.gather(root, spec(ranges=4), "key")[0].num_rows == 0


def test_more_ranges_than_words(tmp_path):
    """Every range is written, also the empty ones, and their number changes nothing."""
    path = tmp_path / "few.jsonl"
    path.write_text('{"text": "oak oak oak elm"}\n')
    one, many = (
        api.tokenize([str(path)], str(tmp_path / f"r{n}"), spec(ranges=n)) for n in (1, 40)
    )
    assert one.content == many.content


# -- shards ----------------------------------------------------------------------------------------


def test_shards_are_cut_by_tokens(tmp_path, monkeypatch):
    """Small ones, one record batch each, in order of the documents; the digest knows no cut."""
    small = spec(plan=specs.Plan(unit_bytes=1 << 18, batch_bytes=1 << 16))
    inputs = [write(tmp_path / f"{name}.jsonl", 550, name) for name in "ab"]
    whole = api.tokenize(inputs, str(tmp_path / "whole"), small)
    assert len(whole.in_folder("tokens")) == 2
    monkeypatch.setattr(stages, "SHARD_TOKENS", 20_000)
    cut = api.tokenize(inputs, str(tmp_path / "cut"), small)
    assert cut.content == whole.content
    assert (cut.counts, cut.facts["tokens"]) == (whole.counts, whole.facts["tokens"])
    api.verify(str(tmp_path / "cut"))

    names = [shard.name for shard in cut.in_folder("tokens")]
    assert names == [
        f"tokens/part-0000{unit}{part}.arrow" for unit in (0, 1) for part in ("", "_001", "_002")
    ]
    unit_of = [name[: len("tokens/part-00000")] for name in sorted(names)]
    assert unit_of == sorted(unit_of)
    batches = [list(read_batches(str(tmp_path / "cut"), name)) for name in names]
    assert all(len(found) == 1 for found in batches)
    assert all(len(found[0].column("ids").values) <= 20_000 for found in batches)

    settings = {"sequence": 32, "batch": 8, "seed": 3, "packing": "chop"}
    one, other = (TokenLoader.open([str(tmp_path / n)], **settings) for n in ("whole", "cut"))
    assert np.array_equal(next(one).inputs, next(other).inputs)


def test_a_document_larger_than_a_shard_is_one_shard(tmp_path, monkeypatch):
    """Documents are not cut."""
    monkeypatch.setattr(stages, "SHARD_TOKENS", 10)
    done = api.tokenize([write(tmp_path / "a.jsonl", 3)], str(tmp_path / "r"), spec())
    assert [shard.rows for shard in done.in_folder("tokens")] == [3]


def test_large_batches_of_a_corpus_are_cut(runs):
    """How many rows a writer of a corpus put into a batch does not decide what memory it takes."""
    name = next(path.name for path in (runs / "cb/corpus").iterdir())
    texts = Texts("part-00000", 1, "", str(runs / "cb"), f"corpus/{name}")
    plan = specs.Plan.model_construct(unit_bytes=1 << 16, batch_bytes=600)
    batches = list(texts.batches(spec().model_copy(update={"plan": plan})))
    assert len(batches) > 2
    whole = pa.Table.from_batches(read_batches(texts.root, texts.shard))
    assert pa.Table.from_batches(batches).column("text").equals(whole.column("text"))


def test_the_digest_knows_no_slices():
    """Rows of lists, nulls and dictionaries: the sum over single rows, however many there are."""
    rows = digest.ROWS + 300
    lengths = np.arange(rows) % 5
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]))
    ids = pa.array(np.arange(lengths.sum()) % 60_000, pa.uint16())
    lists = pa.LargeListArray.from_arrays(offsets, ids, mask=pa.array(lengths == 3))
    names = pa.array([None if n % 7 == 0 else f"s{n % 3}" for n in range(rows)])
    columns = [lists, names.dictionary_encode(), pa.array([b"%016d" % n for n in range(rows)])]
    single = [digest.content("t", [c.slice(n, 1) for c in columns]) for n in range(rows)]
    assert digest.content("t", columns) == digest.combine(single)
    assert digest.content("t", [column.slice(0, 0) for column in columns]) == 0


def test_the_digest_of_many_ids_takes_little_memory():
    """Ids are widened to 8 bytes, but never those of a whole shard at once."""
    rows, length = 4 * digest.ROWS, 1000
    offsets = pa.array(np.arange(rows + 1) * length)
    ids = pa.LargeListArray.from_arrays(offsets, pa.array(np.zeros(rows * length, np.uint16)))
    tracemalloc.start()
    digest.content("t", [ids])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * 8 * digest.ROWS * length


# -- before and beside the workers -----------------------------------------------------------------


def test_kernels_are_compiled_before_the_workers_encode(notes, tmp_path, monkeypatch):
    """Also with a given tokenizer and when a run goes on; not when nothing is left to do."""
    warmed, encode = [], warm.encode

    def watch(tokenizer):
        warmed.append(tokenizer.digest)
        encode(tokenizer)

    monkeypatch.setattr(warm, "encode", watch)
    root = tmp_path / "r"
    done = api.tokenize([notes], str(root), spec())
    warmed.clear()
    (root / "tokens/part-00000.arrow").unlink()
    api.tokenize([notes], str(root), spec())
    api.tokenize([notes], str(tmp_path / "s"), spec(), tokenizer=str(root / "tokenizer"))
    api.tokenize([notes], str(root), spec())
    assert warmed == [done.facts["tokenizer"]["digest"]] * 2


def test_large_units_come_first():
    """No large unit is the last one of a worker."""
    units = [Texts("a", 5, ""), Texts("b", 9, ""), Texts("c", 9, ""), Texts("d", 7, "")]
    assert [unit["name"] for unit in jobs.elements(units)] == ["b", "c", "d", "a"]


def test_stages_do_not_watch_processes():
    """To end with its parent is what the process of a worker does, not what a stage does."""
    assert "exit_with_parent" not in inspect.getsource(stages)
