"""Replay: the same verdicts as a full run with the changed spec; what it cannot answer is refused.

The documents are drawn so that each rule, near and exact copies and languages all have cases.
"""

import json
import random
import shutil

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from corpusforge import api, attribution, copies, explain, manifest, replay
from corpusforge import spec as specs
from corpusforge.cli import main
from corpusforge.errors import RunError, SpecError, UsageError
from corpusforge.replay import describe
from corpusforge.schema import REMOVED
from corpusforge.shard import read_table
from corpusforge.stages import again

STOP = ["the", "be", "to", "of", "and", "that", "have", "with"]
WORDS = [
    *STOP,
    *("".join(chr(97 + (7 * n + k * k) % 26) for k in range(3 + n % 6)) for n in range(300)),
]
GERMAN = [
    "Die",
    "Sonne",
    "scheint",
    "heute",
    "auf",
    "den",
    "kleinen",
    "Garten",
    "hinter",
    "dem",
    "alten",
    "Haus",
    "und",
    "wir",
    "lesen",
]
SETTINGS = {
    "rules.gopher-quality.min_words": (0, 30, 60, 90),
    "rules.gopher-quality.min_stop_words": (0, 2, 5),
    "rules.gopher-quality.max_hash_ratio": (0.01, 0.1, 1),
    "rules.gopher-repetition.max_dup_lines": (0.1, 0.3, 1),
    "rules.gopher-repetition.max_top_2_gram_chars": (0.05, 0.2, 1),
    "language.keep": ('"all"', '["en"]', '["en", "de"]'),
    "language.min_score": (0.0, 0.4, 0.9),
    "dedup.similarity": (0.5, 0.7, 0.9, 0.99),
    "dedup.near": ("minhash", "none"),
    "dedup.exact": ("bytes", "none"),
    "output.format": ("arrow", "jsonl"),
}


