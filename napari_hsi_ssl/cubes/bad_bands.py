"""Which bands carry no signal: by the header, dead, noisy, or where water vapour leaves no light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from napari_hsi_ssl.cubes.cube import valid_pixels, wavelengths
from napari_hsi_ssl.errors import CubeError
from napari_hsi_ssl.progress import Progress, Steps

Water = Literal["auto", "yes", "no"]

WATER: Final = ((1350.0, 1430.0), (1800.0, 1970.0), (2450.0, np.inf))
"""nm where water vapour absorbs nearly all sunlight (Gao, Montes, Davis and Goetz 2009, doi:10.1016/j.rse.2007.12.015)."""

_PAIRS: Final = 20_000
_NEIGHBOURS: Final = 31
_TIMES: Final = 3.0
_SPREADS: Final = 6.0
_LEAST_SNR: Final = 2.0
_GOOD_SNR: Final = 50.0
"""A band with less noise than 2 % of its signal is as good as those of most scenes, however quiet its neighbours are."""
_WATER_SHARE: Final = 1 / 3


@dataclass(frozen=True, eq=False)
class BandReport:
    """How good every band of a cube is.

    Attributes
    ----------
    reasons : tuple of str, one a band
        "" for a good band, else ``header``, ``dead``, ``noisy`` or ``water``; the first that holds.
    signal, noise, snr : float64 arrays (band,)
        Median of the absolute values, standard deviation of the noise, and their ratio (0 where dead).
    wavelengths : float64 array (band,) or None
    """

    reasons: tuple[str, ...]
    signal: NDArray[np.float64]
    noise: NDArray[np.float64]
    snr: NDArray[np.float64]
    wavelengths: NDArray[np.float64] | None

    @property
    def bad(self) -> tuple[int, ...]:
        """The bands, counted from 0, with a reason."""
        return tuple(band for band, reason in enumerate(self.reasons) if reason)


def find_bad_bands(cube: xr.DataArray, area: NDArray[np.bool_] | None = None, water: Water = "auto") -> Steps[BandReport]:
    """Judge the bands of a cube.

    Parameters
    ----------
    cube : DataArray (y, x, band)
    area : bool array (y, x), optional
        Pixels that count; about 20,000 pairs of neighbours in it, spread over the rows, are read.
    water : {"auto", "yes", "no"}
        Call the windows of water vapour bad. ``auto`` does it for a window whose median signal-to-noise ratio is below 50 and less
        than a third of that of all bands, as sunlight gives it and lamps do not.

    Returns
    -------
    BandReport
        Noise is what the difference of two neighbouring pixels has beyond what the bands on either side explain by least squares
        (after Roger and Arnold 1996), so that neither texture nor the shape of the spectra counts. A band is noisy when its noise,
        relative to its signal, is above 2 % and stands out of the median of the 31 bands around it by three times and by six robust
        standard deviations, or when its signal is under twice its noise.

    Raises
    ------
    CubeError
        When too few pixels are measured.
    """
    height, width, bands = (int(side) for side in cube.shape)
    inside = np.ones((height, width), dtype=bool) if area is None else np.asarray(area, dtype=bool)
    if inside.shape != (height, width):
        raise CubeError(f"bad bands of {cube.name}: the mask has shape {inside.shape}, expected {(height, width)}; use a mask made for this cube.")
    nodata = cube.attrs.get("nodata")
    stated = np.asarray(cube.attrs.get("bad_bands", np.zeros(bands)), dtype=bool)
    stated = stated if stated.shape == (bands,) else np.zeros(bands, dtype=bool)
    differences, samples, taken = [], [], 0
    usable = np.flatnonzero(inside.any(axis=1))
    step = max(1, len(usable) * max(width - 1, 1) // _PAIRS)
    for number, row in enumerate(usable[::step]):
        line = np.asarray(cube.data[int(row)])
        good = inside[row] & valid_pixels(np.nan_to_num(line) if line.dtype.kind == "f" else line, nodata)
        values = line.astype(np.float64)
        pairs = good[1:] & good[:-1]
        differences.append((values[1:] - values[:-1])[pairs])
        samples.append(values[good][:: max(1, int(good.sum()) // 200)])
        taken += int(pairs.sum())
        yield Progress(number + 1, len(usable[::step]), f"judging the bands of {cube.name}")
    if taken < 30:
        raise CubeError(f"bad bands of {cube.name}: its mask holds {taken} pairs of measured neighbours, expected at least 30; use a larger mask.")
    return judge_bands(np.concatenate(samples), np.concatenate(differences), stated, wavelengths(cube), water)


def judge_bands(
    sample: NDArray[np.float64], differences: NDArray[np.float64], stated: NDArray[np.bool_], centres: NDArray[np.float64] | None, water: Water = "auto"
) -> BandReport:
    """Judge bands by a sample of spectra (n, band) and differences of neighbouring pixels (m, band); see `find_bad_bands`."""
    bands = sample.shape[1]
    finite = np.isfinite(sample).all(axis=0) & np.isfinite(differences).all(axis=0)
    sample, differences = np.where(finite, sample, 0.0), np.where(finite, differences, 0.0)
    dead = ~finite | (np.ptp(sample, axis=0) == 0) & (np.ptp(differences, axis=0) == 0)
    signal = np.median(np.abs(sample), axis=0)
    noise = np.zeros(bands)
    alive = np.flatnonzero(~dead)
    noise[alive] = _noise(differences[:, alive])
    snr = np.divide(signal, noise, out=np.zeros(bands), where=noise > 0)
    noisy = np.zeros(bands, dtype=bool)
    judged = np.flatnonzero(~dead & ~stated & (noise > 0))
    if len(judged) >= 5:
        with np.errstate(divide="ignore"):
            relative = np.log(noise[judged]) - np.log(np.maximum(signal[judged], 1e-3 * np.median(signal[judged]) + 1e-300))
        above = relative - median_filter(relative, min(_NEIGHBOURS, len(judged)), mode="nearest")
        spread = 1.4826 * np.median(np.abs(above - np.median(above)))
        noisy[judged] = (above > max(np.log(_TIMES), _SPREADS * spread)) & (snr[judged] < _GOOD_SNR)
    noisy |= ~dead & (noise > 0) & (snr < _LEAST_SNR)
    wet = _wet(centres, snr, dead, water)
    reasons = tuple("header" if stated[b] else "dead" if dead[b] else "water" if wet[b] else "noisy" if noisy[b] else "" for b in range(bands))
    return BandReport(reasons, signal, noise, snr, centres)


def _noise(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the noise (band,) that differences (m, band) have beyond what their neighbours among the bands explain."""
    bands = differences.shape[1]
    spread = 1.4826 * np.median(np.abs(differences - np.median(differences, axis=0)), axis=0)
    limit = 5 * np.where(spread > 0, spread, differences.std(axis=0))
    clipped = np.clip(differences, -limit, limit)  # edges of objects are not noise
    clipped -= clipped.mean(axis=0)
    variance = np.einsum("ij,ij->j", clipped, clipped) / len(clipped)
    if bands < 3:
        return np.asarray(np.sqrt(variance / 2))
    residual = np.empty(bands)
    covariance = clipped.T @ clipped / len(clipped)
    for band in range(bands):
        beside = [band - 1, band + 1] if 0 < band < bands - 1 else [1, 2] if band == 0 else [bands - 2, bands - 3]
        inner, outer = covariance[np.ix_(beside, beside)], covariance[beside, band]
        explained = outer @ np.linalg.pinv(inner, hermitian=True) @ outer
        residual[band] = max(variance[band] - explained, 1e-12 * variance[band])
    return np.asarray(np.sqrt(residual / 2))


