"""How spectra are looked at: as they are, or with brightness or the continuum taken out."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.config import ChainConfig
from napari_hsi_ssl.cubes.preprocess import preprocess_spectra

RAW, SNV, CONTINUUM = "raw", "snv", "continuum"
VIEWS: Final = {RAW: "As measured", SNV: "SNV", CONTINUUM: "Continuum removed"}
HINTS: Final = {
    RAW: "Values as they are in the cube",
    SNV: "Each spectrum minus its mean, divided by its deviation: shapes beside each other, whatever the brightness",
    CONTINUUM: "Each spectrum divided by its upper hull: absorption bands alone",
}

_CHAINS: Final = {SNV: ChainConfig.model_validate({"steps": [{"kind": "snv"}]}), CONTINUUM: ChainConfig.model_validate({"steps": [{"kind": "continuum"}]})}
_FEWEST = 3


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
    finite = np.isfinite(rows)
    found = np.full(rows.shape, np.nan)
    for known in np.unique(finite, axis=0):
        if known.sum() < _FEWEST:
            continue
        same = np.flatnonzero((finite == known).all(axis=1))
        shown, _ = preprocess_spectra(rows[same], wavelengths, _CHAINS[view], ~known)
        found[np.ix_(same, known)] = shown[:, known]
    return found.reshape(spectra.shape)
