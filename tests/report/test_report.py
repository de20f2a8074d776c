"""The report: what it counts is what lies in the run, and nothing in it runs or loads."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from report_runs import (
    DUP,
    FEW,
    READ,
    document,
    identity,
    reason,
    usual,
    write_clean,
    write_model,
    write_tokens,
)
from selectolax.lexbor import LexborHTMLParser

from corpusforge import report
from corpusforge.errors import RunError

BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("altair", "vl_convert"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
from corpusforge import report
report.write(sys.argv[1])
"""
LOSSES = [{"step": n, "loss": 9 - n / 100, "gradient_norm": 1.0 + n % 7} for n in range(1, 601)]
HOSTILE = [
    "<script>document.title='pwned'</script>",
    "</blockquote></details><img src=x onerror=alert(1)>",
    "\"' onmouseover='alert(1)' x=\"",
    "<svg onload=alert(1)><style>@import 'https://evil.example/a.css'</style>",
    "<!--<base href=https://evil.example/>--><iframe src=//evil.example>",
    "&lt;script&gt; &amp;#60; ]]> \u202egnp.exe\u202c \u2066a\u2069 \u200f\x07\x1b[31m\x00",
    "<a href=javascript:alert(1)>x</a>" + "A" * (1 << 20),
]
TAGS = re.compile(
    "html|head|body|meta|title|style|header|main|nav|section|h1|h2|h3|p|ul|li|a|dl|dt|dd|div|span|i"
    "|code|pre|table|caption|thead|tbody|tr|th|td|wbr|details|summary|blockquote|figure|figcaption"
    "|svg|g|path|line|text|rect|defs"
)


@pytest.fixture
def root(tmp_path):
    """A folder for a run, as the command line gives it."""
    return str(tmp_path)


def read(root):
    """Write the report of a run and parse it."""
    path = report.write(root)
    return LexborHTMLParser(Path(path).read_text(encoding="utf-8"))


def rows(page, caption):
    """Return the rows of a table as {first cell: other cells}."""
    tables = [t for t in page.css("table") if t.css_first("caption").text() == caption]
    assert len(tables) == 1, [t.css_first("caption").text() for t in page.css("table")]
    cells = [[c.text() for c in row.css("th, td")] for row in tables[0].css("tbody tr")]
    return {first: rest for first, *rest in cells}


def test_funnel_counts_the_ledger(root):
    """Each stage takes what the ledger says it took; what is left at the end was kept."""
    page = read(write_clean(root, usual()))
    funnel = rows(page, "What each stage took, and what it left")
    assert [cells[:3] for cells in funnel.values()] == [
        ["–", "–", "25"],
        ["2", "2", "21"],
        ["0", "1", "20"],
        ["0", "0", "20"],
        ["8", "0", "12"],
        ["2", "0", "10"],
    ]
    kept = sum(len(one["text"]) for one in usual() if one["outcome"] == "kept")
    size = sum(len(one["text"].encode()) for one in usual() if one["outcome"] == "kept")
    assert funnel["after dedup"][-2:] == [str(kept), str(size)]
    names, values = ([n.text() for n in page.css(f"#funnel {tag}")] for tag in ("dt", "dd"))
    facts = dict(zip(names, values, strict=True))
    assert facts["records in"] == "25" and facts["records kept"] == "10"
    assert facts["share kept"] == "40.0\u00a0%"


def test_drops_by_rule(root):
    """First, any and alone of each rule, as a plain count over the documents gives them."""
    table = rows(read(write_clean(root, usual())), "Dropped documents by rule")
    first, some, alone = Counter(), Counter(), Counter()
    for one in usual():
        names = [reason["rule"] for reason in one["reasons"] or [] if one["outcome"] == "dropped"]
        first.update(names[:1])
        some.update(names)
        alone.update(names if len(names) == 1 else [])
    counted = {n: [int(c) for c in cells[:3]] for n, cells in table.items() if cells[1] != "0"}
    assert counted == {name: [first[name], some[name], alone[name]] for name in some}
    assert table[FEW["rule"]][-1] == "words >= 50"
    assert table["gopher-quality.max_words"] == ["0", "0", "0", "0.0\u00a0%", "words <= 100,000"]


