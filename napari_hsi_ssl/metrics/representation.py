"""What a contrastive representation looks like from outside: alignment, uniformity, and its picture in the plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import pdist
from scipy.special import logsumexp

Features = NDArray[np.floating]


def alignment(first: Features, second: Features) -> float:
    """Return the mean squared distance on the unit sphere of two views of the same samples, each (n, d).

    In [0, 4], 0 where both views are the same (Wang and Isola 2020, arXiv 2005.10242, with exponent 2).
    """
    return float(((_unit(first) - _unit(second)) ** 2).sum(axis=1).mean())


def uniformity(features: Features, t: float = 2.0) -> float:
    """Return how evenly samples (n, d), n ≥ 2, fill the unit sphere: the logarithm of the mean of exp(−t · squared distance) over pairs.

    At most 0, which says that all lie in one point; lower is more even (Wang and Isola 2020, arXiv 2005.10242).
    """
    exponents = -t * pdist(_unit(features), "sqeuclidean")
    return float(logsumexp(exponents) - np.log(exponents.size))


def plane(features: Features, before: NDArray[np.floating] | None = None) -> tuple[NDArray[np.float32], float]:
    """Lay samples out in the plane of the first two principal components of their directions.

    Parameters
    ----------
    features : float array (n, d)
    before : float array (n, 2), optional
        Where the same samples lay last time. The picture is turned and mirrored, never stretched, to lie over it as well as it
        can (orthogonal Procrustes, Schönemann 1966, doi:10.1007/BF02289451): principal components keep neither sign nor order.

    Returns
    -------
    float32 array (n, 2)
        Around 0.
    float
        Share of the variance that the plane holds, in [0, 1].
    """
    directions = _unit(features)
    directions -= directions.mean(axis=0)
    left, values, _ = np.linalg.svd(directions, full_matrices=False)
    places = np.zeros((len(directions), 2))
    places[:, : left[:, :2].shape[1]] = left[:, :2] * values[:2]
    if before is not None:
        places = places @ orthogonal_procrustes(places, before)[0]
    total = float((values**2).sum())
    return places.astype(np.float32), float((values[:2] ** 2).sum() / total) if total > 0 else 0.0


def _unit(features: Features) -> NDArray[np.float64]:
    rows = np.asarray(features, dtype=np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1.0)
