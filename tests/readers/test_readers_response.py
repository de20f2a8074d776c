"""The HTTP layer and the charset of a page, each case a whole record read from a file."""

from __future__ import annotations

import gzip
import io
import random
import tracemalloc
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard
from fastwarc.warc import ArchiveIterator
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import http, one, record

from corpusforge.readers import charset
from corpusforge.readers.inflate import RatioError
from corpusforge.readers.response import LimitError, body, parse

HTML = "<html><body><p>Grüße aus Köln, 東京</p></body></html>"
BODY = HTML.encode()


def raw_deflate(data: bytes) -> bytes:
    """Deflate without the zlib wrapper, as some servers send it."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def chunked(data: bytes, extension: bytes = b";x=1", end: bytes = b"0\r\n\r\n") -> bytes:
    """``data`` in chunks of 7 bytes."""
    parts = [data[at : at + 7] for at in range(0, len(data), 7)]
    return b"".join(b"%X%s\r\n%s\r\n" % (len(part), extension, part) for part in parts) + end


def row_of(tmp_path: Path, block: bytes, **fields: str) -> dict[str, Any]:
    """The row of one response."""
    return one(tmp_path, record(1, block, **fields))


@pytest.mark.parametrize(
    ("lines", "data"),
    [
        ((), BODY),
        (("Content-Encoding: gzip",), gzip.compress(BODY)),
        (("content-ENCODING:x-gzip",), gzip.compress(BODY)),
        (("Content-Encoding: deflate",), zlib.compress(BODY)),
        (("Content-Encoding: deflate",), raw_deflate(BODY)),
        (("Content-Encoding: br",), brotli.compress(BODY)),
        (("Content-Encoding: zstd",), zstandard.compress(BODY)),
        (("Content-Encoding: gzip, br",), brotli.compress(gzip.compress(BODY))),
        (("Content-Encoding:\r\n gzip",), gzip.compress(BODY)),  # folded
        (("Content-Encoding: gzip", "Content-Encoding: br"), gzip.compress(BODY)),  # doubled
        (("Content-Encoding: gzip",), BODY),  # the archive undid it
        (("Content-Encoding: utf-8",), BODY),  # means nothing
        (("Transfer-Encoding: chunked",), chunked(BODY)),
        (("Transfer-Encoding: chunked",), BODY),  # the archive undid it
        (("Transfer-Encoding: Chunked", "Content-Encoding: gzip"), chunked(gzip.compress(BODY))),
        (("Content-Length: 5",), BODY),
        (("Content-Length: 999999",), BODY),
    ],
)
def test_encodings_are_undone(tmp_path: Path, lines: tuple[str, ...], data: bytes) -> None:
    """Every encoding gives the page, with headers in any case, folded, doubled or wrong."""
    row = row_of(tmp_path, http(data, *lines))
    assert (row["outcome"], row["html"]) == ("kept", HTML), row["detail"]


@pytest.mark.parametrize(
    ("lines", "data", "detail"),
    [
        ("Content-Encoding: gzip", gzip.compress(BODY)[:-9], "the gzip body is cut"),
        ("Content-Encoding: gzip", gzip.compress(BODY)[:-8] + bytes(8), "the gzip body is corrupt"),
        ("Content-Encoding: br", brotli.compress(BODY)[:-9], "the br body is cut"),
        ("Content-Encoding: zstd", zstandard.compress(BODY)[:-9], "the zstd body is cut"),
        ("Transfer-Encoding: chunked", chunked(BODY)[:-20], "the chunked body is cut"),
        ("Transfer-Encoding: chunked", chunked(BODY, end=b""), "the chunked body is cut"),
        ("Transfer-Encoding: chunked", chunked(BODY, end=b"zz\r\n"), "bad chunk size"),
    ],
)
def test_a_cut_or_corrupt_body_fails(tmp_path: Path, lines: str, data: bytes, detail: str) -> None:
    """Half a page is not taken for a page, unless the archive says that it cut it."""
    row = row_of(tmp_path, http(data, lines))
    assert (row["outcome"], row["stage"], row["detail"]) == ("failed", "read", detail)
    assert row["html"] is None and row["source_id"] == "<urn:test:1>"


def test_a_body_that_the_archive_cut_is_kept_with_its_flag(tmp_path: Path) -> None:
    """WARC-Truncated: what can be inflated is there, the flag is set."""
    words = " ".join(str(number * 7919 % 10007) for number in range(4000))
    data = gzip.compress(f"<html><p>{words}".encode())[:-3000]
    row = row_of(tmp_path, http(data, "Content-Encoding: gzip"), WARC_Truncated="length")
    assert row["outcome"] == "kept" and row["truncated"]
    assert row["html"].startswith("<html><p>") and len(row["html"]) > 1000


@pytest.mark.parametrize(
    ("block", "rule", "outcome"),
    [
        (http(BODY, status="404 Not Found"), "http-status", "dropped"),
        (http(b"", status="301 Moved"), "http-status", "dropped"),
        (http(BODY, mime="text/plain"), "mime", "dropped"),
        (http(BODY, mime="Text/HTML ; charset=utf-8"), None, "kept"),
        (http(BODY, mime="application/xhtml+xml"), None, "kept"),
        (http(BODY, mime=None), None, "kept"),
        (http(b"just words", mime=None), "mime", "dropped"),
        (http(b"%PDF-1.4", mime=None), "mime-magic", "dropped"),
        (http(b"%PDF-1.4"), "mime-magic", "dropped"),
        (http(random.Random(2).randbytes(3000)), "mime-magic", "dropped"),
        (http(b""), "empty", "dropped"),
        (http(b" \r\n\t"), "empty", "dropped"),
        (http(gzip.compress(b""), "Content-Encoding: gzip"), "empty", "dropped"),
        (b"", None, "failed"),
        (b"<html>no head", None, "failed"),
    ],
)
def test_decisions(tmp_path: Path, block: bytes, rule: str | None, outcome: str) -> None:
    """Dropped is a decision with its rule, failed is a defect with its text."""
    row = row_of(tmp_path, block)
    rules = [reason["rule"] for reason in row["reasons"]]
    assert (row["outcome"], rules) == (outcome, [rule] if rule else [])
    assert (row["html"] is None) == (outcome != "kept")
    assert (row["stage"] is None) == (outcome == "kept")
    assert (row["detail"] is not None) or outcome != "failed"


def test_the_reason_of_a_status_carries_its_value(tmp_path: Path) -> None:
    """Value, comparison and threshold as the ledger promises."""
    row = row_of(tmp_path, http(BODY, status="404 Not Found"))
    reason = {"rule": "http-status", "signal": "http_status", "value": 404.0}
    assert row["reasons"] == [reason | {"comparison": "==", "threshold": 200.0}]
    assert row["meta"] == '{"mime":"text/html","status":404}'


@pytest.mark.parametrize("kind", ["request", "metadata", "warcinfo", "revisit", "resource", "zzz"])
def test_other_records_are_dropped_by_type(tmp_path: Path, kind: str) -> None:
    """Also with a block beyond every limit."""
    row = one(tmp_path, record(1, bytes(100), kind))
    assert (row["outcome"], row["reasons"][0]["rule"]) == ("dropped", "record-type")
    assert row["detail"] == kind


@pytest.mark.parametrize(
    ("text", "codec", "label", "meta", "name"),
    [
        ("汉字，简体。丂㐂", "gb18030", "GB2312", "", "gb18030"),
        ("汉字，简体", "gbk", "", "gbk", "gb18030"),
        ("漢字，繁體中文字", "big5", "Big5", "", "big5"),
        ("日本語のページ①", "cp932", "Shift_JIS", "", "shift_jis"),
        ("日本語のページ", "euc_jp", "", "euc-jp", "euc-jp"),
        ("日本語のページ", "iso2022_jp", "iso-2022-jp", "", "iso-2022-jp"),
        ("한국어 똠방각하", "cp949", "ks_c_5601-1987", "", "euc-kr"),
        ("Русский текст", "koi8-r", "koi8-r", "", "koi8-r"),
        ("Русский текст", "cp1251", "", "windows-1251", "windows-1251"),
        ("Żółć gęślą", "iso8859-2", "iso-8859-2", "", "iso-8859-2"),
        ("“naïve” – café…", "cp1252", "ISO-8859-1", "", "windows-1252"),
        ("ภาษาไทย", "cp874", "tis-620", "", "windows-874"),
        ("汉字，简体", "gb2312", "", "gb_2312-80", "gb18030"),
        ("汉字，简体", "gbk", "x-gbk", "", "gb18030"),
        ("漢字，繁體中文字", "big5", "", "x-x-big5", "big5"),
        ("日本語のページ", "cp932", "", "windows-31j", "shift_jis"),
        ("日本語のページ", "euc_jp", "x-euc-jp", "", "euc-jp"),
        ("한국어 문장", "euc_kr", "", "korean", "euc-kr"),
        ("Привіт, ґанок", "koi8-u", "koi8-ru", "", "koi8-u"),
        ("Русский текст", "cp1251", "x-cp1251", "koi8-r", "windows-1251"),  # header before meta
        ("Żółć gęślą", "cp1250", "", "x-cp1250", "windows-1250"),
        ("Ελληνικά ΄Αρθρο", "cp1253", "windows-1253", "", "windows-1253"),
        ("Türkçe şık ğ", "cp1254", "latin5", "", "windows-1254"),
        ("עברית שלום", "cp1255", "windows-1255", "", "windows-1255"),
        ("العربية", "cp1256", "cp1256", "", "windows-1256"),
        ("Lietuvių kalba ąčę", "cp1257", "", "windows-1257", "windows-1257"),
        ("ơi đương ưa", "cp1258", "windows-1258", "", "windows-1258"),
        ("Grüße", "utf-8", "iso-8859-1", "", "utf-8"),  # the label is wrong
        ("Grüße", "utf-8", "no-such-thing", "", "utf-8"),
        ("Grüße", "cp1252", "utf-8", "windows-1252", "windows-1252"),  # so is this one
        ("Grüße", "utf-8-sig", "iso-8859-1", "", "utf-8"),
        ("Grüße", "utf-16", "", "", "utf-16le"),
    ],
)
def test_charsets(text: str, codec: str, label: str, meta: str, name: str) -> None:
    """The text comes back whatever says so first: mark, header, meta; names as browsers'."""
    tag = f'<meta http-equiv=x content="text/html; charset={meta}">' if meta else ""
    page = f"<html><head>{tag}</head><p>{text}</p>"
    decoded = charset.decode(page.encode(codec), label or None)
    assert (decoded.text.decode(), decoded.charset, decoded.replaced) == (page, name, 0)


