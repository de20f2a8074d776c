"""Markdown is measured as the plain text of the same page."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest

from corpusforge.kernels.extraction import Output, extract
from corpusforge.kernels.extraction.unmarked import unmarked

PAGES = Path(__file__).parents[3] / "shared" / "data" / "extraction_dev.jsonl.gz"
LONG = "The harbour master counted eleven boats before the fog closed the bay for the night. "
PAGE = f"""<main><h1>Fog # 1</h1><p>{LONG}<b>Bold.</b> <i>Thin</i> 2*3*4 a_b [x](y) \\* `</p>
<ul><li>one<li>two<ol><li>inner</ol></ul><blockquote><p>{LONG}</p></blockquote>
<p>- no list</p><p>1. no list</p><p># none</p>
<table><tr><th>a<th>b<tr><td>1<td><a href=/x>2|3</a></table><pre><code>if x:
  y = 1</code></pre><p>first<br>second</p></main>"""


def both(html: str, links: bool) -> tuple[str, str]:
    """The plain text of a page, and its Markdown without marks."""
    limits = {"depth": 5000, "nodes": 300_000}
    marked = extract(html, url="http://a.test/", output=Output(True, links), **limits).text
    return extract(html, **limits).text, unmarked(pa.array([marked]))[0].as_py()


@pytest.mark.parametrize("links", [False, True])
def test_all_kinds_of_blocks(links: bool) -> None:
    """Lines and words are the same."""
    plain, seen = both(PAGE, links)
    assert seen.replace("  ", " ").split("\n") == [
        " ".join(line.split()) for line in plain.split("\n")
    ]


def test_null_and_empty_stay() -> None:
    """A text that is not there is not there afterwards."""
    assert unmarked(pa.array([None, "", "x"])).to_pylist() == [None, "", "x"]


@pytest.mark.skipif(not PAGES.exists(), reason="the labelled pages are not beside the repository")
def test_labelled_pages() -> None:
    """Nearly all of every twentieth page have the same words; without it next to none."""
    with gzip.open(PAGES, "rt", encoding="utf-8") as lines:
        pages = [json.loads(line)["html"] for n, line in enumerate(lines) if n % 20 == 0]
    same = [plain.split() == seen.split() for plain, seen in (both(page, True) for page in pages)]
    assert sum(same) >= 0.9 * len(pages)