def _wet(centres: NDArray[np.float64] | None, snr: NDArray[np.float64], dead: NDArray[np.bool_], water: Water) -> NDArray[np.bool_]:
    wet = np.zeros(len(snr), dtype=bool)
    if centres is None or water == "no":
        return wet
    usual = float(np.median(snr[~dead])) if (~dead).any() else 0.0
    for low, high in WATER:
        window = (centres >= low) & (centres <= high)
        if window.any() and (water == "yes" or float(np.median(snr[window])) < min(_WATER_SHARE * usual, _GOOD_SNR)):
            wet |= window
    return wet


def parse_bands(text: str, bands: int, option: str = "--set") -> tuple[int, ...]:
    """Return the bands of a text such as ``0-5,104-108``; none of an empty one.

    Raises
    ------
    CubeError
        When it is none, or names a band that the cube does not have.
    """
    found: set[int] = set()
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        first, sign, last = (piece.strip() for piece in part.partition("-"))
        if not first.isdecimal() or (sign and not last.isdecimal()) or (sign and int(last) < int(first)):
            raise CubeError(f"{option}: '{part}' is no band and no range of bands, expected such as 0-5,104-108; correct it.")
        end = int(last) if sign else int(first)
        if end >= bands:
            raise CubeError(f"{option}: there is no band {end}, expected 0 to {bands - 1}; bands count from 0.")
        found.update(range(int(first), end + 1))
    return tuple(sorted(found))


def band_text(bands: Any) -> str:  # noqa: ANN401 - any whole numbers
    """Return bands as a short text such as ``0-5,104-108``."""
    ordered = sorted(int(band) for band in bands)
    runs: list[list[int]] = []
    for band in ordered:
        if runs and band == runs[-1][1] + 1:
            runs[-1][1] = band
        else:
            runs.append([band, band])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