def documents(draw):
    """Records: plain, repeated lines, hashes, German, copies with some words replaced, broken."""
    lines = []

    def add(text):
        lines.append(json.dumps({"id": f"d{len(lines)}", "text": text, "pad": "x" * 2000}))

    for number in range(40):
        words = draw.choices(WORDS, k=draw.randint(20, 120))
        text = " ".join(words)
        if number % 5 == 1:
            line = " ".join(words[:8])
            text = "\n".join([text, *[line] * draw.randint(1, 9)])
        elif number % 5 == 2:
            text = text.replace(" the ", " # ") + " #" * draw.randint(0, 9)
        elif number % 5 == 3:
            text = " ".join(draw.choices(GERMAN, k=draw.randint(20, 80)))
        add(text)
        for _ in range(draw.choice((0, 0, 0, 1, 3))):  # copies
            other = text.split(" ")
            for _ in range(draw.choice((0, 0, 1, 2))):
                other[draw.randrange(len(other))] = draw.choice(WORDS)
            add(" ".join(other) + " more" * draw.randint(0, 2))
    lines += ['{"id": "broken"', json.dumps({"id": "blank", "text": "  "})]
    draw.shuffle(lines)
    return lines


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A clean run of the documents in several units, and its input."""
    folder = tmp_path_factory.mktemp("replay")
    lines = documents(random.Random(3))
    for part in range(3):
        (folder / f"in{part}.jsonl").write_text("\n".join(lines[part::3]) + "\n")
    inputs = [str(folder / f"in{part}.jsonl") for part in range(3)]
    api.clean(inputs, str(folder / "run"), specs.load(specs.CleanSpec, overrides=BASE))
    return str(folder / "run"), inputs


BASE = ("plan.unit_bytes=65536", 'rules.use=["gopher-quality", "gopher-repetition"]')


def ledger_of(root):
    """Rows by id, without the address of the text."""
    rows = explain.ledger(root).drop_columns(["shard", "row"]).to_pylist()
    return {row["id"]: row for row in rows}


@pytest.mark.parametrize("seed", range(3))
def test_replay_is_the_full_run(run, tmp_path, seed):
    """Random settings: the same ledger rows, corpus and attribution as a full run with them."""
    root, inputs = run
    draw = random.Random(seed)
    chosen = [f"{key}={draw.choice(values)}" for key, values in SETTINGS.items()]
    spec = api.replay_spec(root, overrides=chosen)
    found, made = api.replay(root, str(tmp_path / "new"), spec)
    full = api.clean(inputs, str(tmp_path / "full"), spec)
    assert ledger_of(str(tmp_path / "new")) == ledger_of(str(tmp_path / "full"))
    assert made.content == full.content
    assert made.counts == full.counts == {**full.counts, **found.after.counts}
    assert made.facts["attribution"] == full.facts["attribution"] == found.attribution
    assert made.parent == {"path": root, "content": manifest.read(root, "clean").content}
    assert api.verify(str(tmp_path / "new"))["content"] == full.content
    assert "Settings that differ" in (tmp_path / "new/difference.html").read_text("utf-8")

    old, new = ledger_of(root), ledger_of(str(tmp_path / "full"))
    sides = {key.hex() for key in old if old[key]["outcome"] != new[key]["outcome"]}
    assert sides
    assert {row["id"] for row in found.documents()} == sides
    for row in found.documents():
        assert row["after"]["reasons"] == explain.plain(new[bytes.fromhex(row["id"])])["reasons"]
    # The new folder is a run like any other: forge clean has nothing left to do in it.
    assert api.clean(inputs, str(tmp_path / "new"), spec).parent == made.parent


def test_nothing_changes_without_settings(run):
    """The stored columns give the verdicts of the run itself, and its removed copies."""
    root, _ = run
    assert len(again.units_of(root)) > 1
    found, made = api.replay(root)
    assert made is None
    assert found.before == found.after
    assert (len(found.changes), found.other) == (0, 0)
    spec = api.replay_spec(root)
    table = attribution.empty(spec)
    for _, batch in attribution.judged(root, [unit.name for unit in again.units_of(root)], spec):
        table.add(batch)
    removed = read_table(root, "dedup/removed.arrow", REMOVED)
    assert removed.num_rows > 5
    assert copies.removed(table.candidates(), spec.dedup).equals(removed)
    assert manifest.read(root, "clean").facts["attribution"] == found.attribution


def test_rules_that_did_not_change_stand_in_the_ledger(run):
    """Taken from there or judged anew of their signals, they give the same."""
    root, _ = run
    old = api.replay_spec(root)
    spec = api.replay_spec(root, overrides=["rules.gopher-quality.min_words=60"])
    known = attribution.known_rules(spec, old)
    every = attribution.known_rules(old, old)
    assert known == every - {"gopher-quality.min_words"}
    names = [unit.name for unit in again.units_of(root)]
    ways = [attribution.judged(root, names, spec, some) for some in (known, frozenset())]
    for (unit, told), (other, judged) in zip(*map(list, ways), strict=True):
        assert unit == other
        for name in ("outcome", "stage", "reasons"):
            assert told.column(name).equals(judged.column(name))
    failed = [pa.compute.sum(pa.compute.list_value_length(told.column("reasons"))) for _, told in
              attribution.judged(root, names, spec, known)]  # fmt: skip
    assert sum(one.as_py() or 0 for one in failed) > 5


def test_leave_one_out_is_a_run_without_the_rule(run):
    """What is kept more without a rule, after deduplication; unique is what fails nothing else."""
    root, _ = run
    free = {
        "gopher-quality.min_words": 0,
        "gopher-quality.min_stop_words": 0,
        "gopher-quality.max_hash_ratio": 1,
        "gopher-repetition.max_dup_lines": 1,
        "gopher-repetition.max_top_2_gram_chars": 1,
    }
    strict = ["rules.gopher-quality.min_words=60", "rules.gopher-quality.min_stop_words=5"]
    strict += ["rules.gopher-repetition.max_top_2_gram_chars=0.05"]
    base, _ = api.replay(root, spec=api.replay_spec(root, overrides=strict))
    rows = {row["rule"]: row for row in base.attribution}
    moved = 0
    for rule, threshold in free.items():
        spec = api.replay_spec(root, overrides=[*strict, f"rules.{rule}={threshold}"])
        without, _ = api.replay(root, spec=spec)
        more = without.after.counts["kept"] - base.after.counts["kept"]
        assert rows[rule]["leave_one_out"]["documents"] == more, rule
        unique = rows[rule]["unique"]["documents"]
        passed = [t.counts["kept"] + t.stages.get("dedup", 0) for t in (base.after, without.after)]
        assert unique == passed[1] - passed[0], rule
        moved += unique != more
    assert moved  # copies among what comes back
    assert sum(row["first"]["documents"] for row in base.attribution) == base.after.stages["rules"]


def test_attribution_holds_no_more_than_its_limit(run):
    """Past it the numbers that need no signatures are the same, and leave_one_out is not known."""
    root, _ = run
    spec = api.replay_spec(root)
    names = [unit.name for unit in again.units_of(root)]
    rows = {}
    for most in (None, 20):
        table = attribution.empty(spec, most)
        for _, batch in attribution.judged(root, names, spec):
            table.add(batch)
            assert most is None or sum(map(len, table.passed + table.alone)) <= most
        rows[most] = table.finish(read_table(root, "dedup/removed.arrow", REMOVED), spec.dedup)
    assert rows[20] == [{**row, "leave_one_out": None} for row in rows[None]]


def test_edits_masks_and_evaluation_items(run, tmp_path):
    """Texts that a rule set edited and masks changed, and documents that share an item's words."""
    documents_in = [json.loads(line) for line in documents(random.Random(3)) if "}" in line]
    long = [row["text"] for row in documents_in if len(row["text"].split()) > 60]
    (tmp_path / "items.jsonl").write_text(
        "".join(json.dumps({"question": text}) + "\n" for text in long[:9])
    )
    for number, row in enumerate(documents_in):
        row["text"] += f".\nwrite to a{number}@b.org\nThis one stays, too."
    lines = "".join(json.dumps(row) + "\n" for row in documents_in)
    (tmp_path / "in.jsonl").write_text(lines)
    base = [
        *('rules.use=["gopher-quality", "c4"]', "rules.c4.min_sentences=2"),
        *(f'decontaminate.files=["{tmp_path / "items.jsonl"}"]', 'pii.mask=["email"]'),
    ]
    old, inputs = str(tmp_path / "old"), [str(tmp_path / "in.jsonl")]
    first = api.clean(inputs, old, specs.load(specs.CleanSpec, overrides=base))
    assert api.replay(old)[0].before == api.replay(old)[0].after
    settings = ["rules.gopher-quality.min_words=30", "rules.c4.min_sentences=1"]
    for more in (["rules.gopher-quality.min_words=90"], ["decontaminate.action=report"]):
        spec = api.replay_spec(old, overrides=[*settings, *more])
        found, made = api.replay(old, str(tmp_path / f"new{more}"), spec)
        full = api.clean(inputs, str(tmp_path / f"full{more}"), spec)
        assert made.content == full.content != first.content
        assert made.facts["attribution"] == full.facts["attribution"] == found.attribution
    assert found.before.stages["decontaminate"] > 0
    assert "decontaminate" not in found.after.stages
    for setting in ("rules.c4.min_line_words=5", "pii.mask=[]", "decontaminate.ngram=9"):
        with pytest.raises(SpecError, match=r"cannot be replayed"):
            api.replay(old, spec=api.replay_spec(old, overrides=[setting]))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("extract.method=none", "extract.method cannot be replayed.*documents: forge clean"),
        ("read.limits.depth=99", "read.limits.depth cannot be replayed: .* as it was read"),
        ("dedup.bands=8", "dedup.bands cannot be replayed: signatures were stored"),
        ("dedup.seed=8", "dedup.seed cannot be replayed"),
        ("url.domains=a.txt", "url.domains cannot be replayed: pages on a list were dropped"),
        ('pii.mask=["ip"]', "pii.mask cannot be replayed: texts are stored as they were masked"),
        ('transforms.extra=["a:b"]', "transforms.extra cannot be replayed: the columns of own"),
        ('rules.use=["c4"]', "rules.use cannot be replayed: it edits texts"),
        ('rules.use=["dclm/gopher-quality"]', "the run did not store its signal 'dclm_word_count"),
        ('language.keep=["e"]', "language.keep"),
        ("dedup.exact=tokens", "its keys were not stored"),
        ("rules.gopher-quality.min_wods=8", "did you mean 'min_words'"),
        ("dedup.similaritty=0.8", "did you mean 'similarity'"),
    ],
)
def test_what_stored_columns_cannot_answer_is_refused(run, setting, message):
    """With the first stage to run again named, or the nearest key."""
    with pytest.raises(SpecError, match=message):
        api.replay(run[0], spec=api.replay_spec(run[0], overrides=[setting]))


