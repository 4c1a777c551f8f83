"""From covariances to components: PCA and the minimum noise fraction."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from napari_hsi_ssl.errors import CubeError
from napari_hsi_ssl.explore.chunks import Spectra
from napari_hsi_ssl.explore.moments import Statistics


def pca(whole: Statistics, count: int) -> tuple[Spectra, Spectra, float]:
    """Return components (k, G), variances (k,) and the total variance, by falling variance."""
    covariance = whole.scatter / (whole.count - 1)
    bands = len(covariance)
    values, vectors = scipy.linalg.eigh(covariance, subset_by_index=(bands - count, bands - 1))
    return _upright(vectors[:, ::-1].T), np.clip(values[::-1], 0, None), float(np.trace(covariance))


def mnf(whole: Statistics, count: int, names: str) -> tuple[Spectra, Spectra, float]:
    """Return components (k, G) by falling signal-to-noise ratio, their variances in units of the noise, and the sum of all.

    The noise covariance is half that of the differences of neighbouring pixels (Green et al. 1988); the components solve
    ``S v = λ N v``.

    Raises
    ------
    CubeError
        When there are no neighbours, no noise, or fewer directions with signal than components.
    """
    if whole.pairs <= 0:
        raise CubeError(
            f"{names}: MNF needs masked pixels with a masked right neighbour to tell the noise, and there is none; use --method pca or another mask."
        )
    covariance, noise = whole.scatter / (whole.count - 1), whole.noise / whole.pairs
    values, vectors = scipy.linalg.eigh(covariance)
    # Directions without signal (dead bands, bands interpolated from fewer) have no noise either: their ratio is undefined.
    signal = values > 1e-10 * values[-1]
    basis = vectors[:, signal] / np.sqrt(values[signal])
    if basis.shape[1] < count:
        raise CubeError(f"{names}: only {basis.shape[1]} directions hold any signal, {count} components were asked for; use at most that many --components.")
    # Where the signal has variance 1 in every direction, the eigenvalues of the noise are the inverse ratios, the smallest first.
    inverse, directions = scipy.linalg.eigh(basis.T @ noise @ basis)
    if inverse[-1] <= 0:
        raise CubeError(f"{names}: neighbouring pixels never differ, so MNF finds no noise; use --method pca.")
    inverse = np.clip(inverse, 1e-12 * inverse[-1], None)  # where neighbours agree exactly the ratio stays finite
    components = (basis @ directions / np.sqrt(inverse)).T[:count]
    return _upright(components), 1 / inverse[:count], float((1 / inverse).sum())


def _upright(components: Spectra) -> Spectra:
    """Turn every component so that its largest loading is positive: equal data give equal signs."""
    largest = np.abs(components).argmax(axis=1)
    signs = np.where(components[np.arange(len(components)), largest] < 0, -1.0, 1.0)
    return np.ascontiguousarray(components * signs[:, None])
