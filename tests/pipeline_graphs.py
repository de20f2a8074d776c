"""The Beam graphs of all stages, over any number of units, taken out before they run."""

import apache_beam as beam
import pytest

from corpusforge.errors import ForgeError
from corpusforge.pipelines import clean, tokens
from corpusforge.pipelines.engine import Engine
from corpusforge.plan import Piece, Unit
from corpusforge.spec import CleanSpec, TokenizeSpec
from corpusforge.stages.tokens import Texts

ROOT = "memory://run/clean"
FOLDER = "gs://bucket/crawl/"


def units(count):
    """Units of one piece each, with paths as long as those of a crawl."""
    found = []
    for n in range(count):
        name = f"{n:05d}-of-the-segments-of-a-crawl/warc/pages-{n:07d}.warc.gz"
        piece = Piece(FOLDER + name, f"crawl/{name}", "warc", "gzip", 0, 1 << 26, 1 << 26)
        found.append(Unit(f"part-{n:05d}", (piece,), "f" * 64))
    return found


def texts(count):
    """The same for forge tokenize."""
    return [Texts(u.name, u.bytes, u.fingerprint, unit=u.to_json()) for u in units(count)]


def settlings(count):
    """What the settle stage takes."""
    return [(u.name, "k" * 64, [n, n + 1], [n * 9, 9]) for n, u in enumerate(units(count))]


def names(count):
    """What the dedup shuffles take."""
    return [unit.name for unit in units(count)]


JOBS = {
    "documents": lambda e, n: clean.documents(e, ROOT, units(n), CleanSpec()),
    "exact": lambda e, n: clean.dedup(e, ROOT, "exact", names(n), CleanSpec(), "key", 10),
    "near": lambda e, n: clean.dedup(e, ROOT, "near", names(n), CleanSpec(), "key", 10),
    "settle": lambda e, n: clean.settle(e, ROOT, settlings(n), CleanSpec(), 10),
    "count": lambda e, n: tokens.count(e, ROOT, texts(n), TokenizeSpec(), "key"),
    "encode": lambda e, n: tokens.encode(e, ROOT, texts(n), TokenizeSpec(), "key"),
}


class Built(ForgeError):
    """Carries a graph out of a job instead of running it."""

    def __init__(self, graph):
        super().__init__("built")
        self.graph = graph


class Recorder(Engine):
    """An engine whose pipelines end when they are run."""

    def pipeline(self, mode):
        """Return a pipeline that raises its own graph."""

        class Kept(beam.Pipeline):
            def run(self, *arguments, **keywords):
                raise Built(self.to_runner_api())

        return Kept(runner="FnApiRunner")


def graph_of(job, count=3):
    """The portable graph of a job over ``count`` units."""
    with pytest.raises(Built) as caught:
        JOBS[job](Recorder(), count)
    return caught.value.graph
