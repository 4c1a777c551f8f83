"""Pixels at the ceiling of their sensor."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl.cubes import envi
from napari_hsi_ssl.cubes.cube import row_blocks
from napari_hsi_ssl.errors import ConfigError, CubeError
from napari_hsi_ssl.progress import Progress, Steps, run

_GLANCED: Final = 32
_CEILINGS: Final = (255, 1023, 4095, 16383, 32767, 65535)
_BITS: Final = ("bit depth", "bits", "adc bits", "sensor bits", "bits per sample")
_STATED: Final = ("ceiling", "saturation", "saturation value", "data maximum")


@dataclass(frozen=True, eq=False)
class Saturation:
    """Which pixels are saturated.

    Attributes
    ----------
    pixels : bool array (y, x)
        At the ceiling in at least one band.
    bands : int array (band,)
        How many pixels each band has there.
    ceiling : float or None
        None where nothing tells of one: fractions, or a largest value that no converter ends at.
    """

    pixels: NDArray[np.bool_]
    bands: NDArray[np.int64]
    ceiling: float | None


def saturated(cube: xr.DataArray, ceiling: float | None = None) -> NDArray[np.bool_]:
    """Return which pixels (y, x) of a raw cube are at the ceiling in some band; see `find_saturated`."""
    return run(find_saturated(cube, ceiling)).pixels


def find_saturated(cube: xr.DataArray, ceiling: float | None = None) -> Steps[Saturation]:
    """Find saturated pixels in raw numbers.

    Parameters
    ----------
    cube : DataArray (y, x, band)
        As it was recorded, not calibrated.
    ceiling : float, optional
        By default what the header states; else, for whole numbers, the largest value of the cube when that is a usual end of 8 to 16 bits.

    Raises
    ------
    ConfigError
        When the ceiling is not above zero.
    """
    if ceiling is not None and not ceiling > 0:
        raise ConfigError(f"--ceiling is {ceiling:g}, expected a number above 0, such as 4095 for 12 bits; correct it.")
    height, width, bands = (int(side) for side in cube.shape)
    # One pass: what is at the highest value seen so far is forgotten when a higher one comes.
    top, fixed = ceiling, ceiling is not None
    if top is None:
        top = stated_ceiling(cube)
        fixed = top is not None
    pixels, counts = np.zeros((height, width), dtype=bool), np.zeros(bands, dtype=np.int64)
    if not fixed and cube.dtype.kind not in "iu":
        return Saturation(pixels, counts, None)
    nodata = cube.attrs.get("nodata")
    highest = -np.inf if top is None else top
    for rows, block in row_blocks(cube):
        if not fixed:
            here = float(block.max() if nodata is None else np.where(block == nodata, 0, block).max())
            if here > highest:
                highest, pixels[:], counts[:] = here, False, 0
        at: NDArray[np.bool_] = np.greater_equal(block, highest)
        if nodata is not None:
            at &= block != nodata
        pixels[rows] = at.any(axis=2)
        counts += at.sum(axis=(0, 1))
        yield Progress(rows.stop, height, f"looking for saturated pixels in {cube.name}")
    if not fixed and highest not in _CEILINGS:
        return Saturation(np.zeros_like(pixels), np.zeros_like(counts), None)
    return Saturation(pixels, counts, float(highest))


def glance(cube: xr.DataArray, until: float) -> tuple[int, int, float] | None:
    """Look for saturated pixels in a few rows of a raw cube, for as long as there is time.

    Parameters
    ----------
    cube : DataArray (y, x, band)
        One that does not lie plainly on disk is not looked at: a single row of it may cost as much as the whole.
    until : float
        A time of `time.monotonic` after which no further row is read.

    Returns
    -------
    tuple or None
        How many pixels are saturated, of how many, and the ceiling; None where fewer than two are, or nothing tells of a ceiling.
    """
    if not isinstance(cube.data, np.ndarray):
        return None
    stated = stated_ceiling(cube)
    if stated is None and cube.dtype.kind not in "iu":
        return None
    nodata = cube.attrs.get("nodata")
    highest, count, seen = -np.inf if stated is None else stated, 0, 0
    for row in np.unique(np.linspace(0, cube.shape[0] - 1, _GLANCED).astype(int)):
        if time.monotonic() >= until:
            break
        line = np.asarray(cube.data[row])
        tops = (line if nodata is None else np.where(line == nodata, 0, line)).max(axis=1)
        top = float(tops.max())
        if stated is None and top > highest:
            highest, count = top, 0
        count += int(np.count_nonzero(tops >= highest))
        seen += len(tops)
    return (count, seen, float(highest)) if count > 1 and (stated is not None or highest in _CEILINGS) else None


def stated_ceiling(cube: xr.DataArray) -> float | None:
    """Return the ceiling that the ENVI header of a cube states, by itself or as a number of bits, or None."""
    path = cube.attrs.get("data_file") or cube.attrs.get("source")
    header_path = envi.find_header(Path(path)) if isinstance(path, str) else None
    if header_path is None:
        return None
    try:
        header = envi.parse_header(header_path)
        for key in _STATED:
            value = envi.number(header, key, header_path)
            if value is not None and value > 0:
                return value
        for key in _BITS:
            bits = envi.number(header, key, header_path)
            if bits is not None and 1 <= bits <= 32:
                return float(2 ** int(bits) - 1)
    except CubeError:
        return None
    return None
