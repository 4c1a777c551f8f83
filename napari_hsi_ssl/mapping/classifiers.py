"""Plain classifiers on features: a linear probe, and the figures by which features are judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.metrics.neighbours import knn_vote
from napari_hsi_ssl.metrics.scores import class_numbers

_CHUNK = 65536


@dataclass(frozen=True)
class LinearProbe:
    """A fitted multinomial logistic regression, the standardisation of the features folded into its weights.

    Attributes
    ----------
    classes : int64 array (c,)
        Class numbers, ascending.
    weights : float64 array (d, c)
    bias : float64 array (c,)
    """

    classes: NDArray[np.int64]
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    def proba(self, features: ArrayLike) -> NDArray[np.float32]:
        """Return class probabilities (…, c) of features (…, d), a chunk at a time; NaN where a feature is not finite."""
        array = np.asarray(features)
        if array.shape[-1] != len(self.weights):
            raise LabelError(f"the features have {array.shape[-1]} dimensions, the probe was fitted on {len(self.weights)}; use features of one model.")
        rows = array.reshape(-1, array.shape[-1])
        result = np.empty((len(rows), self.classes.size), dtype=np.float32)
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK].astype(np.float64)
            measured = np.isfinite(part).all(axis=1, keepdims=True)
            proba = softmax(np.where(measured, part, 0) @ self.weights + self.bias, axis=1)
            result[start : start + _CHUNK] = np.where(measured, proba, np.nan)
        return result.reshape(*array.shape[:-1], self.classes.size)

    def predict(self, features: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return class numbers and their probabilities (…,) of features (…, d); 0 and 0 where a feature is not finite."""
        proba = self.proba(features)
        measured = np.isfinite(proba).all(axis=-1)
        labels = np.where(measured, self.classes[proba.argmax(axis=-1)], 0)
        return labels, np.where(measured, proba.max(axis=-1), 0).astype(np.float32)


def fit_linear(train_x: ArrayLike, train_y: ArrayLike, *, strength: float = 1.0) -> LinearProbe:
    """Fit a multinomial logistic regression on standardised features.

    The problem is convex and solved to its minimum, so no seed plays a part.

    Parameters
    ----------
    train_x : float array (n, d)
    train_y : integer array (n,)
    strength : float
        Weight of the L2 penalty on the standardised weights, 1 / C of scikit-learn.

    Raises
    ------
    LabelError
        When there is one class only, shapes do not fit, or features are not finite.
    """
    x, y = np.asarray(train_x, dtype=np.float64), class_numbers(train_y)
    _check(x, y)
    scaler = StandardScaler().fit(x)
    # Between 128 and 512 dimensions lbfgs needs tens to a few hundred iterations; the limit is there for badly posed features.
    model = LogisticRegression(C=1 / strength, tol=1e-4, max_iter=5000).fit(scaler.transform(x), y)
    coef, bias = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # scikit-learn keeps the second class's logit alone; the first one's is 0
        coef, bias = np.vstack((np.zeros_like(coef), coef)), np.concatenate((np.zeros(1), bias))
    weights = coef.T / scaler.scale_[:, None]
    return LinearProbe(model.classes_.astype(np.int64), weights, bias - scaler.mean_ @ weights)


