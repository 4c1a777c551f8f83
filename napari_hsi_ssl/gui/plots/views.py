"""How spectra are looked at: as they are, or with brightness or the continuum taken out."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

RAW, SNV, CONTINUUM = "raw", "snv", "continuum"
VIEWS: Final = {RAW: "As measured", SNV: "SNV", CONTINUUM: "Continuum removed"}
HINTS: Final = {
    RAW: "Values as they are in the cube",
    SNV: "Each spectrum minus its mean, divided by its deviation: shapes beside each other, whatever the brightness",
    CONTINUUM: "Each spectrum divided by its upper hull: absorption bands alone",
}


def in_view(values: NDArray[np.floating], wavelengths: NDArray[np.float64] | None, view: str) -> NDArray[np.float64]:
    """Return spectra (…, band) as a view shows them; bands that are not finite take no part and stay gaps.

    Parameters
    ----------
    values : array (…, band)
    wavelengths : float64 array (band,) in nm, or None
        Where the bands lie; the band numbers without.
    view : {"raw", "snv", "continuum"}
    """
    spectra = np.asarray(values, dtype=np.float64)
    if view == RAW:
        return spectra
    rows = spectra.reshape(-1, spectra.shape[-1])
    x = np.arange(rows.shape[1], dtype=np.float64) if wavelengths is None else wavelengths
    found = np.full(rows.shape, np.nan)
    for row, out in zip(rows, found, strict=True):
        known = np.isfinite(row)
        if not known.any():
            continue
        part = row[known]
        if view == SNV:
            spread = float(part.std())
            out[known] = (part - part.mean()) / (spread or 1.0)
        else:
            hull = _upper_hull(x[known], part)
            out[known] = np.divide(part, hull, out=np.full(len(part), np.nan), where=hull > 0)
    return found.reshape(spectra.shape)


def _upper_hull(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the upper convex hull of points (n,) in ascending ``x``, at every one of them (Clark and Roush 1984)."""
    corners: list[int] = []
    for here in range(len(x)):
        while len(corners) > 1:
            first, second = corners[-2], corners[-1]
            if (y[second] - y[first]) * (x[here] - x[first]) > (y[here] - y[first]) * (x[second] - x[first]):
                break
            corners.pop()
        corners.append(here)
    return np.interp(x, x[corners], y[corners])
