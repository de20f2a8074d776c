"""Adapters: zero start equals the base, merged equals unmerged, and only they are trained."""

import pytest
import torch
from tiny import small

from corpusforge.errors import SpecError
from corpusforge.spec.finetune import AdapterSpec
from corpusforge.train import lora
from corpusforge.train.model import Transformer

TOKENS = torch.arange(48).view(2, 24)


def adapted(**fields):
    spec = small()
    model = Transformer(spec.model, 320, 32, 0).eval()
    before = model(TOKENS, causal=True)
    lora.adapt(model, AdapterSpec(rank=4, **fields), seed=1)
    return model.eval(), before


def test_a_fresh_adapter_changes_nothing():
    """Bit for bit: the product is zero."""
    model, before = adapted(targets=["query", "key", "value", "out", "up", "down"])
    assert torch.equal(model(TOKENS, causal=True), before)


def test_merged_equals_unmerged_and_has_the_old_names():
    """Also the names of the parameters are the base model's again."""
    names = set(Transformer(small().model, 320, 32, 0).state_dict())
    model, before = adapted(alpha=8.0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".up"):
                parameter.normal_()
    apart = model(TOKENS, causal=True)
    assert (apart - before).abs().max() > 0.01
    saved = lora.tensors(model)
    assert {name.rpartition(".")[2] for name in saved} == {"down", "up"}
    assert len(saved) == 2 * 2 * 2  # query and value of two blocks
    lora.merge(model)
    assert set(model.state_dict()) == names
    torch.testing.assert_close(model(TOKENS, causal=True), apart, rtol=1e-5, atol=1e-5)


def test_nothing_else_is_trained():
    """Gradients reach the adapters alone; scale is alpha / rank (Hu et al. 2021, 4.1)."""
    model, _ = adapted()
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == set(lora.tensors(model))
    layer = model.blocks[0].attention.query
    assert layer.scale == 16 / 4
    x = torch.ones(1, 32)
    with torch.no_grad():
        layer.up.fill_(1.0)
        want = x @ layer.base.weight.T + layer.base.bias + 4 * (layer.down @ x[0]).sum()
    torch.testing.assert_close(layer(x), want)


def test_unknown_targets_are_refused():
    """With the nearest name."""
    with pytest.raises(SpecError, match=r"'quer'.*did you mean 'query'"):
        adapted(targets=["quer"])
    with pytest.raises(SpecError, match="empty"):
        adapted(targets=[])
