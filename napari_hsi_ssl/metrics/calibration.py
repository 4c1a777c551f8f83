"""Whether a classifier is right as often as it says, and the temperature that makes it so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import entr, log_softmax, logsumexp

from napari_hsi_ssl.errors import LabelError

BINS: Final = 15
_COLDEST, _HOTTEST = 0.05, 20.0


@dataclass(frozen=True, eq=False)
class Reliability:
    """What was said against what was found, in bins of confidence; only bins that hold something.

    Attributes
    ----------
    n : int array (b,)
        Pixels of each bin.
    confidence, accuracy : float array (b,)
        Means over them, fractions.
    """

    n: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def ece(self) -> float:
        """Expected calibration error: mean distance of confidence and accuracy over the bins, weighted by their pixels (Naeini et al. 2015)."""
        return float(np.abs(self.confidence - self.accuracy) @ self.n / self.n.sum())

    def rows(self) -> list[dict[str, Any]]:
        """Return the bins from the least to the most sure as JSON-able rows."""
        columns = zip(self.n.tolist(), self.confidence.tolist(), self.accuracy.tolist(), strict=True)
        return [{"n": n, "confidence": confidence, "accuracy": accuracy} for n, confidence, accuracy in columns]


def reliability(confidence: ArrayLike, right: ArrayLike, bins: int = BINS, by: Literal["mass", "width"] = "mass") -> Reliability:
    """Bin predictions by confidence.

    Parameters
    ----------
    confidence : float array (n,)
        Of the predicted class, in [0, 1].
    right : bool array (n,)
    bins : int
    by : {"mass", "width"}
        ``mass``: as many pixels in each (Nixon et al. 2019, arXiv 1904.01685); equal confidences stay together, so there may be fewer
        bins. ``width``: equal steps of confidence (Guo et al. 2017, arXiv 1706.04599).

    Raises
    ------
    LabelError
        When there is no prediction, shapes differ or a confidence is no fraction.
    """
    said, found = np.asarray(confidence, dtype=np.float64).ravel(), np.asarray(right, dtype=bool).ravel()
    if said.shape != found.shape or said.size == 0:
        raise LabelError(f"{said.size} confidences were given for {found.size} predictions, expected one each and at least one; label pixels of the map.")
    if not (np.isfinite(said).all() and said.min() >= 0 and said.max() <= 1):
        raise LabelError("a confidence is not a number between 0 and 1, expected fractions; make the map again.")
    edges = np.unique(np.quantile(said, np.linspace(0, 1, bins + 1)))[1:-1] if by == "mass" else np.linspace(0, 1, bins + 1)[1:-1]
    place = np.searchsorted(edges, said)
    n = np.bincount(place, minlength=edges.size + 1)
    kept = n > 0
    sums = [np.bincount(place, values, minlength=n.size)[kept] / n[kept] for values in (said, found.astype(np.float64))]
    return Reliability(n[kept], sums[0], sums[1])


def brier(probabilities: ArrayLike, codes: ArrayLike) -> float:
    """Return the Brier score (1950) of class probabilities (n, c) for true class positions (n,): 0 is best, 2 is worst."""
    said, true = np.asarray(probabilities, dtype=np.float64), np.asarray(codes)
    return float(((said - np.eye(said.shape[1])[true]) ** 2).sum(axis=1).mean())


def calibration_report(confidence: ArrayLike, right: ArrayLike) -> dict[str, Any]:
    """Return how far the confidence of predictions can be believed.

    Returns
    -------
    dict
        ``ece`` (bins of equal mass), ``ece_width`` (of equal width), ``confidence_brier`` (mean squared distance of confidence and
        being right), ``mean_confidence``, ``n`` and ``reliability`` (the bins of equal mass, `Reliability.rows`). Fractions.
    """
    said, found = np.asarray(confidence, dtype=np.float64).ravel(), np.asarray(right, dtype=bool).ravel()
    by_mass = reliability(said, found)
    return {
        "ece": by_mass.ece,
        "ece_width": reliability(said, found, by="width").ece,
        "confidence_brier": float(((said - found) ** 2).mean()),
        "mean_confidence": float(said.mean()),
        "n": int(said.size),
        "reliability": by_mass.rows(),
    }


def tempered(log_probabilities: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Return the probabilities (…, c) of softmax(log p / T); the order of the classes stays. NaN stays NaN."""
    values = np.asarray(log_probabilities, dtype=np.float64) / temperature
    softened: NDArray[np.float64] = np.exp(values - logsumexp(values, axis=-1, keepdims=True))
    return softened


def entropy(probabilities: ArrayLike) -> NDArray[np.float32]:
    """Return how undecided class probabilities (…, c) are: entropy over its largest value, 0 = one class alone, 1 = all alike."""
    said = np.asarray(probabilities, dtype=np.float64)
    spread: NDArray[np.float32] = (entr(said).sum(axis=-1) / np.log(max(2, said.shape[-1]))).astype(np.float32)
    return spread


def disagreement(answers: ArrayLike) -> NDArray[np.float32]:
    """Return how far several answers (e, …, c) to the same pixels differ, in [0, 1].

    The Jensen-Shannon divergence (Lin 1991, doi:10.1109/18.61115): entropy of their mean less the mean of their entropies, over the most
    that e answers on c classes can reach. It is 0 where all say the same, however unsure they are; NaN stays NaN.
    """
    said = np.asarray(answers, dtype=np.float64)
    most = np.log(max(2, min(said.shape[0], said.shape[-1])))
    gap = entr(said.mean(axis=0)).sum(axis=-1) - entr(said).sum(axis=-1).mean(axis=0)
    differing: NDArray[np.float32] = np.clip(gap / most, 0, 1).astype(np.float32)
    return differing


def fit_temperature(log_probabilities: ArrayLike, codes: ArrayLike) -> float:
    """Return the temperature with which held-out pixels are most likely (Guo et al. 2017, arXiv 1706.04599).

    A normal prior of unit spread on log T keeps a few pixels that all are right from making every answer certain; with a hundred it no
    longer matters.

    Parameters
    ----------
    log_probabilities : float array (n, c)
        Up to a constant a row, so logits will do; minus infinity where a class was not to be had.
    codes : int array (n,)
        Positions of the true classes.
    """
    said, true = log_softmax(np.asarray(log_probabilities, dtype=np.float64), axis=1), np.asarray(codes)
    if said.ndim != 2 or true.shape != said.shape[:1] or true.size == 0:
        raise LabelError(f"probabilities of shape {said.shape} were given for {true.size} held-out pixels, expected (n, c) and (n,); hold some out.")

    def cost(log_temperature: float) -> float:
        scaled = said / np.exp(log_temperature)
        return float((logsumexp(scaled, axis=1) - scaled[np.arange(true.size), true]).sum() + log_temperature**2 / 2)

    return float(np.exp(minimize_scalar(cost, bounds=(np.log(_COLDEST), np.log(_HOTTEST)), method="bounded", options={"xatol": 1e-4}).x))
