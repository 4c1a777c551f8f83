"""Spectra of regions, and how alike two spectra are."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from napari_hsi_ssl.errors import CubeError
from napari_hsi_ssl.explore.chunks import Chunk, map_chunks
from napari_hsi_ssl.explore.sources import band_use


def mean_spectrum(cube: xr.DataArray, mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the standard deviation of the measured spectra in a mask, read a few rows at a time.

    Parameters
    ----------
    cube : DataArray (y, x, band)
    mask : bool array (y, x)

    Returns
    -------
    mean, std : arrays (band,)
        In the cube's units, the deviation with the denominator n; NaN in bad bands.

    Raises
    ------
    CubeError
        When the mask has another shape or no measured pixel.
    """
    if mask.shape != cube.shape[:2]:
        raise CubeError(f"{cube.name}: the mask has shape {mask.shape}, expected {cube.shape[:2]} (y, x); use one made for this cube.")
    used = band_use(cube)
    # About the first measured spectrum, so that a large level costs no digits of the deviation.
    shift = next((part[0] for part in map_chunks(cube, mask, lambda chunk: chunk.spectra, used) if len(part)), np.zeros(used.sum()))
    total, squares, count = np.zeros(used.sum()), np.zeros(used.sum()), 0
    for apart in map_chunks(cube, mask, lambda chunk: chunk.spectra - shift, used):
        total += apart.sum(axis=0)
        squares += np.einsum("nb,nb->b", apart, apart)
        count += len(apart)
    if count == 0:
        raise CubeError(f"{cube.name}: no pixel of the mask was measured, expected at least one; choose another region.")
    mean, std = np.full(used.size, np.nan), np.full(used.size, np.nan)
    mean[used] = shift + total / count
    std[used] = np.sqrt(np.clip(squares / count - (total / count) ** 2, 0, None))
    return mean, std


def spectral_angle(cube: xr.DataArray, reference: ArrayLike) -> NDArray[np.float32]:
    """Return the angle (y, x) in radians between every spectrum and a reference, blind to brightness (Kruse et al. 1993).

    Parameters
    ----------
    cube : DataArray (y, x, band)
        Bad bands are left out.
    reference : array (band,)

    Returns
    -------
    float32 array (y, x)
        0 … π; NaN where the pixel was not measured or is zero in every band.

    Raises
    ------
    CubeError
        When the reference has another number of bands, or is zero or not finite in those used.
    """
    direction = np.asarray(reference, dtype=np.float64)
    used = band_use(cube)
    if direction.shape != used.shape:
        raise CubeError(f"{cube.name}: the reference spectrum has {direction.size} bands, expected {used.size}; resample it first.")
    direction = direction[used]
    length = float(np.linalg.norm(direction))
    if not np.isfinite(length) or length == 0:
        raise CubeError(f"{cube.name}: the reference spectrum is zero or not finite, expected a measured spectrum; choose another pixel.")
    angles = np.full(cube.shape[0] * cube.shape[1], np.nan, dtype=np.float32)

    def fill(chunk: Chunk) -> None:
        lengths = np.sqrt(np.einsum("nb,nb->n", chunk.spectra, chunk.spectra)) * length
        cosine = np.divide(chunk.spectra @ direction, lengths, out=np.full(len(lengths), np.nan), where=lengths > 0)
        angles[chunk.pixels] = np.arccos(np.clip(cosine, -1.0, 1.0))

    for _ in map_chunks(cube, np.ones(cube.shape[:2], dtype=bool), fill, used):
        pass
    return angles.reshape(cube.shape[:2])
