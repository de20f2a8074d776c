"""The Transformer against torch's own encoder layer, and the laws of its masks and positions."""

import pytest
import torch
from torch import nn

from corpusforge.errors import SpecError
from corpusforge.spec import ModelSpec, TrainSpec, load, parse
from corpusforge.train.model import Block, Rotary, Transformer, rotate
from corpusforge.train.objectives.causal import within_documents

V, S, D = 50, 24, 32
SHAPES = [
    {"position": "learned", "norm": "post", "dropout": 0.1},
    {"position": "rope", "norm_kind": "rmsnorm", "activation": "swiglu", "bias": False},
    {"position": "rope", "kv_heads": 2, "activation": "gelu-tanh", "tied": False},
    {"position": "learned", "init": "xavier", "feed_forward": 48},
]


def build(seed=0, **fields):
    spec = ModelSpec(**{"layers": 2, "width": D, "heads": 4, **fields})
    return Transformer(spec, V, S, seed).eval()


def draw(*shape, seed=1):
    return torch.randint(0, V, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_block_equals_torchs_layer(norm):
    """With LayerNorm, biases and exact GELU a block is nn.TransformerEncoderLayer."""
    spec = ModelSpec(layers=1, width=D, heads=4, norm=norm, position="learned")
    mine = Block(spec).eval()
    theirs = nn.TransformerEncoderLayer(
        D, 4, 4 * D, 0.0, "gelu", batch_first=True, norm_first=norm == "pre"
    ).eval()
    a, f = mine.attention, mine.feed_forward
    with torch.no_grad():
        for parameter in mine.parameters():
            parameter.normal_(0, 0.3)
        theirs.self_attn.in_proj_weight.copy_(
            torch.cat([a.query.weight, a.key.weight, a.value.weight])
        )
        theirs.self_attn.in_proj_bias.copy_(torch.cat([a.query.bias, a.key.bias, a.value.bias]))
        for to, from_ in [
            (theirs.self_attn.out_proj, a.out),
            (theirs.linear1, f.up),
            (theirs.linear2, f.down),
            (theirs.norm1, mine.attention_norm),
            (theirs.norm2, mine.feed_forward_norm),
        ]:
            to.load_state_dict(from_.state_dict())
        x = torch.randn(3, S, D)
        mask = nn.Transformer.generate_square_subsequent_mask(S)
        want = theirs(x, src_mask=mask, is_causal=True)
        torch.testing.assert_close(mine(x, None, True, None, None, 0), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fields", SHAPES)
def test_the_future_is_not_seen(fields):
    """Hidden states up to a position do not change with the tokens after it."""
    model, tokens = build(**fields), draw(2, S)
    other = tokens.clone()
    other[:, 10:] = draw(2, S - 10, seed=2)
    with torch.no_grad():
        a, b = model(tokens, causal=True), model(other, causal=True)
    torch.testing.assert_close(a[:, :10], b[:, :10])
    assert not torch.allclose(a[:, 10:], b[:, 10:])


@pytest.mark.parametrize("fields", SHAPES)
def test_packed_documents_are_alone(fields):
    """With the document mask a packed row gives what each of its documents gives alone."""
    model, tokens = build(**fields), draw(1, S)
    lengths = [7, 1, 11, 5]
    segments = torch.repeat_interleave(torch.arange(4), torch.tensor(lengths))[None]
    positions = torch.cat([torch.arange(n) for n in lengths])[None]
    with torch.no_grad():
        packed = model(tokens, positions, mask=within_documents(segments))
        alone = [model(part, causal=True) for part in tokens.split(lengths, dim=1)]
    torch.testing.assert_close(packed, torch.cat(alone, dim=1), rtol=1e-4, atol=1e-5)


def test_mask_of_one_document_is_causal():
    """The two ways to say causal agree."""
    model, tokens = build(), draw(2, S)
    mask = within_documents(torch.zeros(2, S, dtype=torch.int32))
    with torch.no_grad():
        torch.testing.assert_close(model(tokens, mask=mask), model(tokens, causal=True))


def test_grouped_heads_equal_repeated_heads():
    """Fewer key-value heads equal full heads whose weights are repeated over each group."""
    few, full = build(kv_heads=2), build()
    state = few.state_dict()
    for name in [n for n in state if ".key." in n or ".value." in n]:
        by_head = state[name].unflatten(0, (2, D // 4))
        state[name] = by_head.repeat_interleave(2, 0).flatten(0, 1)
    full.load_state_dict(state)
    with torch.no_grad():
        torch.testing.assert_close(few(draw(2, S), causal=True), full(draw(2, S), causal=True))


def test_rotation_is_complex_multiplication():
    """Each pair (x[i], x[i + E/2]) turns by position * theta^(-2i/E); scores see distances only."""
    size, theta = 8, 10_000.0
    tables = Rotary(S, size, theta)(torch.arange(S))
    x = torch.randn(1, 1, S, size, generator=torch.Generator().manual_seed(0))
    frequency = theta ** (-torch.arange(0, size, 2) / size)
    turn = torch.polar(torch.ones(S, size // 2), torch.arange(S)[:, None] * frequency)
    want = torch.complex(x[..., : size // 2], x[..., size // 2 :]) * turn
    torch.testing.assert_close(rotate(x, *tables), torch.cat([want.real, want.imag], dim=-1))
    constant = rotate(x[:, :, :1].expand_as(x), *tables)[0, 0]
    scores = constant @ constant.t()
    torch.testing.assert_close(scores[:-3, :-3], scores[3:, 3:], rtol=1e-4, atol=1e-5)


def test_start_weights():
    """GPT-2's standard deviations, the residual writers scaled; Xavier's bounds; seeded."""
    model = build(layers=8, width=128, position="learned")
    assert abs(model.tokens.weight.std().item() - 0.02) < 1e-3
    assert abs(model.blocks[3].attention.query.weight.std().item() - 0.02) < 1e-3
    for writer in (model.blocks[3].attention.out, model.blocks[3].feed_forward.down):
        assert abs(writer.weight.std().item() - 0.02 / 4) < 3e-4
    bound = (6 / (128 + 512)) ** 0.5
    up = build(layers=8, width=128, init="xavier").blocks[0].feed_forward.up.weight
    assert 0.98 * bound < up.abs().max().item() <= bound
    same, other = build(seed=3).state_dict(), build(seed=4).state_dict()
    for name, value in build(seed=3).state_dict().items():
        assert torch.equal(value, same[name])
    assert not torch.equal(same["tokens.weight"], other["tokens.weight"])


def test_shipped_sizes():
    """gpt-mini keeps its promise; the others have the published parameter counts."""
    counts = {"gpt-mini": 8192, "gpt2-124m": 50257, "llama-1b": 128_256}
    found = {}
    for name, vocabulary in counts.items():
        spec = load(TrainSpec, file=name)
        with torch.device("meta"):
            model = Transformer(spec.model, vocabulary, spec.data.sequence, 0)
        found[name] = sum(parameter.numel() for parameter in model.parameters())
    assert found["gpt-mini"] <= 15_000_000
    assert found["gpt2-124m"] == 124_439_808
    assert found["llama-1b"] == 1_235_814_400
    assert load(TrainSpec, file="gpt-mini") == TrainSpec()


def test_positions_of_two_streams():
    """Positions that need an attention of their own are refused, and it is said why."""
    with pytest.raises(SpecError, match="relative-xl' has an attention of its own"):
        build(position="relative-xl")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 30, "heads": 4}, "model.heads = 4 does not divide model.width = 30"),
        ({"heads": 4, "kv_heads": 3}, "model.kv_heads = 3 does not divide model.heads = 4"),
        ({"width": 36, "heads": 4}, "is odd"),
    ],
)
def test_shapes_that_do_not_fit(fields, message):
    """A shape that cannot be built is a SpecError that names the keys."""
    with pytest.raises(SpecError, match=message):
        parse(TrainSpec, {"model": fields})
