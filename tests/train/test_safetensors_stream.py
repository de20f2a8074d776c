"""Files written tensor by tensor have the bytes of safetensors' own writer."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from corpusforge.train.safetensors_stream import Entry, in_order, write

KINDS = [
    *(torch.float32, torch.float64, torch.bfloat16, torch.float16),
    *(torch.int64, torch.int32, torch.uint8, torch.bool),
]
TENSORS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6).filter(
        lambda name: name != "__metadata__"
    ),
    st.tuples(st.sampled_from(KINDS), st.lists(st.integers(0, 4), max_size=3)),
    min_size=1,
    max_size=8,
)


@given(shapes=TENSORS)
def test_bytes_of_save_file(shapes, tmp_path_factory):
    """Any names, types and shapes, empty ones and scalars too."""
    path = tmp_path_factory.mktemp("stream") / "x.safetensors"
    tensors = {name: torch.ones(shape).to(kind) * 3 for name, (kind, shape) in shapes.items()}
    write(path, {name: Entry.of(tensor) for name, tensor in tensors.items()})
    assert path.read_bytes() == save(tensors)


def test_one_at_a_time_in_the_order_of_the_file(tmp_path):
    """Tensors are asked for in one order, whatever that of the mapping; strides do not matter."""
    matrix, asked = torch.arange(12.0).view(3, 4).t(), []

    def entry(name, tensor):
        return Entry(tensor.shape, tensor.dtype, lambda: asked.append(name) or tensor)

    entries = {name: entry(name, matrix) for name in ("b", "a", "c")}
    write(tmp_path / "mine", entries)
    assert asked == in_order(entries) == ["a", "b", "c"]
    want = {name: matrix.contiguous().clone() for name in "abc"}
    save_file(want, tmp_path / "theirs")
    assert (tmp_path / "mine").read_bytes() == (tmp_path / "theirs").read_bytes()
