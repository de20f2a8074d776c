"""A share of the fault tests of extraction: mutants of real pages, and deep nesting."""

import importlib.util
import sys
from pathlib import Path

import numba
import pyarrow as pa
import pytest

from corpusforge.kernels.extraction import extract_batch

pytestmark = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT), reason="megabytes by the byte are for compiled code"
)
FAULTS = Path(__file__).parents[1] / "faults"


@pytest.fixture(scope="module")
def mutants():
    """The mutation machine of the fault tests."""
    sys.path.insert(0, str(FAULTS))
    spec = importlib.util.spec_from_file_location("mutants", FAULTS / "mutants.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(FAULTS))


def test_mutants_come_out_as_text_or_over_a_limit(mutants):
    """300 mutants in a process of its own, which a crash would end."""
    found = mutants.survey("random", 300, seed=3, cap=8.0)
    assert found["bad"] == []
    assert found["mutants"] == 300
    assert found["outcomes"]["text"] > 250


def test_a_mutant_is_the_same_each_time(mutants):
    """The number of a mutant is enough to make it again, and numbers differ."""
    pages = [b"<html><p>One page.</p></html>", b"<ul><li>Another one.</li></ul>"]
    first = [mutants.mutant(pages, 1, number) for number in range(60)]
    assert first == [mutants.mutant(pages, 1, number) for number in range(60)]
    assert len({body for body, _ in first}) > 40


@pytest.mark.parametrize(
    "tags",
    ["div", "span", "font", "b i a", "table tr td", "ul li", "blockquote", "svg", "select",
     "button", "math mi", "template", "p b", "object", "dl dd", "section article", "foreignObject"],
)  # fmt: skip
@pytest.mark.parametrize("closed", [False, True])
def test_6000_deep(tags, closed):
    """Deep nesting ends in text or in a limit on depth, never in an error."""
    names = (tags.split() * 6000)[:6000]
    page = "<p>Before.</p>" + "".join(f"<{name}>" for name in names) + "Within."
    page += "".join(f"</{name}>" for name in reversed(names)) * closed + "<p>After.</p>"
    found = extract_batch(pa.array([page]), depth=5000, nodes=1_000_000)
    assert found.error[0].as_py() is None
    limit = found.limit[0].as_py()
    assert limit == ("depth" if found.text[0].as_py() is None else None)
    if tags in ("div", "blockquote", "svg", "ul li"):
        assert limit == "depth"