@pytest.mark.parametrize(
    ("text", "codec", "name"),
    [
        ("汉字，简体中文网页的一段文字，说明这里有很多常用的汉字。", "gb2312", "gb18030"),
        ("汉字，简体中文網頁的一段文字，还有繁體的漢字。", "gbk", "gb18030"),
        ("汉字，简体中文网页的一段文字，有一个少见的字：㐂。", "gb18030", "gb18030"),
        ("漢字，繁體中文網頁的一段文字，說明這裡有很多常用的漢字。", "big5", "big5"),
        ("日本語のページです。これは普通の文章で、漢字があります。", "euc_jp", "euc-jp"),
        ("日本語のページです。これは普通の文章で、漢字があります。", "shift_jis", "shift_jis"),
        ("한국어 문장입니다. 이것은 보통의 글이며 한글로 쓰였습니다.", "euc_kr", "euc-kr"),
        ("Съешь же ещё этих мягких французских булок, да выпей чаю.", "cp1251", "windows-1251"),
        ("Съешь же ещё этих мягких французских булок, да выпей чаю.", "koi8-r", "koi8-r"),
        ("Zażółć gęślą jaźń, pchnąć w tę łódź jeża lub ośm fig.", "cp1250", "windows-1250"),
        ("Größe, schöne Grüße aus Köln – für Anfänger, über den Fluß.", "cp1252", "windows-1252"),
        ("Pijamalı hasta yağız şoföre çabucak güvendi, öğle.", "cp1254", "windows-1254"),
        ("דג סקרן שט בים מאוכזב ולפתע מצא חברה, ועוד מילים.", "cp1255", "windows-1255"),
        ("نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر", "cp1256", "windows-1256"),
    ],
)
def test_an_undeclared_charset_is_detected(text: str, codec: str, name: str) -> None:
    """Without any label the bytes decide."""
    page = "<html><p>" + text * 10
    decoded = charset.decode(page.encode(codec))
    assert (decoded.text.decode(), decoded.charset, decoded.replaced) == (page, name, 0)


