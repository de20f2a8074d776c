"""The encoder and decoder stacks against torch's own, and what each may see."""

import pytest
import torch
from torch import nn

from corpusforge.spec import ModelSpec
from corpusforge.train.encoder import Encoder
from corpusforge.train.model import Block, EncoderDecoder, Transformer
from corpusforge.train.relative_bias import BUCKETS, bucket

D, H, V, S = 32, 4, 50, 24


def shake(module):
    """Weights far from their start, so that nothing hides."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.3)
    return module.eval()


def copy(block, layer):
    """Give torch's layer the weights of a block."""
    pairs = [(layer.self_attn, block.attention)]
    if block.cross_attention is not None:
        pairs.append((layer.multihead_attn, block.cross_attention))
    with torch.no_grad():
        for theirs, mine in pairs:
            parts = (mine.query, mine.key, mine.value)
            theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
            theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
            theirs.out_proj.load_state_dict(mine.out.state_dict())
    layer.linear1.load_state_dict(block.feed_forward.up.state_dict())
    layer.linear2.load_state_dict(block.feed_forward.down.state_dict())
    norms = [block.attention_norm, block.cross_norm, block.feed_forward_norm]
    for name, mine in zip(
        ("norm1", "norm2", "norm3"), [one for one in norms if one is not None], strict=False
    ):
        getattr(layer, name).load_state_dict(mine.state_dict())


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_decoder_block_equals_torchs_layer(norm):
    """Causal attention, attention to the encoder, feed-forward: TransformerDecoderLayer."""
    spec = ModelSpec(width=D, heads=H, norm=norm, position="learned", activation="relu")
    mine = shake(Block(spec, cross=True))
    theirs = nn.TransformerDecoderLayer(
        D, H, 4 * D, 0.0, "relu", batch_first=True, norm_first=norm == "pre"
    ).eval()
    copy(mine, theirs)
    x, memory = torch.randn(3, S, D), torch.randn(3, 9, D)
    seen = torch.arange(9) < torch.tensor([[9], [5], [1]])
    mask = nn.Transformer.generate_square_subsequent_mask(S)
    with torch.no_grad():
        want = theirs(x, memory, tgt_mask=mask, memory_key_padding_mask=~seen)
        got = mine(x, None, True, None, None, 0, memory, seen[:, None, None])
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


def test_the_original_transformer():
    """Post-norm, ReLU, learned places: both stacks are nn.Transformer's, without its last norms."""
    spec = ModelSpec(layers=2, width=D, heads=H, norm="post", position="learned", activation="relu")
    mine = shake(EncoderDecoder(spec, V, S, 0))
    theirs = nn.Transformer(D, H, 2, 2, 4 * D, 0.0, "relu", batch_first=True).eval()
    theirs.encoder.norm = theirs.decoder.norm = None
    for stack, layers in (
        (mine.encoder, theirs.encoder.layers),
        (mine.decoder, theirs.decoder.layers),
    ):
        for block, layer in zip(stack.blocks, layers, strict=True):
            copy(block, layer)
    tokens, given = torch.randint(0, V, (3, S)), torch.randint(0, V, (3, 7))
    mask = torch.arange(S) < torch.tensor([[S], [9], [1]])
    with torch.no_grad():
        source = mine.tokens(tokens) + mine.encoder.positions.weight
        target = mine.tokens(given) + mine.decoder.positions.weight[:7]
        want = theirs(
            source,
            target,
            tgt_mask=nn.Transformer.generate_square_subsequent_mask(7),
            src_key_padding_mask=~mask,
            memory_key_padding_mask=~mask,
        )
        torch.testing.assert_close(mine(tokens, mask, given), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("position", ["learned", "rope", "t5-bucket"])
def test_what_each_stack_sees(position):
    """The encoder sees both ways but no padding; the decoder the past and all of the encoder."""
    spec = ModelSpec(layers=2, width=D, heads=H, position=position)
    model = shake(EncoderDecoder(spec, V, S, 0))
    tokens, given = torch.randint(0, V, (1, S)), torch.randint(0, V, (1, 8))
    mask = (torch.arange(S) < 20)[None]
    with torch.no_grad():
        before = model(tokens, mask, given)
        for place, moves in ((0, True), (19, True), (20, False), (23, False)):
            other = tokens.clone()
            other[0, place] = (other[0, place] + 1) % V
            after = model(other, mask, given)
            assert ((after - before).abs().amax(2)[0] > 0).all().item() is moves
        other = given.clone()
        other[0, 5] = (other[0, 5] + 1) % V
        moved = (model(tokens, mask, other) - before).abs().amax(2)[0] > 0
    assert moved.tolist() == [False] * 5 + [True] * 3


def test_encoder_reads_both_ways_and_types():
    """A masked encoder's state depends on later tokens and on types, not on padding."""
    spec = ModelSpec(layers=2, width=D, heads=H, norm="post", position="learned")
    model = shake(Encoder(spec, V, S, 0))
    tokens, types = torch.randint(0, V, (1, S)), torch.zeros(1, S, dtype=torch.int32)
    mask = (torch.arange(S) < 20)[None]
    with torch.no_grad():
        before = model(tokens, types, mask)
        other = tokens.clone()
        other[0, 19] = (other[0, 19] + 1) % V
        assert not torch.allclose(model(other, types, mask)[0, 0], before[0, 0])
        other = tokens.clone()
        other[0, 20] = (other[0, 20] + 1) % V
        assert torch.equal(model(other, types, mask)[0, :20], before[0, :20])
        assert not torch.allclose(model(tokens, types + 1, mask), before)


def test_buckets():
    """Half of the buckets are exact distances, far ones share; each side has its own."""
    distance = torch.arange(-200, 201)
    past = bucket(distance, False)
    assert (past[distance >= 0] == 0).all()
    assert past[200 - 15 : 201].flip(0).tolist() == list(range(16))
    assert (past[:72] == BUCKETS - 1).all() and (past.diff() <= 0).all()
    both = bucket(distance, True)
    assert both.min() == 0 and both.max() == BUCKETS - 1
    assert torch.equal(both[201:], bucket(-distance[201:], True) + BUCKETS // 2)


def test_relative_places_keep_their_cache():
    """Read in parts or at once, a causal stack with T5's positions gives the same states."""
    from corpusforge.train.cache import KeyValueCache

    spec = ModelSpec(layers=2, width=D, heads=H, position="t5-bucket")
    model = shake(Transformer(spec, V, S, 0))
    tokens, cache = torch.randint(0, V, (1, S)), KeyValueCache(model)
    with torch.no_grad():
        whole = model(tokens, causal=True)
        parts = [model(tokens[:, :9], causal=True, cache=cache)]
        parts += [model(tokens[:, i : i + 1], causal=True, cache=cache) for i in range(9, S)]
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-5)
