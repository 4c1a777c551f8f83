"""Heads of painted pixels: what they decide, beside scikit-learn's answer."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.mapping.heads import MOST_EXAMPLES, REPRESENTATIVES, fit_head, unit

KINDS = ("logistic", "prototype", "knn")


def blobs(count: int, classes: int = 3, seed: int = 0, spread: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((classes, 16))
    numbers = generator.integers(0, classes, count)
    return unit(centres[numbers] + spread * generator.standard_normal((count, 16))), numbers * 3 + 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [2, 5])
def test_every_head_tells_blobs_apart_in_their_own_numbers(kind, classes):
    head = fit_head(kind, *blobs(400, classes))
    x, y = blobs(1000, classes, seed=1)
    best, sure = head.decide(x)
    assert (head.numbers[best] == y).mean() > 0.97
    assert ((sure >= 1 / classes - 1e-6) & (sure <= 1 + 1e-6)).all()
    wrong = head.numbers[best] != y
    if wrong.any():
        assert sure[wrong].mean() < sure[~wrong].mean()


@pytest.mark.parametrize("classes", [2, 4])
def test_the_logistic_head_says_what_scikit_learn_says(classes):
    x, y = blobs(300, classes, spread=1.0)
    scale = np.sqrt(x.shape[1])
    theirs = LogisticRegression(C=1.0, class_weight="balanced", tol=1e-3, max_iter=1000).fit(scale * x, y).predict_proba(scale * x)
    best, sure = fit_head("logistic", x, y).decide(x)
    np.testing.assert_array_equal(best, theirs.argmax(axis=1))
    np.testing.assert_allclose(sure, theirs.max(axis=1), atol=0.02)


def test_prototypes_are_the_nearest_means():
    x, y = blobs(200)
    head = fit_head("prototype", x, y)
    means = NearestCentroid().fit(x, y).centroids_
    np.testing.assert_array_equal(head.decide(x)[0], (x @ unit(means).T).argmax(axis=1))


def test_neighbours_are_exact_while_few_pixels_are_painted():
    """Up to as many pixels as there are representatives, each stands for itself."""
    x, y = blobs(REPRESENTATIVES // 3, spread=1.5)
    query, _ = blobs(500, seed=2, spread=1.5)
    head = fit_head("knn", x, y)
    np.testing.assert_array_equal(head.numbers[head.decide(query)[0]], KNeighborsClassifier(1, metric="cosine").fit(x, y).predict(query))


def test_representatives_say_what_all_painted_pixels_say():
    x, y = blobs(3000, spread=0.6)
    query, _ = blobs(2000, seed=3, spread=0.6)
    head = fit_head("knn", x, y)
    assert len(head.weights) <= REPRESENTATIVES
    exact = KNeighborsClassifier(1, metric="cosine").fit(x, y).predict(query)
    assert (head.numbers[head.decide(query)[0]] == exact).mean() > 0.98


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_stroke_does_not_drown_a_short_one(kind):
    x, y = blobs(4000, 2, spread=1.2)
    few = np.concatenate((np.flatnonzero(y == 2), np.flatnonzero(y == 5)[:40]))
    query, truth = blobs(2000, 2, seed=5, spread=1.2)
    head = fit_head(kind, x[few], y[few])
    found = head.numbers[head.decide(query)[0]]
    assert abs((found == 2).mean() - (truth == 2).mean()) < 0.15


@pytest.mark.parametrize("numbers", [[], [4, 4]])
def test_one_class_cannot_be_told_from_anything(numbers):
    with pytest.raises(LabelError, match="expected at least two classes"):
        fit_head("logistic", np.ones((len(numbers), 3), np.float32), np.asarray(numbers, dtype=int))


def test_thousands_of_painted_pixels_are_thinned_out():
    x, y = blobs(4 * MOST_EXAMPLES, 2)
    assert fit_head("logistic", x, y).weights.shape == (2, 16)
    assert fit_head("knn", x, y).weights.shape[0] <= REPRESENTATIVES
