"""How tight classes lie in an embedding, and how far apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.metrics.scores import class_numbers


@dataclass(frozen=True)
class Separability:
    """Spread of labelled samples within and between classes, in the units of the embedding.

    Attributes
    ----------
    compactness : float
        Intra-class: mean Euclidean distance of a sample to the mean of its class, averaged over classes (S_i of Davies and Bouldin
        1979, doi:10.1109/TPAMI.1979.4766909, with exponents 1 and 2). Smaller is tighter.
    separability : float
        Inter-class: mean Euclidean distance between the means of two classes (their M_ij), averaged over pairs. Larger is farther.
    ratio : float
        ``separability / compactness``: free of the embedding's scale, so that two networks can be compared.
    fisher : float
        trace(S_B) / trace(S_W), scatter between over scatter within classes (Fukunaga 1990, Introduction to Statistical Pattern
        Recognition, ch. 10; classes weigh by their samples).
    """

    compactness: float
    separability: float
    ratio: float
    fisher: float


def separability(features: ArrayLike, labels: ArrayLike) -> Separability:
    """Measure compactness and separability of the labelled samples (0 = unlabelled) of an embedding (n, d).

    Raises
    ------
    LabelError
        When shapes do not fit, features are not finite, or there are fewer than two classes.
    """
    x, y = np.asarray(features, dtype=np.float64), class_numbers(labels)
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise LabelError(f"the features have shape {x.shape} and the labels {y.shape}, expected (n, d) and (n,).")
    x, y = x[y != 0], y[y != 0]
    if not np.isfinite(x).all():
        raise LabelError("the features hold NaN or infinite values, expected finite numbers; leave unmeasured pixels out.")
    classes, coded, counts = np.unique(y, return_inverse=True, return_counts=True)
    if classes.size < 2:
        raise LabelError(f"the labels hold {classes.size} class(es), expected at least two to tell apart; label another class.")
    means = np.stack([x[coded == code].mean(axis=0) for code in range(classes.size)])
    residuals = ((x - means[coded]) ** 2).sum(axis=1)
    compactness = float(np.mean(np.bincount(coded, np.sqrt(residuals)) / counts))
    first, second = np.triu_indices(classes.size, 1)
    between = float(np.sqrt(((means[first] - means[second]) ** 2).sum(axis=1)).mean())
    scatter = float(counts @ ((means - x.mean(axis=0)) ** 2).sum(axis=1))
    return Separability(compactness, between, _over(between, compactness), _over(scatter, float(residuals.sum())))


def _over(above: float, below: float) -> float:
    if below > 0:
        return above / below
    return float("inf") if above > 0 else float("nan")
