"""From covariances to components: PCA and the minimum noise fraction."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from napari_hsi_ssl.errors import CubeError
from napari_hsi_ssl.explore.moments import Spectra, Statistics


def pca(whole: Statistics, count: int) -> tuple[Spectra, Spectra, float]:
    """Return components (k, G), variances (k,) and the total variance, by falling variance."""
    covariance = whole.scatter / (whole.count - 1)
    values, vectors = scipy.linalg.eigh(covariance)
    return _upright(vectors[:, ::-1][:, :count].T), np.clip(values[::-1][:count], 0, None), float(np.trace(covariance))


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
    basis = vectors[:, values > 1e-10 * values[-1]]
    if basis.shape[1] < count:
        raise CubeError(f"{names}: only {basis.shape[1]} directions hold any signal, {count} components were asked for; use at most that many --components.")
    inside = basis.T @ noise @ basis
    if np.trace(inside) <= 0:
        raise CubeError(f"{names}: neighbouring pixels never differ, so MNF finds no noise; use --method pca.")
    # A trace of noise in every direction keeps the ratio finite where neighbours agree exactly.
    inside += np.eye(len(inside)) * 1e-9 * np.trace(inside) / len(inside)
    ratios, directions = scipy.linalg.eigh(basis.T @ covariance @ basis, inside)
    return _upright((basis @ directions[:, ::-1][:, :count]).T), ratios[::-1][:count].copy(), float(ratios.sum())


def _upright(components: Spectra) -> Spectra:
    """Turn every component so that its largest loading is positive: equal data give equal signs."""
    largest = np.abs(components).argmax(axis=1)
    signs = np.where(components[np.arange(len(components)), largest] < 0, -1.0, 1.0)
    return np.ascontiguousarray(components * signs[:, None])
