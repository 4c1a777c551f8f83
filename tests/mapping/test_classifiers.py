"""The linear probe against scikit-learn, and the rules by which features are judged."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from napari_hsi_ssl.errors import ConfigError, LabelError
from napari_hsi_ssl.mapping.classifiers import fit_linear, judge_features, linear_probe, standardise


def blobs(n=240, d=12, classes=3, spread=2.0, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % classes + 1
    centres = generator.normal(0, 1, (classes + 1, d))
    scale = np.logspace(-2, 3, d)  # dimensions of very different units
    return ((centres[labels] + generator.normal(0, spread, (n, d))) * scale + 50 * scale).astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 3])
def test_probe_equals_scikit_learns_pipeline(classes):
    """Folding the scaler into the weights must not change one probability."""
    x, y = blobs(classes=classes)
    y = y * 7  # numbers with gaps
    probe = fit_linear(x[:160], y[:160])
    model = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-8, max_iter=5000)).fit(x[:160].astype(np.float64), y[:160])
    np.testing.assert_allclose(probe.proba(x[160:]), model.predict_proba(x[160:].astype(np.float64)), atol=2e-3)
    labels, confidence = linear_probe(x[:160], y[:160], x[160:])
    assert (labels == model.predict(x[160:].astype(np.float64))).mean() > 0.98
    np.testing.assert_allclose(confidence, probe.proba(x[160:]).max(axis=1))


@pytest.mark.parametrize("kind", ["apart", "noise", "constant", "few"])
def test_probe_converges_on_features_as_networks_give_them(kind):
    """A warning (an error in tests) would mean that the figure is not that of the model."""
    generator = np.random.default_rng(3)
    y = np.arange(1200) % 7
    x = generator.normal(0, 1, (1200, 192)) @ (generator.normal(size=(192, 192)) * np.logspace(0, -4, 192)[:, None])
    if kind == "apart":
        x += 5 * generator.normal(size=(7, 192))[y]
    if kind == "constant":
        x[:, ::2] = 3.0
    rows = slice(0, 30) if kind == "few" else slice(None)
    probe = fit_linear(x[rows], y[rows] + 1)
    assert np.isfinite(probe.weights).all()
    accuracy = (probe.predict(x[rows])[0] == y[rows] + 1).mean()
    assert accuracy > (0.99 if kind in ("apart", "few") else 0.2)


def test_probe_maps_a_whole_cube_and_leaves_unmeasured_pixels_blank():
    x, y = blobs()
    probe = fit_linear(x, y)
    cube = x.reshape(12, 20, -1).astype(np.float16)
    cube[3, 4] = np.nan
    cube[5, 6, 0] = np.inf
    labels, confidence = probe.predict(cube)
    assert labels.shape == confidence.shape == (12, 20)
    assert labels[3, 4] == labels[5, 6] == confidence[3, 4] == confidence[5, 6] == 0
    rest = np.ones((12, 20), dtype=bool)
    rest[3, 4] = rest[5, 6] = False
    np.testing.assert_array_equal(labels[rest], probe.predict(cube[rest])[0])
    assert (labels[rest] > 0).all()
    with pytest.raises(LabelError, match="11 dimensions, the probe was fitted on 12"):
        probe.predict(x[:, :11])


def test_standardise_uses_training_figures_alone():
    x, _ = blobs()
    left, right = standardise(x[:100], x[100:])
    np.testing.assert_allclose(left.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(left.std(axis=0), 1, rtol=1e-3)
    np.testing.assert_allclose(right, (x[100:] - x[:100].mean(axis=0)) / x[:100].std(axis=0), rtol=2e-2, atol=2e-2)


def test_judge_gives_scikit_learns_figures():
    x, y = blobs(n=300)
    noise = np.random.default_rng(9).normal(size=(300, 4))
    split = (np.random.default_rng(1).random(300) < 0.4).astype(int)
    result = judge_features({"good": x, "noise": noise}, y, split)
    train, test = split == 0, split == 1
    assert (result["n_train"], result["n_test"]) == (train.sum(), test.sum())
    scaler = StandardScaler().fit(x[train].astype(np.float64))
    model = KNeighborsClassifier(20, metric="cosine", algorithm="brute").fit(scaler.transform(x[train].astype(np.float64)), y[train])
    assert result["rows"]["good"]["knn_accuracy"] == pytest.approx(model.score(scaler.transform(x[test].astype(np.float64)), y[test]), abs=0.02)
    assert result["rows"]["good"]["linear_probe"] > 0.7
    assert result["rows"]["noise"]["linear_probe"] < 0.55
    assert result["not_scored"] == {}
    assert result["chance"] == pytest.approx(np.bincount(y[test]).max() / test.sum())


def test_small_classes_are_reported_and_stay_as_distractors():
    """Leaving their training samples out would make the rest look easier than it is."""
    generator = np.random.default_rng(0)
    y = np.repeat([1, 2, 3, 4], [100, 100, 60, 60])
    split = np.zeros(320, dtype=int)
    split[[*range(50), *range(100, 150), *range(200, 210), *range(260, 320)]] = 1
    x = generator.normal(0, 0.1, (320, 6))
    x[y == 2] += 5
    result = judge_features({"x": x}, y, split, names={3: "sugar", 4: "paper"})
    assert result["scored"] == [1, 2]
    assert result["n_test"] == 100
    assert result["n_train"] == 50 + 50 + 50
    assert result["not_scored"]["sugar"] == {"test": 10, "train": 50, "why": "10 held-out samples, fewer than 20"}
    assert result["not_scored"]["paper"] == {"test": 60, "train": 0, "why": "no training samples"}
    # Class 3 looks exactly like class 1: some of class 1 must be mistaken for it.
    assert 0.5 <= result["rows"]["x"]["linear_probe"] < 0.95


def test_rows_that_were_not_measured_are_left_out_of_every_matrix():
    x, y = blobs(n=300)
    y[0] = 0
    other = x[:, :3].copy()
    other[5] = np.nan
    result = judge_features({"x": x, "other": other}, y, np.arange(300) % 2)
    assert result["n_train"] + result["n_test"] == 298


def test_one_class_too_few_samples_and_wrong_rows_are_named():
    x, y = blobs()
    half = np.arange(240) % 2
    with pytest.raises(LabelError, match=r"1 class\(es\) \[1\]"):
        judge_features({"x": x}, np.ones(240, dtype=int), half)
    with pytest.raises(LabelError, match=r"no class can be scored .* fewer than 500"):
        judge_features({"x": x}, y, half, minimum=500)
    with pytest.raises(LabelError, match="features 'x' have shape"):
        judge_features({"x": x[1:]}, y, half)
    with pytest.raises(ConfigError, match="k is 200 but there are 120"):
        judge_features({"x": x}, y, half, k=200)
    with pytest.raises(LabelError, match=r"one class \(1\)"):
        fit_linear(x, np.ones(240, dtype=int))
    with pytest.raises(LabelError, match="NaN"):
        fit_linear(np.full((4, 2), np.nan), [1, 2, 1, 2])
