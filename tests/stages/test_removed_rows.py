"""A unit reads its own rows of dedup/removed.arrow, and the batches they lie in only."""

import pyarrow as pa
import pytest

from corpusforge.resolve import ROWS
from corpusforge.schema import REMOVED
from corpusforge.shard import ShardWriter, read_batches
from corpusforge.stages.dedup import removed_of

NAME = "dedup/removed.arrow"
COUNT = 2 * ROWS + 100


def identity(number):
    return number.to_bytes(16, "big")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A run folder with COUNT removals, in batches as resolve yields them."""
    made = str(tmp_path_factory.mktemp("run"))
    with ShardWriter(made, NAME, REMOVED) as writer:
        for start in range(0, COUNT, ROWS):
            count = min(ROWS, COUNT - start)
            ids = pa.array([identity(start + n) for n in range(count)], pa.binary(16))
            row = {"duplicate_of": bytes(16), "similarity": 1.0, "bands_matched": 0, "exact": True}
            rest = [pa.repeat(pa.scalar(row.get(f.name), f.type), count) for f in REMOVED][1:]
            writer.write(pa.record_batch([ids, *rest], schema=REMOVED))
        writer.close()
    return made


@pytest.mark.parametrize(
    ("first", "end"),
    [(0, 0), (0, 1), (5, ROWS), (ROWS - 1, ROWS + 1), (ROWS, ROWS), (7, COUNT), (COUNT, COUNT)],
)
def test_the_rows_of_a_unit(root, first, end):
    """Within a batch, over an edge of one, none, at the end."""
    found = removed_of(root, (first, end)).column("id").to_pylist()
    assert found == [identity(number) for number in range(first, end)]


def test_batches_before_are_not_read(root):
    """The file is read from a batch on, so that its length does not matter to a unit."""
    assert [batch.num_rows for batch in read_batches(root, NAME, first=2)] == [100]