@pytest.mark.parametrize("label", ["iso-8859-1", "windows-1251", "gb2312", "shift_jis", "koi8-r"])
def test_utf8_goes_before_a_label(label: str) -> None:
    """A label under which UTF-8 could be read as something else is wrong about it."""
    page = "<p>Größe, 漢字 и буквы, “quoted” – naïve café</p>"
    for html in (page, f"<meta charset={label}>{page}"):
        assert charset.decode(html.encode(), label) == (html.encode(), "utf-8", 0)


def test_a_few_bad_bytes_are_replaced_and_counted(tmp_path: Path) -> None:
    """One broken sequence does not turn a page of UTF-8 into another charset."""
    data = BODY.replace("京".encode(), "京".encode()[:2])
    row = row_of(tmp_path, http(data))
    assert row["charset"] == "utf-8" and row["html"] == HTML.replace("京", "\ufffd")
    assert row["decode_errors"] == 1 and row["meta"] == '{"mime":"text/html","status":200}'


def test_replacement_characters_of_the_page_itself_are_no_errors() -> None:
    """Only those that stand for bytes that could not be decoded count."""
    data = "Grüße, schöne Wörter \ufffd\ufffd ".encode()
    assert charset.decode(data + b"\xff").replaced == 1
    assert charset.decode(data).replaced == 0


