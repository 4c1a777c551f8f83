"""Compactness, separability and calibration against loops and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import calinski_harabasz_score

from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.metrics.separability import separability


def clusters(spread, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.repeat([2, 5, 7, 0], [30, 50, 20, 10])
    centres = {2: [0, 0, 0], 5: [6, 0, 0], 7: [0, 8, 0], 0: [100, 100, 100]}
    return np.array([centres[c] for c in labels]) + generator.normal(0, spread, (110, 3)), labels


def test_definitions_hold():
    x, y = clusters(1.0)
    result = separability(x, y)
    means = {c: x[y == c].mean(axis=0) for c in (2, 5, 7)}
    assert result.compactness == pytest.approx(np.mean([np.mean([np.linalg.norm(v - means[c]) for v in x[y == c]]) for c in means]))
    assert result.separability == pytest.approx(np.mean([np.linalg.norm(means[a] - means[b]) for a, b in ((2, 5), (2, 7), (5, 7))]))
    assert result.ratio == pytest.approx(result.separability / result.compactness)
    # Calinski and Harabasz divide the same two scatters by their degrees of freedom.
    assert result.fisher == pytest.approx(calinski_harabasz_score(x[y != 0], y[y != 0]) * (3 - 1) / (100 - 3))


def test_ratio_ignores_scale_and_grows_as_classes_tighten():
    x, y = clusters(1.0)
    assert separability(1000 * x, y).ratio == pytest.approx(separability(x, y).ratio)
    assert separability(*clusters(0.3)).ratio > 2 * separability(x, y).ratio
    assert separability([[0.0], [0.0], [1.0]], [1, 1, 2]).ratio == np.inf
    assert np.isnan(separability([[0.0], [0.0]], [1, 2]).ratio)


def test_bad_input_is_named():
    with pytest.raises(LabelError, match=r"1 class\(es\)"):
        separability(np.zeros((3, 2)), [1, 1, 0])
    with pytest.raises(LabelError, match="NaN"):
        separability([[np.nan], [1.0]], [1, 2])
    with pytest.raises(LabelError, match=r"\(3, 2\) and the labels \(2,\)"):
        separability(np.zeros((3, 2)), [1, 2])