def test_rules_that_fail_the_same_documents(root):
    """Sets of rules by the documents that fail exactly these, as a plain count gives them."""
    page = read(write_clean(root, usual()))
    sets = Counter(
        frozenset(reason["rule"] for reason in one["reasons"])
        for one in usual()
        if one["outcome"] == "dropped" and one["reasons"]
    )
    legend = dict(li.text().split(": ") for li in page.css(".legend li"))
    caption = "Dropped documents by the exact set of rules that they fail, largest first"
    shown = {
        frozenset(legend[letter].split(" (")[0] for letter in name.split(" + ")): int(cells[0])
        for name, cells in rows(page, caption).items()
    }
    assert shown == sets
    dots = page.css_first(".dot").parent.parent.css(".dot")
    assert sum(dot.text() == "●" for dot in dots) == 1


def test_optional_stages_show_where_they_took_something(root):
    """URL lists and decontamination stand in their place in the funnel, else not at all."""
    made = [
        *usual(),
        document(30, "dropped", "url", [READ]),
        document(31, "dropped", "decontaminate"),
    ]
    funnel = list(rows(read(write_clean(root, made)), "What each stage took, and what it left"))
    assert funnel == [
        "records in",
        *(f"after {name}" for name in ("read", "url", "extract", "language", "rules")),
        *("after decontaminate", "after dedup"),
    ]


def test_failures_languages_copies_sources(root):
    """Failures that differ in a number are one kind; outcomes are counted by their keys."""
    page = read(write_clean(root, usual()))
    assert rows(page, "Failed records by stage and kind") == {
        "read: line N: not JSON": ["2", "66.7\u00a0%"],
        "extract: limit:depth": ["1", "33.3\u00a0%"],
    }
    languages = rows(page, "Documents by detected language")
    assert languages["de"][:3] == ["0", "1", "0"] and languages["en"][:3] == ["10", "9", "0"]
    hosts = rows(page, "Largest hosts")
    assert sum(int(n) for cells in hosts.values() for n in cells[:3]) == 25
    copies = rows(page, "Copies by similarity to their survivor")
    assert copies["1, exact"] == ["1"] and copies["0.80 to 0.85, near"] == ["1"]
    groups = rows(page, "Largest groups of copies")
    assert groups["https://host1.example/1"] == [identity(1).hex(), "1"] and len(groups) == 2
    assert [dd.text() for dd in page.css("#copies dd")] == ["1", "1"]
    assert rows(page, "Groups by size") == {"2 to 3": ["2", "2"]}


def test_formats_and_times(root):
    """Types of what was read and of what was refused; times of all goes of the run, not older."""
    made = [
        document(1, meta='{"mime": "text/html", "status": 200}', charset="utf-8"),
        document(2, "dropped", "rules", [FEW], meta='{"mime":"text/html"}', charset="cp1252"),
        document(3, "dropped", "read", [reason("mime", "mime")], detail="a/b<i>", text=None),
    ]
    write_clean(root, made)
    events = [
        {"event": "stage", "stage": "old", "seconds": 9, "documents": 1, "bytes": 0},
        {"event": "start"},
        {"event": "stage", "stage": "documents", "seconds": 2, "documents": 8, "bytes": 4000000},
        {"event": "continue"},
        {"event": "stage", "stage": "documents", "seconds": 2, "documents": 4, "bytes": 0},
    ]
    lines = [*map(json.dumps, events), '{"event": "sta']
    Path(root, "log.jsonl").write_text("\n".join(lines))
    page = read(root)
    types = rows(page, "Documents by media type of the answer")
    assert types["text/html"][:3] == ["1", "1", "0"] and types["a/b<i>"][:3] == ["0", "1", "0"]
    charsets = rows(page, "Documents by charset they were read in")
    assert charsets["utf-8"][:3] == ["1", "0", "0"] and charsets["cp1252"][:3] == ["0", "1", "0"]
    assert rows(page, "Time by stage") == {"documents": ["4", "12", "3", "4,000,000", "1", "1"]}


