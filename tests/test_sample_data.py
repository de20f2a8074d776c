"""The sample is small, whole and honest: each awkward record is there and is what its row says."""

import gzip
import json
import re
import zlib
from collections import Counter, defaultdict
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

SAMPLE = Path(__file__).resolve().parents[1] / "sample_data"
WARCS = ("pages.warc.gz", "awkward.warc.gz")
LINE_FILES = ("notes.jsonl", "more.jsonl.gz")
GZIP_MAGIC = b"\x1f\x8b\x08"
# Parts, so that a search of the tree for these strings does not find this test.
LEAKS = tuple(
    "".join(parts).encode() for parts in (("/ro", "ot/"), ("/wo", "rk/"), ("pypi", ".org"))
)
LEAKS += (b"deb." + b"debian", b"/tm" + b"p/ve")

records = import_module("corpusforge.sample_data.records")
selection = import_module("corpusforge.sample_data.selection")
awkward = import_module("corpusforge.sample_data.awkward")
expected_rows = import_module("corpusforge.sample_data.expected")


@cache
def answers() -> list[dict[str, Any]]:
    """The rows of expected.json."""
    return json.loads((SAMPLE / "expected.json").read_text("utf-8"))


@cache
def warc(name: str) -> dict[int, bytes | None]:
    """Each gzip member by its offset: the plain record, None for the damaged one."""
    return dict(records.members((SAMPLE / name).read_bytes()))


@cache
def lines(name: str) -> dict[int, tuple[int, bytes]]:
    """Each line by its offset: its number from 1 and its bytes."""
    data = (SAMPLE / name).read_bytes()
    data = gzip.decompress(data) if name.endswith(".gz") else data
    out, offset = {}, 0
    for number, line in enumerate(data.split(b"\n"), 1):
        if line:
            out[offset] = number, line
        offset += len(line) + 1
    return out


def header(record: bytes, name: str) -> str | None:
    """A header's value from a WARC record or an HTTP message."""
    head = record.partition(b"\r\n\r\n")[0]
    found = re.search(rb"(?im)^%s: *(.*?)\r?$" % re.escape(name.encode()), head)
    return found[1].decode() if found else None


def http_body(record: bytes) -> bytes:
    """The stored body of a response record, not decoded."""
    length = int(header(record, "Content-Length") or 0)
    block = record.partition(b"\r\n\r\n")[2][:length]
    return block.partition(b"\r\n\r\n")[2]


def by_kind(kind: str) -> tuple[dict[str, Any], bytes | None]:
    """The answer for a kind of awkward record and the record itself."""
    (row,) = (row for row in answers() if row["file"] == awkward.FILE and row["kind"] == kind)
    return row, warc(awkward.FILE)[row["offset"]]


def is_page(record: bytes | None) -> bool:
    """Whether a record is a response."""
    return record is not None and header(record, "WARC-Type") == "response"


