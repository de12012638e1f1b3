"""The loss equals a slow reference, and pairs that are neither true nor false do not count."""

from __future__ import annotations

import math

import pytest
import torch

from napari_sam.losses.contrastive import contrastive_loss


def slow(logits, true, false) -> float:
    total = 0.0
    for way in (False, True):
        a, t, f = (x.T.tolist() if way else x.tolist() for x in (logits, true, false))
        rows = []
        for values, good, bad in zip(a, t, f, strict=True):
            against = sum(math.exp(v) for v, b in zip(values, bad, strict=True) if b)
            each = [-math.log(math.exp(v) / (math.exp(v) + against)) for v, g in zip(values, good, strict=True) if g]
            if each and against:
                rows.append(sum(each) / len(each))
        total += sum(rows) / len(rows) / 2
    return total


def states(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    state = torch.randint(3, (7, 5), generator=generator)
    return logits, state == 2, state == 0


@pytest.mark.parametrize("seed", range(4))
def test_equals_a_slow_reference(seed):
    logits, true, false = states(seed)
    assert float(contrastive_loss(logits, true, false)) == pytest.approx(slow(logits, true, false))


def test_gradients_are_right_and_the_undecided_have_none():
    logits, true, false = states()
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: contrastive_loss(x, true, false), logits)
    contrastive_loss(logits, true, false).backward()
    assert (logits.grad[~true & ~false] == 0).all()
    assert (logits.grad[true] <= 0).all()
    assert (logits.grad[false] >= 0).all()


def test_rows_without_a_true_or_without_a_false_pair_do_not_matter():
    logits, true, false = states()
    more = torch.cat([logits, torch.full((2, 5), 9.0, dtype=torch.float64)])
    nothing = torch.zeros(2, 5, dtype=torch.bool)
    extended = contrastive_loss(more, torch.cat([true, nothing]), torch.cat([false, nothing]))
    assert float(extended) == pytest.approx(float(contrastive_loss(logits, true, false)))


def test_nothing_to_learn_from_is_no_error():
    logits = torch.randn(3, 3, requires_grad=True)
    loss = contrastive_loss(logits, torch.zeros(3, 3, dtype=torch.bool), torch.ones(3, 3, dtype=torch.bool))
    loss.backward()
    assert float(loss.detach()) == 0
    assert (logits.grad == 0).all()
