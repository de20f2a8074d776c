"""Explain: a document is found as people name it, and told stage by stage."""

import json
import shutil
from pathlib import Path

import large_run
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from corpusforge import api, explain, lookup, manifest, spec
from corpusforge.cli import main
from corpusforge.errors import InputError
from corpusforge.kernels.lookup_keys import host_of, plain_url

EVIL = "<script>alert(1)</script> \u202egnp.exe\x1b[31m"
LINE = "The quick brown fox walks over the lazy dog and that is all it has to be with {} today. "


def plain(url):
    """The plain form of one URL."""
    return plain_url(pa.array([url]))[0].as_py()


def text_of(seed):
    """A text that passes the rules; texts of two seeds are no copies."""
    words = [f"{w}{seed}{k}" for k in range(16) for w in ("alpha", "beta", "gamma")]
    return f"{LINE.format(seed)} " + " ".join(f"The {a} of it have that." for a in words)


def documents():
    """Kept, a near copy, one that fails rules, a page, a bad line."""
    twin = text_of("x")
    page = "".join(f"<p>{text_of(n)}</p>" for n in "pq")
    menu = "".join(f"<li><a href=/{n}>Menu {n}</a></li>" for n in range(20))
    return [
        {"id": "one", "url": "https://Example.org/One/", "text": twin + " One more is here."},
        {"id": "two", "url": "http://example.org/two?a=1", "text": twin},
        {"id": "few", "url": "https://example.org/few", "text": f"Too few words {EVIL}"},
        {
            "id": "page",
            "url": "https://example.org/page",
            "html": f"<title>A {EVIL}</title><nav><ul>{menu}</ul></nav><main>{page}</main>",
        },
    ]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A finished clean run."""
    folder = tmp_path_factory.mktemp("explain")
    lines = [json.dumps(one) for one in documents()]
    (folder / "in.jsonl").write_text("\n".join([*lines, "{bad"]), encoding="utf-8")
    output = str(folder / "run/clean")
    settings = spec.load(spec.CleanSpec, overrides=['rules.use=["gopher-quality"]'])
    api.clean([str(folder / "in.jsonl")], output, settings, workers=1)
    return output


@given(
    st.sampled_from(["", "http://", "https://", "HTTPS://", "//"]),
    st.sampled_from(["", "/", "//"]),
    st.sampled_from(["", "#part"]),
    st.sampled_from(["a.b", "A.b", "a.B:443"]),
    st.text("aB/?=%20&.", max_size=12).map(lambda t: t.rstrip("/")),
)
def test_urls_of_one_page_are_one(scheme, slash, part, host, path):
    """Scheme, case of the host, slashes at the end and the fragment say nothing; the path does."""
    path = f"/{path}" if path and path[0] not in "/?" else path
    assert plain(f"{scheme}{host}{path}{slash}{part}") == f"a.b{path}".rstrip("/")


def test_other_pages_are_others():
    """Case and query of the path count, and so does a user's port."""
    urls = ["a.b/c", "a.b/C", "a.b/c?d", "a.b/c/d", "a.b:8080/c", "b.a/c"]
    assert len({plain(url) for url in urls}) == len(urls)
    hosts = host_of(plain_url(pa.array(["https://u:p@WWW.a.b:81/c", "a.b?x", "", "a.b"])))
    assert hosts.to_pylist() == ["a.b", "a.b", "", "a.b"]


@pytest.mark.parametrize(
    "key",
    [
        "one",
        "https://Example.org/One/",
        "http://example.org/One",
        "example.org/One#x",
        " //EXAMPLE.ORG/One",
    ],
)
def test_a_document_is_found_as_people_name_it(root, key):
    """By its own id and its URL in any form; by the id of the ledger."""
    (row,) = explain.document(root, key)
    assert (row["source_id"], row["outcome"]) == ("one", "kept")
    assert explain.document(root, row["id"].hex())[0]["id"] == row["id"]


def test_every_stage_in_order(root):
    """A kept document passed all; a dropped one ends where it was decided, with all reasons."""
    (kept,) = explain.document(root, "one")
    assert [(s["stage"], s["outcome"]) for s in kept["stages"]] == [
        (name, "passed") for name in ("read", "extract", "language", "rules", "dedup")
    ]
    (few,) = explain.document(root, "few")
    *passed, last = few["stages"]
    assert [s["stage"] for s in passed] == ["read", "extract", "language"]
    assert last["outcome"] == "dropped" and last["reasons"] == few["reasons"]
    told = explain.describe(root, few)
    words = few["words"]
    assert f"gopher-quality.min_words: words = {words}, kept when >= 50" in told
    (bad,) = explain.document(root, json_bad_id(root))
    assert [s["stage"] for s in bad["stages"]] == ["read"] and "failed at read" in explain.describe(
        root, bad
    )


def json_bad_id(root):
    """Id of the record that is no JSON."""
    rows = explain.ledger(root).to_pylist()
    return next(row["id"].hex() for row in rows if row["outcome"] == "failed")


def test_language_and_rules_are_decided_together(root, tmp_path):
    """What falls by language has the reasons of rules too, each under its stage."""
    output = str(tmp_path / "run")
    settings = spec.load(spec.CleanSpec, overrides=['language.keep=["de"]'])
    api.clean([str(Path(root).parents[1] / "in.jsonl")], output, settings, workers=1)
    (few,) = explain.document(output, "few")
    stages = {one["stage"]: one for one in few["stages"]}
    assert list(stages)[-1] == "rules"
    assert {r["rule"].split(".")[0] for r in stages["language"]["reasons"]} == {"language"}
    assert "gopher-quality.min_words" in {r["rule"] for r in stages["rules"]["reasons"]}