def test_the_sample_is_small() -> None:
    """Everything together stays under 4 MB."""
    files = [path for path in SAMPLE.rglob("*") if "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files if path.is_file()) < 4_000_000


def test_page_count_and_languages() -> None:
    """200 to 400 pages, mostly English, in clearly more than one language; all that were chosen."""
    chosen = selection.load_selection(SAMPLE / "selection.json")
    chosen = [page for page in chosen if page.use == "pages"]
    urls = [header(r, "WARC-Target-URI") for r in warc("pages.warc.gz").values() if is_page(r)]
    languages = Counter(page.lang for page in chosen)
    assert 200 <= len(urls) <= 400
    assert sorted(urls) == sorted(page.url for page in chosen)
    assert len(set(urls)) == len(urls)
    assert len(languages) >= 8
    assert languages["en"] > len(urls) / 2


@pytest.mark.parametrize("name", WARCS)
def test_every_record_is_one_gzip_member_with_an_id_of_its_own(name: str) -> None:
    """The first is warcinfo, ids are unique, lengths are right, no header holds a time."""
    data, found = (SAMPLE / name).read_bytes(), warc(name)
    plain = [record for record in found.values() if record is not None]
    assert header(plain[0], "WARC-Type") == "warcinfo"
    ids = [header(record, "WARC-Record-ID") for record in plain]
    assert len(set(ids)) == len(ids)
    assert None not in ids
    for record in plain:
        head, _, block = record.partition(b"\r\n\r\n")
        assert head.startswith(b"WARC/1.")
        assert len(block) == int(header(record, "Content-Length") or 0) + 4
    assert all(data[at + 4 : at + 8] == b"\0\0\0\0" for at in found)


def test_fastwarc_agrees_with_the_walk() -> None:
    """The usual reader finds the same records at the same offsets in pages.warc.gz."""
    archive = pytest.importorskip("fastwarc.warc")
    with (SAMPLE / "pages.warc.gz").open("rb") as stream:
        seen = {r.stream_pos: r.record_id for r in archive.ArchiveIterator(stream)}
    found = warc("pages.warc.gz").items()
    assert seen == {at: header(r, "WARC-Record-ID") for at, r in found if r is not None}


def test_the_pages_vary_as_the_web_does() -> None:
    """Gzip and chunked bodies, pages without a charset in the header, older charsets."""
    pages = [record for record in warc("pages.warc.gz").values() if is_page(record)]
    heads = [page.partition(b"\r\n\r\n")[2].partition(b"\r\n\r\n")[0] for page in pages]
    assert sum(b"Content-Encoding: gzip" in head for head in heads) > 30
    assert sum(b"Transfer-Encoding: chunked" in head for head in heads) > 10
    assert sum(b"charset" not in head for head in heads) > 60
    kinds = Counter(row["kind"] for row in answers() if row["file"] == "pages.warc.gz")
    old = {f"charset-{name}" for name in ("iso-8859-1", "gb18030", "euc-jp", "windows-1251")}
    assert old <= set(kinds)


def test_old_charsets_decode_to_the_phrase() -> None:
    """A page in an older charset holds the phrase of its row, in that charset only."""
    for row in answers():
        if row["kind"].startswith("charset-") and row["file"] == "pages.warc.gz":
            body = http_body(warc(row["file"])[row["offset"]] or b"")
            assert row["contains"].encode(row["kind"].removeprefix("charset-")) in body
            assert row["contains"].encode() not in body


@pytest.mark.parametrize("name", WARCS)
def test_warc_answers_point_to_records(name: str) -> None:
    """Each row's offset starts a member, and that member has the row's record id."""
    rows = [row for row in answers() if row["file"] == name]
    assert len({row["offset"] for row in rows}) == len(rows) > 10
    for row in rows:
        record = warc(name)[row["offset"]]
        if record is None:
            assert row["kind"] == "damaged-member"
        else:
            assert header(record, "WARC-Record-ID") == row["record"]


def test_every_awkward_record_has_an_answer() -> None:
    """Nothing in awkward.warc.gz is left open; of the pages, each that is no response."""
    rows = {(row["file"], row["offset"]) for row in answers()}
    assert all((awkward.FILE, at) in rows for at in warc(awkward.FILE))
    others = [at for at, record in warc("pages.warc.gz").items() if not is_page(record)]
    assert others
    assert all(("pages.warc.gz", at) in rows for at in others)


def test_line_answers_point_to_lines() -> None:
    """Each row of notes.jsonl names a line by offset, and by its id or number."""
    rows = [row for row in answers() if row["file"] == "notes.jsonl"]
    assert len(rows) >= 14
    for row in rows:
        number, line = lines("notes.jsonl")[row["offset"]]
        if isinstance(row["record"], int):
            assert row["record"] == number
        else:
            assert json.loads(line)["id"] == row["record"]


@pytest.mark.parametrize("name", LINE_FILES)
def test_lines_without_an_answer_are_good_notes(name: str) -> None:
    """A line that no row speaks of has id, url and either text or html."""
    rows = {row["offset"] for row in answers() if row["file"] == name}
    good = [json.loads(line) for at, (_, line) in lines(name).items() if at not in rows]
    assert len(good) >= 12
    assert len({note["lang"] for note in good}) > 3
    assert all(note["id"] and note["url"] and ("text" in note) != ("html" in note) for note in good)


def test_answers_use_the_agreed_words() -> None:
    """Outcomes, stages and rules are the ones the ledger knows."""
    rules = {"record-type", "http-status", "mime", "mime-magic", "empty", "duplicate"}
    rules |= {"near-duplicate", "limit:inflated_bytes", None}
    for row in answers():
        outcome = row["outcome"]
        assert set([outcome] if isinstance(outcome, str) else outcome) <= {
            "kept",
            "dropped",
            "failed",
        }
        assert row["stage"] in {"read", "extract", "dedup", None}
        assert row["rule"] in rules
        assert (row["stage"] is not None) or outcome == "kept" or isinstance(outcome, list)


def test_groups_keep_one_of_several() -> None:
    """Each group has more members than are kept."""
    groups = defaultdict(list)
    for row in answers():
        if "group" in row:
            groups[row["group"]].append(row)
    assert set(groups) == {"copy", "near-copy", "note-copy"}
    assert all(len(rows) == 2 and rows[0]["group_kept"] == 1 for rows in groups.values())


def test_copies_and_near_copies() -> None:
    """The copy is equal byte for byte; the near-copy differs in one paragraph, 80 % alike."""
    first, second = (http_body(by_kind(kind)[1] or b"") for kind in ("copy-1", "copy-2"))
    assert first == second
    pages = [http_body(by_kind(f"near-copy-{i}")[1] or b"").decode() for i in (1, 2)]
    one, two = (selection.prose(page) for page in pages)
    assert sum(a != b for a, b in zip(one, two, strict=True)) == 1
    shingles = []
    for page in (one, two):
        words = " ".join(page).split()
        shingles.append({tuple(words[i : i + 5]) for i in range(len(words) - 4)})
    assert len(shingles[0] & shingles[1]) / len(shingles[0] | shingles[1]) > 0.8


def test_kept_pages_stand_on_their_merits() -> None:
    """An awkward page that should be kept has at least 120 words of prose."""
    for row in answers():
        record = warc(awkward.FILE).get(row["offset"])
        if row["file"] != awkward.FILE or "kept" not in row["outcome"] or record is None:
            continue
        head = record.partition(b"\r\n\r\n")[2].partition(b"\r\n\r\n")[0]
        body = http_body(record)
        if b"Content-Encoding" in head and row["kind"] != "gzip-claimed-only":
            continue  # packed: the same words as in any other page of this maker
        html = body.decode("utf-16" if body.startswith(b"\xff\xfe") else "utf-8", "replace")
        assert len(" ".join(selection.prose(html)).split()) >= 120, row["kind"]


def test_the_defects_are_real() -> None:
    """Damage, cut, bomb and depth are what their rows say."""
    assert by_kind("damaged-member")[1] is None
    for kind in ("after-damage", "last"):
        assert by_kind(kind)[0]["outcome"] == "kept"
        assert by_kind(kind)[1] is not None
    cut = http_body(by_kind("gzip-cut")[1] or b"")
    unpacker = zlib.decompressobj(31)
    assert unpacker.decompress(cut)
    assert not unpacker.eof
    bomb = http_body(by_kind("gzip-bomb")[1] or b"")
    assert len(bomb) < 200_000
    assert len(gzip.decompress(bomb)) > 16 << 20
    assert http_body(by_kind("deep")[1] or b"").count(b"<div>") == 6000
    stored = http_body(by_kind("stored.warc.gz")[1] or b"")
    assert stored.startswith(GZIP_MAGIC)
    assert gzip.decompress(stored).startswith(b"WARC/")


def test_no_machine_path_and_no_registry_host() -> None:
    """Neither the files nor what is packed in them tell of the machine that built them."""
    for path in SAMPLE.rglob("*"):
        if not path.is_file() or "__pycache__" in path.parts:
            continue
        parts = [path.read_bytes()]
        if path.name in WARCS:
            parts += [record for record in warc(path.name).values() if record]
        elif path.name.endswith(".gz"):
            parts.append(gzip.decompress(parts[0]))
        for part in parts:
            assert not any(leak in part for leak in LEAKS), path.name


def test_each_source_has_its_licence() -> None:
    """Every package that gave a page has its copyright file here and a row in the README."""
    readme = (SAMPLE / "README.md").read_text("utf-8")
    used = {page.package for page in selection.load_selection(SAMPLE / "selection.json")}
    assert used <= set(selection.SOURCES)
    for name in used:
        source = selection.SOURCES[name]
        assert "opyright" in (SAMPLE / "licences" / f"{name}.txt").read_text("utf-8")
        assert f"| {name} | {source.version} |" in readme
    assert "GNU GENERAL PUBLIC LICENSE" in (SAMPLE / "licences" / "GPL-2.txt").read_text()


def test_readme_counts_are_the_files() -> None:
    """Records and bytes in the README's table are those of the files."""
    readme = (SAMPLE / "README.md").read_text("utf-8")
    for name in (*WARCS, *LINE_FILES):
        count = len(warc(name) if name in WARCS else lines(name))
        assert f"| {name} | {count} | {(SAMPLE / name).stat().st_size:,} |" in readme


def test_the_parts_of_the_build_are_pure() -> None:
    """Built twice from the same prose, the awkward file has the same bytes and answers."""
    prose = [
        f"Sentence {i} tells of matter {i * 7} and of nothing that was told." for i in range(400)
    ]
    built = []
    for _ in range(2):
        rows = expected_rows.Expected()
        texts = (list(pair) for pair in pairwise(prose))
        built.append((awkward.awkward_warc(texts, rows), rows.rows))
    assert built[0] == built[1]
    assert records.record_id("a", 1) == records.record_id("a", 1) != records.record_id("a", 2)
    assert records.noise("seed", 50) == records.noise("seed", 70)[:50]
    assert records.gzip_member(b"text") == records.gzip_member(b"text")
