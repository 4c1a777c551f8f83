"""Alignment, uniformity and the picture of an embedding, against their definitions written as loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ortho_group

from napari_hsi_ssl.metrics.representation import alignment, plane, uniformity


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_alignment_is_the_mean_squared_distance_of_the_pairs():
    draws = np.random.default_rng(0)
    first, second = draws.normal(size=(2, 20, 5))
    pairs = zip(unit(first), unit(second), strict=True)
    assert alignment(first, second) == pytest.approx(np.mean([((a - b) ** 2).sum() for a, b in pairs]))
    assert alignment(first, 7 * first) == pytest.approx(0)  # length does not count
    assert alignment(first, -first) == pytest.approx(4)
    assert alignment([[0.0, 0.0]], [[2.0, 0.0]]) == 1  # a dead feature has no direction


def test_uniformity_is_the_log_of_the_mean_potential_over_pairs():
    rows = unit(np.random.default_rng(1).normal(size=(15, 4)))
    potentials = [math.exp(-2 * ((rows[i] - rows[j]) ** 2).sum()) for i in range(15) for j in range(i)]
    assert uniformity(rows) == pytest.approx(math.log(np.mean(potentials)))
    assert uniformity(np.ones((5, 3))) == pytest.approx(0)  # collapsed


def test_the_picture_is_that_of_the_principal_components():
    rows = np.random.default_rng(2).normal(size=(40, 6)) * [5, 3, 1, 1, 1, 1]
    places, explained = plane(rows)
    centred = unit(rows) - unit(rows).mean(axis=0)
    variances = np.sort(np.linalg.eigvalsh(centred.T @ centred))[::-1]
    np.testing.assert_allclose((places.astype(np.float64) ** 2).sum(axis=0), variances[:2], rtol=1e-5)
    assert explained == pytest.approx(variances[:2].sum() / variances.sum())


def test_the_picture_does_not_turn_when_the_features_do():
    # Without the alignment an axis would change its sign between two judgements and the picture would jump.
    rows = np.random.default_rng(3).normal(size=(60, 8)) * [5, 4, 1, 1, 1, 1, 1, 1]
    before, _ = plane(rows)
    turned = rows @ ortho_group.rvs(8, random_state=4)
    np.testing.assert_allclose(plane(turned, before)[0], before, atol=1e-5)
    mirrored = before * [-1, 1]
    np.testing.assert_allclose(plane(rows, mirrored)[0], mirrored, atol=1e-5)


def test_a_collapsed_embedding_lies_in_one_point():
    places, explained = plane(np.ones((6, 3)))
    np.testing.assert_allclose(places, 0, atol=1e-7)
    assert 0 <= explained <= 1


@pytest.mark.parametrize("rows", [np.zeros((6, 3)), np.ones((1, 4))])
def test_what_does_not_vary_has_nothing_to_explain(rows):
    places, explained = plane(rows)
    assert places.shape == (len(rows), 2)
    assert not places.any()
    assert explained == 0.0


def test_a_line_is_explained_by_one_axis():
    places, explained = plane([[1.0], [-3.0], [2.0]])
    np.testing.assert_allclose(np.abs(places), [[2 / 3, 0], [4 / 3, 0], [2 / 3, 0]], rtol=1e-6)
    assert explained == pytest.approx(1)
