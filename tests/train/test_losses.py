"""Chunked cross entropy against torch's own, in value and gradient."""

import pytest
import torch
import torch.nn.functional as F

from corpusforge.train.losses import IGNORE, cross_entropy


def example(rows=37, width=16, vocabulary=101, ignored=(), seed=0):
    """Hidden states [1, rows, width], matrix, targets; all random."""
    draw = torch.Generator().manual_seed(seed)
    hidden = torch.randn(1, rows, width, generator=draw).requires_grad_()
    weight = torch.randn(vocabulary, width, generator=draw).requires_grad_()
    targets = torch.randint(0, vocabulary, (1, rows), generator=draw)
    targets[0, list(ignored)] = IGNORE
    return hidden, weight, targets


@pytest.mark.parametrize("ignored", [(), (0, 5, 36), range(37)], ids=["none", "some", "all"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("chunk", [8, 37, 64])
def test_equals_torch(ignored, smoothing, chunk):
    """Value and both gradients are F.cross_entropy's, for chunks that divide the rows or not."""
    hidden, weight, targets = example(ignored=ignored)
    total, _ = cross_entropy(hidden, weight, targets, smoothing=smoothing, chunk=chunk)
    (total / 7).backward()
    mine = hidden.grad, weight.grad
    hidden.grad = weight.grad = None
    plain = F.cross_entropy(
        (hidden @ weight.t())[0], targets[0], reduction="sum", label_smoothing=smoothing
    )
    (plain / 7).backward()
    torch.testing.assert_close(total, plain)
    torch.testing.assert_close(mine, (hidden.grad, weight.grad))


def whole(hidden, weight, targets, smoothing, focal, z_loss):
    """The same loss from whole logits, for autograd."""
    kept = targets[0] != IGNORE
    logits = (hidden @ weight.t())[0][kept]
    log_p = logits.log_softmax(1)
    nll = -log_p.gather(1, targets[0][kept][:, None]).squeeze(1)
    own = (1 - torch.exp(-nll)) ** focal * nll
    total = (1 - smoothing) * own - smoothing * log_p.mean(1)
    return (total + z_loss * logits.logsumexp(1) ** 2).sum()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("focal", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("z_loss", [0.0, 1e-2])
def test_focal_and_z_loss_through_the_same_chunks(smoothing, focal, z_loss):
    """Value and gradients are those of whole logits; gamma 0 and weight 0 are cross entropy."""
    hidden, weight, targets = example(ignored=(0, 7))
    settings = {"smoothing": smoothing, "focal": focal, "z_loss": z_loss}
    total, nll = cross_entropy(hidden, weight, targets, **settings, chunk=10)
    (total / 7).backward()
    mine = hidden.grad, weight.grad
    hidden.grad = weight.grad = None
    plain = whole(hidden, weight, targets, **settings)
    (plain / 7).backward()
    torch.testing.assert_close(total, plain)
    torch.testing.assert_close(mine, (hidden.grad, weight.grad), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(nll, cross_entropy(hidden, weight, targets)[1])


def test_likelihoods_by_target():
    """The second result is each target's own negative log-likelihood, 0 where ignored."""
    hidden, weight, targets = example(ignored=(3,))
    _, nll = cross_entropy(hidden, weight, targets, smoothing=0.1, chunk=10)
    plain = F.cross_entropy((hidden @ weight.t())[0], targets[0], reduction="none")
    torch.testing.assert_close(nll[0], plain)
    assert nll[0, 3] == 0
    assert not nll.requires_grad


def test_under_autocast():
    """In bf16 it is near the float32 value and its gradients have the parameters' dtype."""
    hidden, weight, targets = example(rows=200, width=64)
    exact, _ = cross_entropy(hidden, weight, targets)
    with torch.autocast("cpu", torch.bfloat16):
        total, _ = cross_entropy(hidden, weight, targets)
    total.backward()
    assert total.dtype == hidden.grad.dtype == weight.grad.dtype == torch.float32
    assert abs(total.item() - exact.item()) < 2e-2 * exact.item()


def test_no_gradient_is_kept_in_evaluation():
    """Without gradients the result has no graph."""
    with torch.no_grad():
        total, _ = cross_entropy(*example())
    assert total.grad_fn is None
