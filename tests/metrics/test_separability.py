"""Compactness, separability and calibration against loops and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import calinski_harabasz_score

from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.metrics.separability import expected_calibration_error, reliability, separability


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


def test_calibration_error_equals_a_loop():
    generator = np.random.default_rng(0)
    sure = np.append(generator.random(500), [0, 1, 1 / 15, 0.5])
    right = generator.random(504) < sure**2
    expected = 0.0
    for number in range(15):
        inside = [(c, r) for c, r in zip(sure, right, strict=True) if (number / 15 < c <= (number + 1) / 15) or (number == 0 and c == 0)]
        if inside:
            expected += len(inside) / 504 * abs(np.mean([r for _, r in inside]) - np.mean([c for c, _ in inside]))
    assert expected_calibration_error(sure, right) == pytest.approx(expected)
    assert reliability(sure, right).count.sum() == 504


def test_honest_and_boastful_confidences():
    generator = np.random.default_rng(1)
    sure = generator.random(20000)
    assert expected_calibration_error(sure, generator.random(20000) < sure) < 0.02
    assert expected_calibration_error(np.full(100, 0.9), np.arange(100) < 60) == pytest.approx(0.3)
    curve = reliability(np.full(100, 0.9), np.arange(100) < 60, bins=10)
    assert curve.accuracy[8] == pytest.approx(0.6)
    assert np.isnan(curve.accuracy[[0, 9]]).all()


def test_bad_input_is_named():
    with pytest.raises(LabelError, match=r"1 class\(es\)"):
        separability(np.zeros((3, 2)), [1, 1, 0])
    with pytest.raises(LabelError, match="NaN"):
        separability([[np.nan], [1.0]], [1, 2])
    with pytest.raises(LabelError, match=r"\(3, 2\) and the labels \(2,\)"):
        separability(np.zeros((3, 2)), [1, 2])
    with pytest.raises(LabelError, match="outside 0 to 1"):
        reliability([1.2], [True])
    with pytest.raises(LabelError, match="2 confidences for 1"):
        reliability([0.1, 0.2], [True])
