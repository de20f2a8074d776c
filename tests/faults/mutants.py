"""Hostile variants of real pages through decoding and extraction, in processes that may die.

    python tests/faults/mutants.py KIND COUNT [--seed N] [--workers N] [--cap SECONDS] [--save DIR]

KIND is random (changes of all sorts), cuts (400 of each page), starts (every cut of the first
4 KiB) or large (10 MB of one shape). Mutant number n of a seed is the same bytes each time. A
worker that the operating system ends (a segmentation fault, or SIGPROF after ``cap`` CPU seconds
on one mutant) is seen by its parent, its mutant is written to ``save``, and the next worker goes
on behind it. Pages: the labelled ones beside the repository, else those of sample_data.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shapes import HEADS, LARGE

ROOT = Path(__file__).resolve().parents[2]
LABELLED = ROOT.parent / "shared" / "data" / "extraction_dev.jsonl.gz"
SPARE = 1 << 30  # bytes of address space that one worker may add to what it starts with
WINDOW = 40_000  # bytes of a page that a mutant starts from, at most
LARGEST = 200_000  # bytes of a mutant

TAGS = (
    b"a b i p div span font table tbody tr td th caption col colgroup ul ol li dl dt dd form select"
    b" option optgroup button input textarea script style svg math template noscript frameset frame"
    b" plaintext xmp pre listing iframe noembed object applet marquee h1 h2 blockquote br img html"
    b" head body title meta link base mi mo mtext ms annotation-xml foreignObject desc nobr ruby rt"
    b" rb main article nav aside footer header section details summary dialog search custom-x"
).split()
SOUPS = (
    b"script style svg math template noscript frameset frame plaintext xmp textarea title iframe"
    b" foreignObject desc mi mtext annotation-xml select option table td p a b font nobr div button"
).split()
ENTITIES = (
    b"&#0; &#xD800; &#xDFFF; &#x110000; &#99999999999999999999; &#x; &# & &; &amp &notit; &ngE;"
    b" &lt;script&gt; &#128; &#x1F600; &#xFFFE; &CounterClockwiseContourIntegral; &a"
).split()
BAD_UTF8 = (
    b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xc0\x80", b"\xe0\x80\xaf", b"\xf0\x80\x80\x80",
    b"\xf8\x88", b"\xff\xfe", b"\xef\xbb\xbf", b"\x80\x80\x80", b"\xe4\xb8", b"\xf4\x90\x80\x80",
)  # fmt: skip
ODD = (
    b"<!--", b"-->", b"--!>", b"<![CDATA[", b"]]>", b"<!DOCTYPE x 'y'>", b"<?php ", b"<!>", b"</>",
    b"< p>", b"<p/ /=x>", b"<a href='", b'<a href="', b"'", b'"', b"</br>", b"</p>", b"</body>",
    b"</html>", b"<html lang=x>", b"<body>", b"<input type=hidden>", b"<image>", b"<isindex>",
)  # fmt: skip
CHARSETS = "utf-16 utf-16-le utf-16-be gb18030 big5 euc-jp shift_jis iso-2022-jp koi8-r cp1252"
LABELS = (
    *CHARSETS.split(),
    "utf-8",
    "utf-7",
    "x-user-defined",
    "hz-gb-2312",
    "none",
    "\N{SNOWMAN}",
)
TAG_NAME = re.compile(rb"(?<=<)/?[a-zA-Z][a-zA-Z0-9]*")
END_TAG = re.compile(rb"</[a-zA-Z]+>")


def _place(page: bytes, draw: random.Random) -> int:
    """Return a place in ``page``; mostly before a tag, where markup has most effect."""
    at = draw.randrange(len(page) + 1)
    found = page.find(b"<", at)
    return found if found >= 0 and draw.random() < 0.8 else at


def _insert(page: bytes, new: bytes, draw: random.Random) -> bytes:
    at = _place(page, draw)
    return page[:at] + new + page[at:]


def _flip(page: bytes, draw: random.Random) -> bytes:
    changed = bytearray(page)
    for _ in range(draw.choice((1, 4, 64)) if page else 0):
        changed[draw.randrange(len(page))] = draw.randrange(256)
    return bytes(changed)


def _delete(page: bytes, draw: random.Random) -> bytes:
    for _ in range(draw.randint(1, 8)):
        at = _place(page, draw)
        page = page[:at] + page[at + draw.choice((1, 3, 40, 2000)) :]
    return page


def _duplicate(page: bytes, draw: random.Random) -> bytes:
    at = _place(page, draw)
    piece = page[at : at + draw.choice((5, 60, 1000))]
    return page[:at] + piece * draw.choice((2, 5, 100, 1000)) + page[at:]


def _swap_tags(page: bytes, draw: random.Random) -> bytes:
    share = draw.choice((0.01, 0.2, 1.0))
    names = draw.sample(TAGS, draw.choice((1, 3, len(TAGS))))

    def other(found: re.Match[bytes]) -> bytes:
        slash = b"/" if found[0].startswith(b"/") else b""
        return slash + draw.choice(names) if draw.random() < share else found[0]

    return TAG_NAME.sub(other, page)


def _unclose(page: bytes, draw: random.Random) -> bytes:
    share = draw.choice((0.05, 0.5, 1.0))
    return END_TAG.sub(lambda found: b"" if draw.random() < share else found[0], page)


def _attributes(page: bytes, draw: random.Random) -> bytes:
    count = draw.choice((3, 100, 3000))
    form = draw.choice((b"a%d", b"a%d='<p>'", b"class=x%d", b"id=%d/", b"=%d", b"\xd0%d"))
    names = b" ".join(form.replace(b"%d", b"%d" % n) for n in range(count))
    return _insert(
        page, b"<" + draw.choice(TAGS) + b" " + names + draw.choice((b">", b"/>", b"")), draw
    )


def _nest(page: bytes, draw: random.Random) -> bytes:
    piece = b"".join(b"<%s>" % draw.choice(TAGS) for _ in range(draw.choice((1, 1, 2, 4))))
    return _insert(page, piece * draw.choice((10, 300, 6000)), draw)


def _soup(page: bytes, draw: random.Random) -> bytes:
    pieces = []
    for number in range(draw.randint(2, 12)):
        slash, name = draw.choice((b"", b"", b"/")), draw.choice(SOUPS)
        rest = draw.choice((b"", b"", b" id=%d" % number, b"/", b" encoding=text/html"))
        pieces.append(b"<%s%s%s>%s" % (slash, name, rest, draw.choice((b"", b"x", b"\0", b"&"))))
    return _insert(page, b"".join(pieces) * draw.choice((1, 1, 20, 400)), draw)


def _entities(page: bytes, draw: random.Random) -> bytes:
    for _ in range(draw.randint(1, 20)):
        page = _insert(page, draw.choice(ENTITIES) * draw.choice((1, 1, 500)), draw)
    return page


def _nulls(page: bytes, draw: random.Random) -> bytes:
    for _ in range(draw.randint(1, 20)):
        page = _insert(page, draw.choice((b"\0", b"\x01", b"\x0b", b"\x1b$B", b"\r")) * 3, draw)
    return page


def _bad_utf8(page: bytes, draw: random.Random) -> bytes:
    for _ in range(draw.randint(1, 20)):
        page = _insert(page, draw.choice(BAD_UTF8) * draw.choice((1, 1, 300)), draw)
    return page


def _odd(page: bytes, draw: random.Random) -> bytes:
    for _ in range(draw.randint(1, 10)):
        page = _insert(page, draw.choice(ODD) * draw.choice((1, 1, 1, 500)), draw)
    return page


def _recode(page: bytes, draw: random.Random) -> bytes:
    if draw.random() < 0.5:
        return _insert(page, f"<meta charset='{draw.choice(LABELS)}'>".encode(), draw)
    return page.decode("utf-8", "replace").encode(draw.choice(CHARSETS.split()), "ignore")


CHANGES = (
    _flip, _delete, _duplicate, _swap_tags, _unclose, _attributes, _nest, _soup, _soup, _entities,
    _nulls, _bad_utf8, _odd, _recode,
)  # fmt: skip


def mutant(pages: list[bytes], seed: int, number: int) -> tuple[bytes, str | None]:
    """Return body and HTTP charset label of one mutant."""
    draw = random.Random(f"{seed} {number}")
    page = draw.choice(pages)
    start = draw.choice((0, draw.randrange(max(1, len(page)))))
    page = page[start : start + draw.choice((300, 4000, WINDOW))]
    if draw.random() < 0.2:  # a splice of two pages
        other = draw.choice(pages)[:WINDOW]
        page = page[: _place(page, draw)] + other[_place(other, draw) :]
    for _ in range(draw.choice((1, 1, 2, 3, 6))):
        page = draw.choice(CHANGES)(page, draw)[:LARGEST]
    if draw.random() < 0.3:
        page = page[: draw.randrange(len(page) + 1)]
    return page, draw.choice((None, None, *LABELS))


def cut(pages: list[bytes], seed: int, number: int) -> tuple[bytes, str | None]:
    """Return a page up to a random place; 400 numbers a page."""
    page = pages[number // 400 % len(pages)]
    return page[: random.Random(f"{seed} {number}").randrange(len(page) + 1)], None


def start_of(pages: list[bytes], seed: int, number: int) -> tuple[bytes, str | None]:
    """Return the first bytes of a page; 4096 numbers a page."""
    return pages[(seed + number // 4096) % len(pages)][: number % 4096], None


def large(pages: list[bytes], seed: int, number: int) -> tuple[bytes, str | None]:
    """Return 10 MB of shape ``number``, in no need of pages."""
    shape = list(LARGE)[number % len(LARGE)]
    piece, head = LARGE[shape], HEADS.get(shape, "")
    many = range(10_000_000 // len(piece.encode("utf-8", "surrogateescape")))
    body = (
        "".join(piece.replace("%d", str(n)) for n in many) if "%d" in piece else piece * len(many)
    )
    return (head + body).encode("utf-8", "surrogateescape")[:10_000_000], None


KINDS = {"random": mutant, "cuts": cut, "starts": start_of, "large": large}


def real_pages(count: int = 150) -> list[bytes]:
    """Return the bytes of at most ``count`` pages, spread over the set."""
    if LABELLED.exists():
        with gzip.open(LABELLED, "rb") as file:
            rows = list(file)
        return [json.loads(r)["html"].encode() for r in rows[:: max(1, len(rows) // count)]][:count]
    from corpusforge import readers, spec
    from corpusforge.plan import find_inputs, make_units

    files = find_inputs([str(ROOT / "sample_data")], readers.READABLE)
    units = make_units(files, [readers.sniff(file.path) for file in files], spec.Plan())
    batches = (
        batch
        for unit in units
        for piece in unit.pieces
        for batch in readers.read(piece, spec.Read(), 1 << 20)
    )
    pages = [html.encode() for batch in batches for html in batch["html"].to_pylist() if html]
    return pages[:: max(1, len(pages) // count)][:count]


def run_one(body: bytes, label: str | None) -> tuple[str, str | None]:
    """Decode and extract one page: ("text" | limit name | "error", message)."""
    import pyarrow as pa

    from corpusforge import spec
    from corpusforge.kernels.extraction import extract_batch
    from corpusforge.readers.charset import decode

    limits = spec.Limits()
    try:
        text = decode(body, label).text
    except Exception as bug:
        return "error", f"decode: {type(bug).__name__}: {bug}"
    found = extract_batch(pa.array([text.decode()]), depth=limits.depth, nodes=limits.nodes)
    error, limit = found.error[0].as_py(), found.limit[0].as_py()
    written = found.text[0].as_py()
    if error is not None:
        return "error", error
    if limit is None and (written is None or len(written.encode()) > 6 * len(text) + 1000):
        return "error", "no text" if written is None else f"{len(written)} characters of text"
    return limit or "text", None


def _work(kind: str, seed: int, numbers: range, cap: float) -> None:
    """Write a line before and one after each mutant."""
    pages = real_pages() if kind != "large" else [b"<p>x"]
    run_one(pages[0], None)  # compiles, and builds tables
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + SPARE, size + SPARE))
    for number in numbers:
        body, label = KINDS[kind](pages, seed, number)
        print(json.dumps({"begin": number}), flush=True)
        signal.setitimer(signal.ITIMER_PROF, cap)  # its default is to end the process
        start = time.process_time()
        outcome, message = run_one(body, label)
        seconds = time.process_time() - start
        signal.setitimer(signal.ITIMER_PROF, 0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        end = {"number": number, "outcome": outcome, "seconds": seconds, "peak": peak}
        print(json.dumps({**end, "bytes": len(body), "message": message}), flush=True)


def _lines(kind: str, seed: int, numbers: range, cap: float) -> Iterator[dict[str, Any]]:
    """Run workers over ``numbers``; a mutant that ends its worker yields outcome "died"."""
    while numbers:
        command = [sys.executable, __file__, kind, "0", "--seed", str(seed), "--cap", str(cap)]
        command += ["--range", f"{numbers.start}:{numbers.stop}:{numbers.step}"]
        paths = {"PYTHONPATH": str(Path(__file__).parent)}  # shapes.py, under PYTHONSAFEPATH too
        worker = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **paths}
        )
        assert worker.stdout is not None and worker.stderr is not None
        began = None
        for line in worker.stdout:
            row = json.loads(line)
            if "begin" in row:
                began = row["begin"]
            else:
                yield row
        complaint = worker.stderr.read().decode("utf-8", "replace").strip().splitlines()[-1:]
        code = worker.wait()
        if code == 0:
            return
        if began is None:
            raise RuntimeError(f"a worker ended with {code} before its first mutant: {complaint}")
        why = signal.Signals(-code).name if code < 0 else f"exit {code}"
        yield {"number": began, "outcome": "died", "message": f"{why} {complaint}"}
        numbers = range(began + numbers.step, numbers.stop, numbers.step)


def survey(
    kind: str, count: int, *, seed: int = 1, workers: int = 1, cap: float = 2.0
) -> dict[str, Any]:
    """Run ``count`` mutants; returns outcomes, the bad ones, CPU seconds and the peak RSS."""
    from concurrent.futures import ThreadPoolExecutor

    parts = [range(first, count, workers) for first in range(workers)]
    with ThreadPoolExecutor(workers) as pool:
        rows = [
            row
            for part in pool.map(lambda p: list(_lines(kind, seed, p, cap)), parts)
            for row in part
        ]
    outcomes: dict[str, int] = {}
    for row in rows:
        outcomes[str(row["outcome"])] = outcomes.get(str(row["outcome"]), 0) + 1
    lived = sorted((row for row in rows if "seconds" in row), key=lambda row: row["seconds"])
    return {
        "mutants": len(rows),
        "outcomes": outcomes,
        "bad": [row for row in rows if row["outcome"] in ("died", "error")],
        "megabytes": sum(row["bytes"] for row in lived) / 1e6,
        "cpu_seconds": sum(row["seconds"] for row in lived),
        "slowest": lived[-10:],
        "peak_mib": max((row["peak"] for row in lived), default=0) / 1024,
    }


def main() -> None:
    """Print the survey as JSON; with --range be a worker."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--cap", type=float, default=2.0)
    parser.add_argument("--save", type=Path)
    parser.add_argument("--range", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.range:
        _work(given.kind, given.seed, range(*map(int, given.range.split(":"))), given.cap)
        return
    found = survey(given.kind, given.count, seed=given.seed, workers=given.workers, cap=given.cap)
    if given.save:
        pages = real_pages()
        given.save.mkdir(parents=True, exist_ok=True)
        for row in [*found["bad"], *found["slowest"]]:
            body, label = KINDS[given.kind](pages, given.seed, row["number"])
            (given.save / f"{row['outcome']}-{row['number']}-{label}.html").write_bytes(body)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