def test_signals_have_their_cuts(root):
    """A histogram a signal that a rule looks at; its caption gives the share that is cut."""
    page = read(write_clean(root, usual()))
    figures = {f.css_first(".title").text(): f for f in page.css("#signals figure")}
    assert set(figures) == {"language_score", "words", "dup_line_fraction"}
    measured = sum(one["text"] is not None for one in usual())
    for why, cut in ((FEW, ">= 50"), (DUP, "<= 0.3")):
        share = 100 * sum(why in (one["reasons"] or []) for one in usual()) / measured
        caption = figures[why["signal"]].css_first("figcaption").text()
        assert f"kept when {cut}; cuts {share:.1f}\u00a0%" in caption
    assert figures["words"].css_first("svg") is not None
    label = figures["words"].css_first("[role=img]").attributes["aria-label"]
    assert f"over {measured} documents" in label
    table = rows(page, "All signals: smallest, quantiles and largest value")
    assert table["dup_line_fraction"][0] == "0.02" and table["dup_line_fraction"][-1] == "0.44"


def test_samples_are_the_same_however_the_run_was_cut(root, tmp_path):
    """Samples hold the beginnings of stored texts and do not depend on batches or shards."""
    page = read(write_clean(root, usual()))
    other = read(write_clean(str(tmp_path / "other"), usual(), batch=2))
    assert page.css_first("#samples").html == other.css_first("#samples").html
    kept = page.css_first("#samples details")
    assert kept.css_first("summary").text() == "kept (10)"
    lowest = sorted(usual()[:10], key=lambda one: one["id"])[:3]
    assert [q.text() for q in kept.css("blockquote")] == [one["text"] for one in lowest]
    assert "words = 3, kept when >= 50" in page.css_first("#samples").text()


def inert(page):
    """Check that no part of a page runs, loads or leads out of it."""
    for node in page.root.traverse(include_text=False):
        assert TAGS.fullmatch(node.tag), node.tag
        for name, value in node.attributes.items():
            assert not name.startswith("on") and name not in ("src", "action", "xlink:href"), name
            assert name != "href" or value.startswith("#"), value
            assert name != "style" or re.fullmatch(r"width:[\d.]+%", value) or node.tag != "i"
            if value and node.tag not in ("meta",):
                assert "url(" not in value and "javascript:" not in value
    assert all("url(" not in s.text() and "@import" not in s.text() for s in page.css("style"))
    policy = page.css_first("meta[http-equiv]").attributes["content"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")


def hostile():
    """Documents whose every string is hostile."""
    made = []
    for number, evil in enumerate(HOSTILE, 1):
        strings = dict.fromkeys(("text", "url", "source_id", "title", "detail", "language"), evil)
        bad = {**DUP, "rule": evil, "signal": evil, "comparison": evil}
        made.append(document(number, "dropped", "rules", [bad], source=evil, **strings))
        made.append(document(number + 100, "failed", evil[:99], **strings))
        made.append(document(number + 200, **strings))
    return made


def test_hostile_documents_are_inert(root):
    """Text of documents stays text: no element, attribute, direction or control comes of it."""
    page = read(write_clean(root, hostile()))
    inert(page)
    written = Path(root, "report.html").read_text(encoding="utf-8")
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]", written
    )
    texts = [quote.text() for quote in page.css("#samples blockquote")]
    assert HOSTILE[0] in texts and any("[U+202E]gnp.exe" in text for text in texts)
    assert max(map(len, texts)) <= 300
    assert len(written.encode()) < 3 << 20


def test_every_kind_of_run_is_inert_and_named(tmp_path):
    """The three pages hold no hostile markup, and their links lead to their sections."""
    roots = [tmp_path / name for name in ("clean", "tok", "model")]
    for one in roots:
        one.mkdir()
    write_clean(str(roots[0]), usual())
    write_tokens(str(roots[1]), [(HOSTILE[0], 5, 9), (HOSTILE[1], 1, 1)])
    write_model(roots[2], LOSSES, continuations=HOSTILE)
    for one in roots:
        page = read(str(one))
        inert(page)
        ids = {node.attributes["id"] for node in page.css("section")}
        assert {a.attributes["href"][1:] for a in page.css("nav a")} == ids
        assert page.css_first("title").text().startswith(one.name)
        assert all(node.attributes.get("aria-label") for node in page.css("[role]"))