def test_a_copy_shows_its_survivor_and_the_difference(root):
    """URL, similarity, and the words that only one of the two has."""
    (kept,), (copy,) = (explain.document(root, key) for key in ("one", "two"))
    told = explain.describe(root, copy)
    assert f"survivor {kept['url']} (similarity 0.9" in told
    assert "One more is here." in "".join(copy["change"])
    assert explain.change("a b c", "a b c") == [] and explain.change(None, "a") is None
    assert explain.change("a b c", "a x c") == ["a [-b-]{+x+} c"]


def test_nothing_steers_the_terminal(root):
    """Control and bidi characters of a document are not printed."""
    for key in ("few", "page"):
        done = CliRunner().invoke(main, ["explain", root, key])
        assert done.exit_code == 0
        assert not {"\x1b", "\u202e"} & set(done.stdout)


def test_the_page_of_a_document(root, tmp_path):
    """--html: blocks kept and cut as extraction took them; hostile text stays text."""
    for key in ("page", "few", "one", "two"):
        path = tmp_path / f"{key}.html"
        assert CliRunner().invoke(main, ["explain", root, key, "--html", str(path)]).exit_code == 0
        page = LexborHTMLParser(path.read_text(encoding="utf-8"))
        assert not page.css("script, img, iframe") and "\u202e" not in path.read_text()
        blocks = [(b.attributes["class"], b.css("div")[-1].text()) for b in page.css(".block")]
        if key == "page":
            (row,) = explain.document(root, key)
            kept = [text for kind, text in blocks if kind == "block is-kept"]
            assert len(kept) == row["stated"]["blocks_kept"]
            assert len(blocks) == row["stated"]["blocks_seen"]
            assert "\n".join(kept) == explain.text_of(root, row).replace("\n\n", "\n")
            assert ("block is-cut", "Menu 3") in blocks
        else:
            assert blocks == []
    page = LexborHTMLParser((tmp_path / "two.html").read_text(encoding="utf-8"))
    changed = "".join(node.text() for node in page.css("del, ins"))
    assert "more" in changed


def test_an_input_that_has_gone_is_said(root, tmp_path):
    """The page is written all the same."""
    source = Path(root).parents[1] / "in.jsonl"
    hidden = source.rename(tmp_path / "hidden")
    try:
        api.explain(root, "page", html=str(tmp_path / "a.html"))
    finally:
        hidden.rename(source)
    assert "cannot be read again" in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_token_rows_and_steps_lie_beside(root):
    """Token folders that were made of this run are found beside it; others are not."""
    tok = str(Path(root).parent / "tok")
    settings = spec.load(spec.TokenizeSpec, overrides=["vocab_size=300"])
    api.tokenize([root], tok, settings, workers=1)
    values, told = api.explain(root, "one")
    ((tokens,),) = (row["tokens"] for row in values["records"])
    assert f"tokens in {tokens['folder']}/tokens/part-00000.arrow row {tokens['row']}" in told
    assert tokens["tokens"] > 10 and api.explain(root, "two")[0]["records"][0]["tokens"] == []
    assert explain.children(tok, manifest.read(tok, "tokenize"), "train") == []


# -- lookup --------------------------------------------------------------------------------------


def test_a_lookup_reads_its_row_group_alone(tmp_path):
    """Of 100,000 rows: all other ledger files can be gone, and the answer is the same."""
    root = str(tmp_path / "run")
    names = large_run.write(root, 100_000, shards=4, batch=5000)
    lookup.write(root, manifest.read(root, "clean"))
    for name in names[:3]:
        Path(root, name).unlink()
    for key in (large_run.url_of(99_999)[8:], "urn:uuid:99999", large_run.identity(99_999).hex()):
        (row,) = explain.document(root, key)
        assert row["offset"] == 99_999
    with pytest.raises(InputError, match=r"nothing was read of the host 'none\.example'"):
        explain.document(root, "https://none.example/")


def test_an_unknown_url_names_the_nearest_of_its_host(tmp_path):
    """Whatever the scheme and www."""
    root = str(tmp_path / "run")
    large_run.write(root, 3000)
    with pytest.raises(InputError, match=f"nearest: {large_run.url_of(5)}, "):
        explain.document(root, "http://host5.example/path/5/page.htm")


def test_lookup_files_follow_the_ledger(tmp_path):
    """One that is torn, or of another ledger, is written anew; without any it works too."""
    root = str(tmp_path / "run")
    large_run.write(root, 50)
    assert explain.document(root, large_run.url_of(7))[0]["offset"] == 7
    (file,) = Path(root, lookup.FOLDER).iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert explain.document(root, large_run.url_of(8))[0]["offset"] == 8
    large_run.write(root, 20)
    with pytest.raises(InputError):
        explain.document(root, large_run.url_of(30))
    shutil.rmtree(Path(root, lookup.FOLDER))
    Path(root, lookup.FOLDER).write_text("no folder can be made here")
    assert explain.document(root, large_run.url_of(9))[0]["offset"] == 9


def test_lookup_parts_cover_the_ledger(tmp_path, monkeypatch):
    """With several lookup files every row is found once."""
    monkeypatch.setattr(lookup, "ROWS", 30)
    root = str(tmp_path / "run")
    large_run.write(root, 100, shards=7)
    for number in range(100):
        (row,) = explain.document(root, large_run.url_of(number))
        assert row["offset"] == number
    assert len(list(Path(root, lookup.FOLDER).iterdir())) > 1
