"""How tight classes lie in an embedding, how far apart, and how honest confidences are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

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


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy in bins of equal width over [0, 1].

    Attributes
    ----------
    edges : float64 array (bins + 1,)
    confidence, accuracy : float64 array (bins,)
        Means in each bin; NaN in an empty one.
    count : int64 array (bins,)
    ece : float
        Expected calibration error: mean of |accuracy - confidence| over bins, weighted by count (Guo et al. 2017, eq. 3,
        arXiv:1706.04599).
    """

    edges: NDArray[np.float64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    count: NDArray[np.int64]
    ece: float


def reliability(confidence: ArrayLike, right: ArrayLike, bins: int = 15) -> Reliability:
    """Compare the confidences (n,) in [0, 1] of predictions with whether they are right (bool, n).

    A confidence on an edge counts to the bin below, as in the paper; 0 to the first.

    Raises
    ------
    LabelError
        When shapes differ, nothing is given, or a confidence lies outside [0, 1].
    """
    sure, hit = np.asarray(confidence, dtype=np.float64).ravel(), np.asarray(right, dtype=bool).ravel()
    if sure.shape != hit.shape or not sure.size:
        raise LabelError(f"there are {sure.size} confidences for {hit.size} predictions, expected one each and at least one.")
    if not ((sure >= 0) & (sure <= 1)).all():
        raise LabelError("a confidence lies outside 0 to 1 or is NaN, expected a probability; leave unclassified pixels out.")
    edges = np.linspace(0, 1, bins + 1)
    index = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    filled = np.maximum(count, 1)
    mean = np.where(count > 0, np.bincount(index, sure, minlength=bins) / filled, np.nan)
    accuracy = np.where(count > 0, np.bincount(index, hit, minlength=bins) / filled, np.nan)
    ece = float(np.nansum(count * np.abs(accuracy - mean)) / sure.size)
    return Reliability(edges, mean, accuracy, count.astype(np.int64), ece)


def expected_calibration_error(confidence: ArrayLike, right: ArrayLike, bins: int = 15) -> float:
    """Return the expected calibration error, a fraction in [0, 1]; see `Reliability`."""
    return reliability(confidence, right, bins).ece
