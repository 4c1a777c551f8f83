"""Continuum removal: spectra divided by their upper convex hull."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

_ROWS: Final = 2048
"""Spectra worked on at once: their stacks stay in the cache."""


def remove_continuum(values: ArrayLike, positions: NDArray[np.float64] | None = None) -> NDArray[np.float32]:
    """Divide spectra by their continuum, the upper convex hull over the bands (Clark and Roush 1984).

    Parameters
    ----------
    values : array (…, band)
    positions : float64 array (band,), optional
        nm, ascending; band numbers by default.

    Returns
    -------
    float32 array (…, band)
        1 on the continuum, less within absorptions. 1 where the continuum is not positive; NaN where a spectrum has a value that is
        not finite.
    """
    spectra = np.asarray(values, dtype=np.float32)
    hull = continuum(spectra, positions)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(hull > 0, spectra / hull, np.where(np.isnan(hull), np.float32(np.nan), np.float32(1))).astype(np.float32)


def continuum(values: ArrayLike, positions: NDArray[np.float64] | None = None) -> NDArray[np.float32]:
    """Return the upper convex hull (…, band) of spectra (…, band); NaN where a value is not finite."""
    spectra = np.asarray(values, dtype=np.float32)
    bands = spectra.shape[-1]
    x = np.arange(bands, dtype=np.float64) if positions is None else np.asarray(positions, dtype=np.float64)
    flat = spectra.reshape(-1, bands)
    result = np.empty_like(flat)
    for start in range(0, len(flat), _ROWS):
        part = slice(start, start + _ROWS)
        result[part] = _hulls(flat[part], x)
    return result.reshape(spectra.shape)


def _hulls(spectra: NDArray[np.float32], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the hulls (n, band) of some spectra: Andrew's monotone chain (1979), all spectra side by side."""
    count, bands = spectra.shape
    finite: NDArray[np.bool_] = np.isfinite(spectra).all(axis=1)
    v = np.where(finite[:, None], spectra, 0).astype(np.float64)
    stack = np.zeros((count, bands), dtype=np.intp)
    size = np.ones(count, dtype=np.intp)
    everyone = np.arange(count)
    for band in range(1, bands):
        rows = everyone[size >= 2] if band > 1 else everyone[:0]
        while rows.size:
            last, before = stack[rows, size[rows] - 1], stack[rows, size[rows] - 2]
            # The last corner goes when it does not lie above the line from the one before it to this band.
            rise = (v[rows, last] - v[rows, before]) * (x[band] - x[before]) - (v[rows, band] - v[rows, before]) * (x[last] - x[before])
            rows = rows[rise <= 0]
            size[rows] -= 1
            rows = rows[size[rows] >= 2]
        stack[everyone, size] = band
        size += 1
    corner = np.zeros((count, bands), dtype=bool)
    row, place = np.nonzero(np.arange(bands) < size[:, None])
    corner[row, stack[row, place]] = True
    band_numbers = np.arange(bands)
    left = np.maximum.accumulate(np.where(corner, band_numbers, 0), axis=1)
    right = np.minimum.accumulate(np.where(corner, band_numbers, bands - 1)[:, ::-1], axis=1)[:, ::-1]
    low, high = np.take_along_axis(v, left, axis=1), np.take_along_axis(v, right, axis=1)
    span = x[right] - x[left]
    share = np.divide(x - x[left], span, out=np.zeros_like(span), where=span > 0)
    hull = low + share * (high - low)
    hull[~finite] = np.nan
    return hull