def test_every_key_is_replayed_or_has_its_reason():
    """No key of the spec is left to a guess, and none is both."""

    def keys(table, prefix=""):
        for name, value in table.items():
            if isinstance(value, dict) and prefix + name != "rules":
                yield from keys(value, f"{prefix}{name}.")
            else:
                yield prefix + name + "." * (name == "rules")

    for key in keys(specs.CleanSpec().model_dump()):
        reasons = [name for name in replay.SETTLED if key.startswith(name)]
        assert key.startswith(replay.KEYS) or len(reasons) == 1, key
        if key.startswith(replay.KEYS):
            assert not reasons or reasons[0] in ("dedup.", "decontaminate."), key


def test_a_signal_that_was_not_stored_is_refused(run, tmp_path):
    """As in a run of an older version; a user's rule file is judged as it is now."""
    rules = tmp_path / "mine.toml"
    rule = '[one]\nsignal = "hash_word_ratio"\nkeep = "<"\nthreshold = {}\ncitation = ""\n'
    rules.write_text(rule.format(0))
    spec = api.replay_spec(run[0], overrides=[f'rules.use=["{rules}"]'])
    found = [api.replay(run[0], spec=spec)[0]]
    rules.write_text(rule.format(1))
    found.append(api.replay(run[0], spec=spec)[0])
    assert found[0].after.rules["mine.one"] > found[1].after.rules.get("mine.one", 0)
    old = shutil.copytree(run[0], tmp_path / "old")
    for file in (old / "signals").iterdir():
        pq.write_table(pq.read_table(file).drop_columns(["hash_word_ratio"]), file)
    with pytest.raises(SpecError, match=r"mine.one cannot be replayed.*'hash_word_ratio'"):
        api.replay(str(old), spec=spec)


