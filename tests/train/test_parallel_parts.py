"""How parameters and batches are divided; what needs no second process."""

import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import small
from torch import nn

from corpusforge import spec as specs
from corpusforge.errors import RunError, SpecError
from corpusforge.train.parallel import Layout, joined
from corpusforge.train.parallel.cuts import Cuts, bounds
from corpusforge.train.parallel.exchange import ALIGN, LIMIT, buckets
from corpusforge.train.parallel.failures import answering

SIZES = st.lists(st.integers(1, 300), min_size=1, max_size=12)


@given(sizes=SIZES, parts=st.integers(1, 5))
def test_every_element_is_one_process_s(sizes, parts):
    """The parts of a parameter follow each other and are all of it; views do not overlap."""
    parameters = [nn.Parameter(torch.zeros(size)) for size in sizes]
    (bucket,) = buckets(parameters, parts)
    assert bucket.size == bucket.part * parts and not bucket.size % (ALIGN * parts)
    for index, parameter in enumerate(bucket.parameters):
        ends = [bucket.overlap(index, rank) for rank in range(parts)]
        elements = [place for begin, end in ends for place in range(begin, end)]
        assert elements == list(range(parameter.numel()))
        for rank, (begin, end) in enumerate(ends):
            place = bucket.starts[index] + begin
            if begin < end:
                assert rank * bucket.part <= place < place + end - begin <= (rank + 1) * bucket.part
    flat = torch.zeros(bucket.size)
    for view in bucket.views(flat):
        assert view.storage_offset() % ALIGN == 0
        view += 1
    assert int(flat.sum()) == sum(sizes) and int(flat.max()) == 1


def test_buckets_begin_with_the_last_parameters():
    """A bucket is not larger than the limit, but for one parameter that is."""
    sizes = [LIMIT + 5, LIMIT // 2, LIMIT // 2 - 2, 3, LIMIT // 2]
    parameters = [nn.Parameter(torch.empty(size, device="meta")) for size in sizes]
    found = [[p.numel() for p in bucket.parameters] for bucket in buckets(parameters, 2)]
    assert found == [[LIMIT // 2, 3], [LIMIT // 2 - 2, LIMIT // 2], [LIMIT + 5]]


@given(rows=st.integers(1, 40), columns=st.integers(1, 9), parts=st.integers(1, 6))
def test_parts_are_the_whole(rows, columns, parts):
    """Cut in either dimension, evenly or not."""
    whole = torch.arange(rows * columns).view(rows, columns)
    for dimension, size in enumerate(whole.shape):
        every = [Cuts(rank, parts, {"x": (dimension, size)}) for rank in range(parts)]
        pieces = [cuts.part("x", whole) for cuts in every]
        assert torch.equal(torch.cat(pieces, dimension), whole)
        shapes = zip(every, pieces, strict=True)
        assert {cuts.shape("x", piece) for cuts, piece in shapes} == {whole.shape}
        assert [cuts.counts("y") for cuts in every] == [True] + [False] * (parts - 1)
    assert bounds(rows, 0, 1) == (0, rows)


@given(
    data=st.sampled_from([1, 2, 4]), tensor=st.integers(1, 3), accumulate=st.sampled_from([4, 8])
)
def test_every_slice_is_computed_once(data, tensor, accumulate):
    """By one data process; tensor processes of one data rank have the same ones."""
    spec = small(run__batch=8, run__accumulate=accumulate)
    layouts = [Layout(data, tensor, rank) for rank in range(data * tensor)]
    count = layouts[0].slices(spec)
    mine = {layout.data_rank: list(layout.mine(count)) for layout in layouts}
    assert sorted(number for numbers in mine.values() for number in numbers) == list(range(count))
    assert len({len(numbers) for numbers in mine.values()}) == 1
    assert sorted((x.data_rank, x.tensor_rank) for x in layouts) == [
        (row, column) for row in range(data) for column in range(tensor)
    ]


def test_slices_that_cannot_be_shared_out():
    """Said with what would do."""
    for data, batch, accumulate in ((3, 8, 1), (2, 9, 3), (4, 12, 6)):
        with pytest.raises(SpecError, match="cannot be shared by"):
            Layout(data).slices(small(run__batch=batch, run__accumulate=accumulate))


def test_alone_there_is_nothing_to_meet():
    """One process is the whole grid; a spec that wants more is refused with the command."""
    with joined(small()) as layout:
        assert layout == Layout() and layout.first
        assert layout.tell(7) == 7 and layout.any(True) and not layout.any(False)
    assert "WORLD_SIZE" not in os.environ
    spec = small(parallel__data=2, parallel__tensor=2)
    with (
        pytest.raises(SpecError, match="but there is 1; run: torchrun --nproc-per-node 4"),
        joined(spec),
    ):
        pass


def test_only_lost_connections_are_called_so():
    """Another RuntimeError stays what it is."""
    with pytest.raises(RunError, match="one of the 1 processes"), answering(0, 1):
        raise RuntimeError("[../gloo/transport/tcp/pair.cc:547] Connection closed by peer")
    with pytest.raises(RuntimeError, match="shape"), answering(0, 1):
        raise RuntimeError("shape mismatch")


def test_the_layout_is_no_part_of_a_run():
    """Not of its digest, not of what is written; true is full."""
    one, two = small(), small(parallel__data=2, parallel__shard=True)
    assert two.parallel.shard == "full" and two.parallel.data == 2
    assert specs.digest(one) == specs.digest(two)
    assert specs.dump(one) == specs.dump(two)
    with pytest.raises(SpecError, match="not allowed"):
        small(parallel__shard="some")