def test_many_rules_stay_under_three_megabytes(root):
    """150 rules with three documents each, whose text costs the most to escape."""
    made = [
        document(
            n, "dropped", "rules", [{**FEW, "rule": f"set.rule-{n % 150}"}], text="\x00" * 5000
        )
        for n in range(450)
    ]
    write_clean(root, made)
    assert Path(report.write(root)).stat().st_size < 3 << 20


def test_tokens(root):
    """Tokens, bytes and bytes a token, by language; lengths as they are."""
    page = read(write_tokens(root, [("en", 10, 40), ("en", 30, 80), ("de", 10, 20)]))
    assert rows(page, "Tokens by language") == {
        "en": ["2", "40", "120", "3", "80.0\u00a0%"],
        "de": ["1", "10", "20", "2", "20.0\u00a0%"],
    }
    lengths = rows(page, "Tokens a document")
    assert (
        lengths["smallest"] == ["10"] and lengths["50%"] == ["10"] and lengths["largest"] == ["30"]
    )
    assert page.css_first("#document-lengths svg") is not None
    assert rows(page, "Digests")["parent run/clean"] == ["cd" * 32]


def test_training(tmp_path):
    """Curves with their ends and extremes, evaluations, continuations; a torn line is none."""
    records = [dict(one) for one in LOSSES]
    records[299] |= {"heldout_loss": 6.5, "perplexity": 665.0, "bits_per_byte": 2.5}
    facts = {"steps": 600, "perplexity": None, "last_loss": 3.0, "continuations": ["[a] b"]}
    page = read(write_model(tmp_path, records, **facts))
    table = rows(page, "Over all steps")
    assert table["Loss, nats a token"] == ["8.99", "3", "3 at 600", "8.99 at 1"]
    assert len(page.css("#curves svg")) == 2
    assert rows(page, "Evaluations") == {"300": ["6.5", "665", "2.5"]}
    assert [q.text() for q in page.css("#continuations blockquote")] == ["[a] b"]
    assert [dt.text() for dt in page.css("#training dt")] == ["steps", "last loss"]


def test_samples_over_time(tmp_path):
    """Spread from the first evaluation to the last, inert."""
    texts = [f"[a] {step} {HOSTILE[step % len(HOSTILE)]}" for step in range(30)]
    records = [
        {**one, "heldout_loss": 6.5, "samples": [text]}
        for one, text in zip(LOSSES, texts, strict=False)
    ]
    page = read(write_model(tmp_path, [*records, LOSSES[30]]))
    inert(page)
    heads = [head.text() for head in page.css("#samples-over-time h3")]
    assert len(heads) == 8
    assert (heads[0], heads[-1]) == (
        "Step 1, held-out loss 6.500",
        "Step 30, held-out loss 6.500",
    )
    said = page.css("#samples-over-time blockquote")
    assert len(said) == 8 and said[0].text().startswith("[a] 0 ")


def test_spikes_and_sources_of_training(tmp_path):
    """Spikes name their documents; each source has its losses."""
    records = [{**one, "loss_by_source": {"a": one["loss"], "b": 1.5}} for one in LOSSES]
    root = write_model(tmp_path, records)
    spike = {"step": 7, "loss": 9.5, "loss_z": 8.0, "gradient_norm": 2.0, "gradient_norm_z": 1.0}
    worst = {"url": HOSTILE[0], "source_id": None, "id": "ab" * 16, "loss": 12.5}
    (tmp_path / "spikes.jsonl").write_text(json.dumps({**spike, "documents": [worst]}) + "\n")
    page = read(root)
    inert(page)
    assert page.css_first("#spikes summary").text().startswith("step 7: loss 9.500 (z 8.0)")
    caption = "Documents of step 7 with the highest loss"
    assert rows(page, caption) == {HOSTILE[0]: ["ab" * 16, "12.5"]}
    assert rows(page, "Loss by source, nats a token") == {
        "a": ["600", "8.99", "3"],
        "b": ["600", "1.5", "1.5"],
    }