def linear_probe(train_x: ArrayLike, train_y: ArrayLike, test_x: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Fit a linear probe on (n, d) and return class numbers and probabilities (m,) of the test features (m, d)."""
    return fit_linear(train_x, train_y).predict(test_x)


def standardise(train_x: ArrayLike, *others: ArrayLike) -> tuple[NDArray[np.float32], ...]:
    """Return all features with the training features' mean 0 and spread 1, float32; constant features become 0."""
    scaler = StandardScaler().fit(np.asarray(train_x, dtype=np.float64))
    return tuple(scaler.transform(np.asarray(x, dtype=np.float64)).astype(np.float32) for x in (train_x, *others))


def judge_features(
    features: Mapping[str, ArrayLike], labels: ArrayLike, split: ArrayLike, *, k: int = 20, minimum: int = 20, names: Mapping[int, str] | None = None
) -> dict[str, Any]:
    """Score features by kNN (cosine) and a linear probe, both on standardised features, fitted on train and scored on test samples.

    Every feature matrix is judged on the same samples. Classes with fewer than ``minimum`` test samples, or none to learn
    from, are not scored; their training samples stay, so that mistaking a sample for one of them still counts as wrong.

    Parameters
    ----------
    features : mapping of str to float array (n, d)
        For example the pretrained backbone, a random one, mean spectra. Rows that are not finite anywhere are left out of all.
    labels : integer array (n,)
        Class or domain numbers. 0 = unlabelled, left out.
    split : integer array (n,)
        0 = train, 1 = test.
    k, minimum : int
    names : mapping of int to str, optional
        Names of the classes in ``not_scored``.

    Returns
    -------
    dict
        ``rows``: name → ``{"knn_accuracy", "linear_probe"}`` (overall accuracy, fractions); ``n_train``, ``n_test``; ``scored``
        (class numbers); ``chance`` (share of the largest scored class); ``not_scored``: name → ``{"test": n, "train": n, "why"}``.

    Raises
    ------
    LabelError
        When there is one class only, or no class has enough test samples.
    """
    y, held_out = class_numbers(labels), np.asarray(split) == 1
    matrices = {name: np.asarray(matrix) for name, matrix in features.items()}
    usable = y != 0
    for name, matrix in matrices.items():
        if matrix.ndim != 2 or len(matrix) != y.size:
            raise LabelError(f"features '{name}' have shape {matrix.shape}, expected ({y.size}, d), one row a label; make them from the same patches.")
        usable &= np.isfinite(matrix).all(axis=1)
    classes = np.unique(y[usable])
    if classes.size < 2:
        raise LabelError(f"the labels hold {classes.size} class(es) {classes.tolist()}, expected at least two to tell apart; label another class.")
    train = usable & ~held_out
    scored, not_scored = [], {}
    for number in classes.tolist():
        n_test, n_train = int((usable & held_out & (y == number)).sum()), int((train & (y == number)).sum())
        if n_test >= minimum and n_train:
            scored.append(number)
            continue
        why = "no training samples" if n_test >= minimum else f"{n_test} held-out samples, fewer than {minimum}"
        not_scored[(names or {}).get(number, str(number))] = {"test": n_test, "train": n_train, "why": why}
    if not scored:
        listed = "; ".join(f"{name}: {entry['why']}" for name, entry in not_scored.items())
        raise LabelError(f"no class can be scored ({listed}), expected at least one with {minimum} held-out samples; hold out more or lower the minimum.")
    test = usable & held_out & np.isin(y, scored)
    rows = {name: _judge(matrix[train], y[train], matrix[test], y[test], k) for name, matrix in matrices.items()}
    counts = np.bincount(np.searchsorted(scored, y[test]))
    return {
        "rows": rows,
        "n_train": int(train.sum()),
        "n_test": int(test.sum()),
        "scored": scored,
        "chance": float(counts.max() / counts.sum()),
        "not_scored": not_scored,
    }


def _judge(train_x: ArrayLike, train_y: NDArray[np.int64], test_x: ArrayLike, test_y: NDArray[np.int64], k: int) -> dict[str, float]:
    left, right = standardise(train_x, test_x)
    voted, _ = knn_vote(left, train_y, right, k)
    probed, _ = linear_probe(train_x, train_y, test_x)
    return {"knn_accuracy": float((voted == test_y).mean()), "linear_probe": float((probed == test_y).mean())}


def _check(x: NDArray[np.float64], y: NDArray[np.int64]) -> None:
    if x.ndim != 2 or len(x) != y.size:
        raise LabelError(f"the training features have shape {x.shape} for {y.size} labels, expected (n, d) and (n,).")
    if np.unique(y).size < 2:
        raise LabelError(f"the training labels hold one class ({y[0] if y.size else 'none'}), expected at least two to tell apart; label another class.")
    if not np.isfinite(x).all():
        raise LabelError("the training features hold NaN or infinite values, expected finite numbers; leave unmeasured pixels out.")
