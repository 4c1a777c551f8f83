"""NT-Xent and the losses of self-distillation against their definitions, written as loops."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hsi_ssl.learning.losses import exits_cross_entropy, feature_consistency, nt_xent, past_targets, ramp, soft_targets


def slow_nt_xent(z1: torch.Tensor, z2: torch.Tensor, temperature: float) -> torch.Tensor:
    """Equation 1 of arXiv 2002.05709, anchor by anchor."""
    z = [row / row.norm() for row in (*z1, *z2)]
    n = len(z1)
    losses = []
    for i in range(2 * n):
        j = (i + n) % (2 * n)
        below = sum(torch.exp(z[i] @ z[k] / temperature) for k in range(2 * n) if k != i)
        losses.append(-torch.log(torch.exp(z[i] @ z[j] / temperature) / below))
    return sum(losses) / (2 * n)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(2, 6), d=st.integers(1, 5), temperature=st.floats(0.1, 2), seed=st.integers(0, 1000))
def test_nt_xent_is_its_definition_in_value_and_gradient(n, d, temperature, seed):
    draws = np.random.default_rng(seed)
    z1, z2 = (torch.tensor(draws.normal(size=(n, d)), requires_grad=True) for _ in range(2))
    fast, slow = nt_xent(z1, z2, temperature), slow_nt_xent(z1, z2, temperature)
    assert fast.item() == pytest.approx(slow.item(), rel=1e-9)
    for ours, theirs in zip(torch.autograd.grad(fast, (z1, z2)), torch.autograd.grad(slow, (z1, z2)), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-6)


def test_nt_xent_of_parts_averages_to_the_whole():
    """With rows of all ranks at hand, each rank's loss must be over its own anchors: the mean over ranks is the loss of one process."""
    z1, z2 = torch.randn(2, 6, 4, dtype=torch.float64)
    normal = [torch.nn.functional.normalize(z, dim=1) for z in (z1, z2)]
    everyone = torch.cat(normal, dim=1)
    parts = [nt_xent(z1[rows], z2[rows], 0.3, lambda _: everyone, rank) for rank, rows in enumerate((slice(0, 3), slice(3, 6)))]
    assert sum(parts).item() / 2 == pytest.approx(nt_xent(z1, z2, 0.3).item(), rel=1e-12)


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without distributed")
def test_two_real_ranks_have_the_loss_and_gradient_of_one(tmp_path):
    """Negatives must be global, and the gradient must flow back through the rows that other ranks compared with."""
    command = [sys.executable, str(Path(__file__).with_name("gloo_rank.py")), str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ranks = [subprocess.Popen([*command, str(rank)], env=environment) for rank in range(2)]
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    weight = torch.tensor(np.load(tmp_path / "weight.npy"), requires_grad=True)
    x1, x2 = torch.from_numpy(np.load(tmp_path / "x.npy"))
    loss = nt_xent(x1 @ weight, x2 @ weight, 0.2)
    (gradient,) = torch.autograd.grad(loss, weight)
    found = [np.load(tmp_path / f"rank{rank}.npz") for rank in range(2)]
    assert np.mean([part["loss"] for part in found]) == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(np.mean([part["gradient"] for part in found], axis=0), gradient.numpy(), rtol=1e-10, atol=1e-12)
    assert not np.allclose(found[0]["gradient"], found[1]["gradient"])  # each rank saw rows of its own


def softmax(logits, temperature):
    return np.exp(logits / temperature) / np.exp(logits / temperature).sum(-1, keepdims=True)


def slow_divergence(teacher, student):
    return np.mean([sum(p * math.log(p / q) for p, q in zip(ps, qs, strict=True)) for ps, qs in zip(teacher, student, strict=True)])


@pytest.mark.parametrize("direction", ["deep", "early", "both"])
def test_soft_targets_are_their_definition(direction):
    exits = np.random.default_rng(3).normal(size=(3, 5, 4))
    t = 2.5
    soft = softmax(exits, t)
    deep = np.mean([slow_divergence(soft[2], soft[0]), slow_divergence(soft[2], soft[1])]) * t**2
    early = np.mean([slow_divergence(soft[0], soft[1]), slow_divergence((soft[0] + soft[1]) / 2, soft[2])]) * t**2
    expected = {"deep": deep, "early": early, "both": (deep + early) / 2}[direction]
    assert soft_targets(list(torch.tensor(exits)), t, direction).item() == pytest.approx(expected, rel=1e-9)


def test_a_teacher_is_not_pulled_towards_its_students():
    exits = [torch.randn(4, 3, requires_grad=True) for _ in range(3)]
    soft_targets(exits, 2.0, "deep").backward()
    assert exits[2].grad is None
    assert exits[0].grad is not None
    features = [torch.randn(4, 3, requires_grad=True) for _ in range(3)]
    feature_consistency(features).backward()
    assert features[2].grad is None
    assert features[1].grad is not None


def test_no_direction_means_no_soft_targets():
    assert soft_targets([torch.randn(2, 3)] * 2, 2.0, "none").item() == 0


def test_feature_consistency_is_the_squared_distance_of_unit_vectors():
    features = np.random.default_rng(4).normal(size=(3, 5, 4)) * [[[1]], [[3]], [[7]]]
    unit = features / np.linalg.norm(features, axis=-1, keepdims=True)
    expected = np.mean([np.mean(((unit[exit_] - unit[2]) ** 2).sum(-1)) for exit_ in (0, 1)])
    assert feature_consistency(list(torch.tensor(features))).item() == pytest.approx(expected, rel=1e-9)


def test_every_exit_learns_the_labels():
    logits, target = np.random.default_rng(5).normal(size=(2, 4, 3)), np.array([0, 2, 1, 1])
    smoothed = 0.9 * np.eye(3)[target] + 0.1 / 3
    expected = np.mean([-(smoothed * np.log(softmax(each, 1.0))).sum(1).mean() for each in logits])
    assert exits_cross_entropy(list(torch.tensor(logits)), torch.tensor(target), 0.1).item() == pytest.approx(expected, rel=1e-9)


def test_weighted_cross_entropy_is_the_mean_over_windows():
    """A mean over weights would make the loss of two devices another than that of one."""
    logits, target, weight = np.random.default_rng(6).normal(size=(2, 5, 3)), np.array([0, 2, 1, 1, 0]), np.array([0.5, 2.0, 1.5])
    expected = np.mean([-weight[target] * np.log(softmax(each, 1.0))[range(5), target] for each in logits])
    found = exits_cross_entropy(list(torch.tensor(logits)), torch.tensor(target), weight=torch.tensor(weight))
    assert found.item() == pytest.approx(expected, rel=1e-9)


def test_the_past_teaches_every_exit_and_only_of_windows_that_have_one():
    draws = np.random.default_rng(7)
    exits, past, t = draws.normal(size=(3, 5, 4)), draws.normal(size=(5, 4)), 2.0
    past[[1, 3]] = np.nan
    known = [0, 2, 4]
    expected = np.mean([slow_divergence(softmax(past[known], t), softmax(each[known], t)) for each in exits]) * t**2 * 3 / 5
    assert past_targets(list(torch.tensor(exits)), torch.tensor(past), t).item() == pytest.approx(expected, rel=1e-9)


def test_without_a_past_there_is_no_loss_but_a_gradient():
    logits = torch.randn(4, 3, requires_grad=True)
    loss = past_targets([logits], torch.full((4, 3), torch.nan), 1.0)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_a_weight_rises_to_one_and_stays_there():
    assert ramp(0.0, 0.5) == pytest.approx(math.exp(-5))
    assert ramp(0.25, 0.5) == pytest.approx(math.exp(-1.25))
    assert [ramp(done, 0.5) for done in (0.5, 1.0)] == [1, 1]
    assert ramp(0.0, 0.0) == 1
