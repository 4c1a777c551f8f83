"""Heads that are trained on painted pixels in a few milliseconds: logistic, nearest prototype, nearest neighbours.

Of trials with strokes on several scenes (`benchmarks/paint.py --heads`) the logistic head is the best of the three, by most where little is painted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from napari_hsi_ssl.config import HeadKind
from napari_hsi_ssl.errors import LabelError

MOST_EXAMPLES: Final = 3000
"""Painted pixels that a head is fitted on, every class its share."""
REPRESENTATIVES: Final = 128
"""Of the painted pixels, by which kNN decides: neighbours within a stroke say the same."""
_SHARPNESS: Final = 20.0
"""Logits are cosines times this, where a head has no scale of its own (prototypes and neighbours)."""
_PENALTY: Final = 1.0
"""C of the logistic head: larger ones are hardly better, and surer of what was never painted."""


@dataclass(frozen=True, eq=False)
class Head:
    """A classifier of unit vectors.

    Attributes
    ----------
    numbers : int64 array (c,)
        Class numbers, ascending.
    weights : float32 array (m, d)
        One or several rows a class, in order; of several the one that fits best counts.
    bias : float32 array (m,)
    starts : int64 array (c,)
        First row of each class.
    """

    numbers: NDArray[np.int64]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    starts: NDArray[np.int64]

    def decide(self, features: NDArray[np.floating]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Return places in ``numbers`` (n,) and the softmax of the winner's logit (n,) of features (n, d)."""
        logits = self.weights @ np.asarray(features, dtype=np.float32).T + self.bias[:, None]
        if len(self.weights) > self.numbers.size:
            ends = [*self.starts[1:].tolist(), len(self.weights)]
            logits = np.stack([logits[start:end].max(axis=0) for start, end in zip(self.starts.tolist(), ends, strict=True)])
        best = logits.argmax(axis=0)
        logits -= logits.max(axis=0)
        np.exp(logits, out=logits)
        sure: NDArray[np.float32] = 1 / logits.sum(axis=0)
        return best, sure


def fit_head(kind: HeadKind, features: NDArray[np.float32], numbers: NDArray[np.integer]) -> Head:
    """Train a head on painted pixels.

    Parameters
    ----------
    kind : {"logistic", "prototype", "knn"}
        Multinomial logistic regression, every class with the same weight; the nearest class mean; the nearest of at most 128 representatives
        of the painted pixels (their k-means centres, each class its share).
    features : float32 array (n, d)
        Unit vectors.
    numbers : int array (n,)

    Raises
    ------
    LabelError
        When fewer than two classes are painted.
    """
    classes = np.unique(numbers)
    if classes.size < 2:
        raise LabelError(f"{'one class is' if classes.size else 'nothing is'} painted yet, expected at least two classes to tell apart; paint another class.")
    groups = [_evenly(features[numbers == number], MOST_EXAMPLES // classes.size) for number in classes]
    if kind == "logistic":
        return _logistic(classes.astype(np.int64), groups)
    if kind == "prototype":
        rows = [unit(group.mean(axis=0, keepdims=True)) for group in groups]
    else:
        rows = [unit(_centres(group, max(1, REPRESENTATIVES // classes.size))) for group in groups]
    sizes = [len(group) for group in rows]
    weights = _SHARPNESS * np.concatenate(rows)
    return Head(classes.astype(np.int64), weights, np.zeros(len(weights), dtype=np.float32), np.cumsum([0, *sizes[:-1]]))


def _logistic(classes: NDArray[np.int64], groups: list[NDArray[np.float32]]) -> Head:
    scale = float(np.sqrt(groups[0].shape[1]))
    codes = np.repeat(np.arange(classes.size), [len(group) for group in groups])
    model = LogisticRegression(C=_PENALTY, class_weight="balanced", tol=1e-3, max_iter=1000).fit(scale * np.concatenate(groups), codes)
    coef, bias = model.coef_, model.intercept_
    if classes.size == 2:  # scikit-learn keeps the second class's logit alone; the first one's is 0
        coef, bias = np.vstack((np.zeros_like(coef), coef)), np.concatenate((np.zeros(1), bias))
    return Head(classes, (scale * coef).astype(np.float32), bias.astype(np.float32), np.arange(classes.size))


def _evenly(rows: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(int)]


def _centres(rows: NDArray[np.float32], count: int, turns: int = 4) -> NDArray[np.float32]:
    """Return at most ``count`` means (k, d) of like rows (n, d): a few turns of Lloyd's k-means from evenly spaced rows."""
    if len(rows) <= count:
        return rows
    centres = _evenly(rows, count).copy()
    for _ in range(turns):
        nearest = (rows @ centres.T - 0.5 * (centres**2).sum(axis=1)).argmax(axis=1)
        order = np.argsort(nearest, kind="stable")
        kept, first, sizes = np.unique(nearest[order], return_index=True, return_counts=True)
        centres[kept] = np.add.reduceat(rows[order], first, axis=0) / sizes[:, None].astype(np.float32)
    found: NDArray[np.float32] = centres[kept]
    return found


def unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Return vectors (n, d) at length 1; zeros stay."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]
    return np.asarray(vectors / np.where(lengths == 0, 1, lengths), dtype=np.float32)