def test_two_runs_side_by_side(tmp_path):
    """Counts, first reasons, languages and settings that differ; a run with itself has none."""
    a, b = (str(tmp_path / name) for name in "ab")
    write_clean(a, usual())
    write_clean(b, usual()[:-1])
    page = LexborHTMLParser(Path(report.compare(a, b)).read_text(encoding="utf-8"))
    inert(page)
    counts = rows(page, "Records by outcome and stage")
    assert counts["in"] == ["25", "24", "-1"] and counts["failed"] == ["3", "2", "-1"]
    assert rows(page, "Not kept, by the rule that decided first")[FEW["rule"]] == ["7", "7", "0"]
    assert "none" in page.css_first("#settings").text()
    tok = write_tokens(str(tmp_path / "tok"), [("en", 1, 1)])
    with pytest.raises(RunError, match="tokenize run"):
        report.compare(a, tok)


def test_two_trainings_and_two_tokenizers_side_by_side(tmp_path):
    """Figures of both manifests and their changes; losses at steps that both runs did."""
    for name, lower in (("a", 0.0), ("b", 0.5)):
        (tmp_path / name).mkdir()
        records = [{**one, "loss": one["loss"] - lower} for one in LOSSES]
        write_model(tmp_path / name, records[: 600 if name == "a" else 400], last_loss=3 - lower)
    a, b = (str(tmp_path / name) for name in "ab")
    page = LexborHTMLParser(Path(report.compare(a, b)).read_text(encoding="utf-8"))
    inert(page)
    assert rows(page, "Figures of both runs")["last loss"] == ["3", "2.5", "-0.5"]
    losses = rows(page, "Loss at the same steps")
    assert {"1", "400"} <= losses.keys() and len(losses) == 20
    assert {cells[-1] for cells in losses.values()} == {"-0.5"}
    one, two = (write_tokens(str(tmp_path / f"tok{n}"), [("en", n, 4)] * n) for n in (1, 2))
    page = LexborHTMLParser(Path(report.compare(one, two)).read_text(encoding="utf-8"))
    assert rows(page, "Figures of both runs")["tokens"] == ["1", "4", "3"]


def test_without_the_extra_only_the_plots_are_missing(root):
    """Where vl_convert cannot be imported, all tables are there, and how to get plots."""
    full = read(write_clean(root, usual()))
    subprocess.run([sys.executable, "-c", BLOCKED, root], check=True)
    page = LexborHTMLParser(Path(root, "report.html").read_text(encoding="utf-8"))
    assert full.css("svg") and not page.css("svg")
    assert "pip install 'corpusforge[report]'" in page.css_first("header").text()
    assert "pip install" not in full.css_first("header").text()
    assert [t.html for t in page.css("table")] == [t.html for t in full.css("table")]
    assert [f.text() for f in page.css("figure .title")]


def test_empty_and_single_runs(root, tmp_path):
    """A run of nothing, and runs in which every record has one fate, have a report."""
    read(write_clean(root, []))
    for number, one in enumerate(usual()):
        folder = str(tmp_path / f"only-{number}")
        page = read(write_clean(folder, [one]))
        assert rows(page, "What each stage took, and what it left")["records in"][2] == "1"
    (tmp_path / "model").mkdir()
    read(write_model(tmp_path / "model", []))
    read(write_tokens(str(tmp_path / "tok"), []))


def test_same_bytes_and_nothing_left_behind(root):
    """The page is a function of the run; only report.html is added."""
    write_clean(root, usual())
    before = set(Path(root).rglob("*"))
    first = Path(report.write(root)).read_bytes()
    assert Path(report.write(root)).read_bytes() == first
    assert set(Path(root).rglob("*")) - before == {Path(root, "report.html")}


def test_no_finished_run(root):
    """A folder without a manifest is named, with what to do."""
    with pytest.raises(RunError, match="no finished run"):
        report.write(root)
    assert not list(Path(root).iterdir())