@given(data=st.binary(max_size=300), label=st.sampled_from(["", "gbk", "utf-16", "iso-2022-jp"]))
def test_decoding_never_fails(data: bytes, label: str) -> None:
    """Any bytes under any label become valid UTF-8."""
    charset.decode(data, label).text.decode()


@settings(max_examples=200)
@given(block=st.binary(max_size=200), lines=st.sampled_from(["gzip", "br", "zstd", "deflate"]))
def test_any_body_is_a_page_or_an_error(block: bytes, lines: str) -> None:
    """Nothing but the two errors that the reader turns into rows."""
    for each in (block, gzip.compress(block)[:-5], chunked(block)[:-5]):
        answer = parse(http(each, f"Content-Encoding: {lines}", "Transfer-Encoding: chunked"))
        assert answer is not None
        try:
            body(answer, 1000, 1000)
        except ValueError as error:
            assert str(error)


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_is_met_in_bounded_memory(name: str) -> None:
    """100 MB behind a few bytes: refused at the limit, never held."""
    zeros = bytes(100_000_000)
    packers = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstandard.compress}
    packers["br"] = partial(brotli.compress, quality=1)
    answer = parse(http(packers[name](zeros), f"Content-Encoding: {name}"))
    del zeros
    assert answer is not None
    tracemalloc.start()
    with pytest.raises(LimitError):
        body(answer, 1_000_000, 10**9)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40_000_000  # a step of zstd input can be worth 32 MiB


@pytest.mark.parametrize("mib", [32, pytest.param(1 << 10, marks=pytest.mark.faults)])
@pytest.mark.parametrize("outer", ["gzip", "br", "zstd"])
def test_a_nested_bomb_is_met_at_the_ratio(outer: str, mib: int) -> None:
    """Up to a gigabyte of zeros, packed twice: the ratio counts from the outermost bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    inner = b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(mib)), packer.flush()])
    packers = {"gzip": gzip.compress, "br": brotli.compress, "zstd": zstandard.compress}
    answer = parse(http(packers[outer](inner), f"Content-Encoding: gzip, {outer}"))
    assert answer is not None
    tracemalloc.start()
    with pytest.raises(RatioError) as caught:
        body(answer, 1 << 30, 1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    reason = caught.value.reason
    assert reason.rule == "limit:inflate_ratio" and (reason.value or 0) > 1000
    assert peak < 40_000_000


def test_bodies_equal_those_of_fastwarc() -> None:
    """An outside reader undoes the same encodings to the same bytes."""
    pieces = chunked(gzip.compress(BODY), extension=b"")  # it knows no chunk extensions
    blocks = [
        http(BODY),
        http(gzip.compress(BODY), "Content-Encoding: gzip"),
        http(pieces, "Transfer-Encoding: chunked", "Content-Encoding: gzip"),
        http(brotli.compress(BODY), "Content-Encoding: br"),
    ]
    for number, block in enumerate(blocks):
        file = io.BytesIO(record(number, block))
        theirs = [each.reader.read() for each in ArchiveIterator(file, auto_decode="all")]
        answer = parse(block)
        assert answer is not None
        assert theirs == [body(answer, 1 << 20, 1000)], number
