"""Optimizer groups, clipping and schedules against torch's own."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from corpusforge.spec import ModelSpec, OptimSpec
from corpusforge.train import optim
from corpusforge.train.model import Transformer
from corpusforge.train.schedule import learning_rate


def model_with_gradients(scale=1.0):
    model = Transformer(ModelSpec(layers=2, width=16, heads=2), 40, 8, 0)
    draw = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.grad = scale * torch.randn(parameter.shape, generator=draw)
    return model


def test_only_matrices_decay():
    """Norms and biases have no weight decay, everything else has; nothing is left out."""
    model = model_with_gradients()
    decay, free = optim.build(model, OptimSpec()).param_groups
    assert (decay["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    names = {id(p): name for name, p in model.named_parameters()}
    assert {names[id(p)].rsplit(".", 1)[-1] for p in decay["params"]} == {"weight"}
    for p in free["params"]:
        assert names[id(p)].endswith("bias") or "norm" in names[id(p)]
    assert len(decay["params"]) + len(free["params"]) == len(names)


@pytest.mark.parametrize("name", ["adam", "adamw", "adafactor"])
def test_state_by_name_goes_on(name):
    """State that goes through names and into a new optimizer continues with equal bits."""
    model = model_with_gradients()
    first = optim.build(model, OptimSpec(name=name))
    first.step()
    twin = copy.deepcopy(model)
    second = optim.build(twin, OptimSpec(name=name))
    state = {k: v.clone() for k, v in optim.state_by_name(model, first).items()}
    optim.load_state(twin, second, state)
    for mine, other in zip(model.parameters(), twin.parameters(), strict=True):
        other.grad = mine.grad.clone()
    first.step()
    second.step()
    for mine, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_adamw_equals_the_paper():
    """Three steps equal Loshchilov and Hutter's update, written out."""
    spec = OptimSpec(learning_rate=1e-2, weight_decay=0.3)
    model = nn.Linear(5, 3, bias=False)
    w = model.weight.detach().double().clone()
    m, v = torch.zeros_like(w), torch.zeros_like(w)
    optimizer = optim.build(model, spec)
    for t in range(1, 4):
        model.weight.grad = torch.full_like(model.weight, 0.1 * t)
        g = model.weight.grad.double()
        m, v = 0.9 * m + 0.1 * g, 0.95 * v + 0.05 * g * g
        hat_m, hat_v = m / (1 - 0.9**t), v / (1 - 0.95**t)
        w = w - 1e-2 * (hat_m / (hat_v.sqrt() + 1e-8) + 0.3 * w)
        optimizer.step()
    torch.testing.assert_close(model.weight.double(), w, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("scale", [1e-3, 10.0])
def test_clipping_equals_torch(scale):
    """Norm and gradients are those of torch.nn.utils.clip_grad_norm_."""
    mine, theirs = model_with_gradients(scale), model_with_gradients(scale)
    norm = optim.clip(mine.parameters(), 1.0)
    torch.testing.assert_close(norm, nn.utils.clip_grad_norm_(theirs.parameters(), 1.0))
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_no_clipping():
    """A limit of 0 leaves the gradients and still tells their norm."""
    mine, theirs = model_with_gradients(10.0), model_with_gradients(10.0)
    assert optim.clip(mine.parameters(), 0.0) > 10
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)


@pytest.mark.parametrize(
    ("name", "scheduler"),
    [
        ("cosine", lambda o, n: torch.optim.lr_scheduler.CosineAnnealingLR(o, n, eta_min=0.1)),
        ("linear", lambda o, n: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.1, n)),
    ],
)
def test_decay_equals_torchs_schedulers(name, scheduler):
    """After the warmup the closed form is torch's scheduler, one step on."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    chain = scheduler(optimizer, 80)
    spec = OptimSpec(learning_rate=1.0, schedule=name, warmup=0.2, final=0.1)
    for step in range(20, 100):
        optimizer.step()
        chain.step()
        assert math.isclose(learning_rate(step, 100, spec), chain.get_last_lr()[0], rel_tol=1e-6)


@given(
    steps=st.integers(1, 500),
    warmup=st.floats(0, 1),
    final=st.floats(0, 1),
    schedule=st.sampled_from(["cosine", "linear", "constant", "warmup-stable-decay"]),
)
def test_schedule_rises_then_falls_to_its_end(steps, warmup, final, schedule):
    """Rates stay under the peak, rise in the warmup only and end at the final share."""
    spec = OptimSpec(learning_rate=2.0, warmup=warmup, final=final, schedule=schedule)
    rates = [learning_rate(step, steps, spec) for step in range(steps)]
    turn = round(warmup * steps)
    assert all(0 <= rate <= 2.0 for rate in rates)
    assert rates[:turn] == sorted(rates[:turn])
    assert all(a >= b - 1e-12 for a, b in zip(rates[turn:], rates[turn + 1 :], strict=False))
    if turn < steps:
        end = 2.0 if schedule == "constant" else 2.0 * final
        assert math.isclose(rates[-1], end, rel_tol=1e-9, abs_tol=1e-12)
    if turn:
        assert rates[turn - 1] == 2.0


def test_warmup_stable_decay_is_its_three_pieces():
    """10 steps up, 70 at the peak, 20 down a line to the final share."""
    spec = OptimSpec(
        learning_rate=1.0, schedule="warmup-stable-decay", warmup=0.1, decay=0.2, final=0.1
    )
    rates = [learning_rate(step, 100, spec) for step in range(100)]
    want = [(n + 1) / 10 for n in range(10)] + [1.0] * 70
    want += [1 - 0.9 * (n + 1) / 20 for n in range(20)]
    assert rates == pytest.approx(want)


@pytest.mark.parametrize("name", ["adam", "adamw", "adafactor"])
def test_fifty_steps_equal_torchs(name):
    """With the weight decay by groups, the rate of each step set, and clipping."""
    spec = OptimSpec(name=name, weight_decay=0.1, learning_rate=3e-3)
    mine, theirs = model_with_gradients(), model_with_gradients()
    optimizer = optim.build(mine, spec)
    groups = [
        {"params": [p for p in theirs.parameters() if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in theirs.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    if name == "adafactor":
        reference = torch.optim.Adafactor(groups, lr=3e-3)
    else:
        reference = kinds[name](groups, lr=3e-3, betas=spec.betas, foreach=False, fused=False)
    draw = torch.Generator().manual_seed(1)
    for step in range(50):
        rate = learning_rate(step, 50, spec)
        for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
            p.grad = torch.randn(p.shape, generator=draw)
            q.grad = p.grad.clone()
        optim.set_rate(optimizer, rate)
        optim.clip(mine.parameters(), spec.clip)
        nn.utils.clip_grad_norm_(theirs.parameters(), spec.clip)
        for group in reference.param_groups:
            group["lr"] = rate
        optimizer.step()
        reference.step()
    for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)