def test_texts_are_needed_to_write_a_run(run, tmp_path):
    """A run without dropped texts is refused with the remedy; so is the run itself."""
    inputs, bare = run[1], str(tmp_path / "bare")
    api.clean(inputs, bare, specs.load(specs.CleanSpec, overrides=["output.keep_dropped=false"]))
    assert api.replay(bare)[0].after.counts["kept"] > 0
    with pytest.raises(RunError, match=r"output.keep_dropped = true"):
        api.replay(bare, str(tmp_path / "new"))
    with pytest.raises(UsageError, match="is the run itself"):
        api.replay(run[0], run[0] + "/")


def test_command(run, tmp_path):
    """The funnel before and after, the documents that change sides, all of them in a file."""
    file = tmp_path / "changes.jsonl"
    arguments = ["replay", run[0], "--set", "rules.gopher-quality.min_words=90", "--limit", "1"]
    told = CliRunner().invoke(main, [*arguments, "--changes", str(file)])
    assert told.exit_code == 0, told.output
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert f"{len(rows):,} documents change sides" in told.output
    assert "set rules.gopher-quality.min_words (50 -> 90)" in told.output
    assert told.output.count("gopher-quality.min_words: words = ") == 1
    values = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).output.splitlines()[-1])
    assert values["documents"] == rows
    assert values["changed_sides"] == len(rows) > 1
    assert values["after"]["counts"]["kept"] < values["before"]["counts"]["kept"]


def test_text_of_a_replay_names_every_stage(run):
    """Also where nothing is dropped any more."""
    spec = api.replay_spec(run[0], overrides=["dedup.near=none", "dedup.exact=none"])
    text = describe(api.replay(run[0], spec=spec)[0], 0)
    assert "not kept at dedup" in text
    assert "near-duplicate" in text
