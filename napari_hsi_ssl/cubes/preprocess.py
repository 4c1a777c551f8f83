"""Spectra prepared by a chain of steps: as plain arrays, or lazily for a whole cube.

Linear steps (Savitzky-Golay, resampling) are matrices, so they are exact on uneven wavelengths and cost one product. Bad bands never
take part: they are left out of every step, and get values interpolated from their neighbours at the end, still called bad.
"""

from __future__ import annotations

from typing import Any, Final

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from numpy.typing import ArrayLike, NDArray

from napari_hsi_ssl.config import Absorbance, ChainConfig, Continuum, Normalise, Resample, Savgol, Snv
from napari_hsi_ssl.config.chain import Step, step_text
from napari_hsi_ssl.cubes.calibrate import resampling_matrix
from napari_hsi_ssl.cubes.continuum import remove_continuum
from napari_hsi_ssl.cubes.cube import as_cube, wavelengths
from napari_hsi_ssl.errors import CubeError

Positions = NDArray[np.float64]
_ROWS_BYTES: Final = 64 * 2**20
_GAP: Final = 4.0
"""Neighbours further apart than this many times the usual distance are not smoothed across."""
_KEEPS_QUANTITY: Final = (Savgol, Resample)


def preprocess_spectra(
    values: ArrayLike, wavelength: Positions | None, chain: ChainConfig, bad: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float32], Positions | None]:
    """Apply a chain to spectra.

    Parameters
    ----------
    values : array (…, band)
        A spectrum with a value that is not finite in a band that is used comes out as NaN.
    wavelength : float64 array (band,), optional
        nm, ascending.
    chain : ChainConfig
    bad : bool array (band,), optional
        Bands that are left out of every step.

    Returns
    -------
    values : float32 array (…, band')
    wavelength : float64 array (band',) or None

    Raises
    ------
    CubeError
        When a step does not fit the bands: too few for the window, or no wavelengths to resample by.
    """
    plan = Plan(np.shape(values)[-1], wavelength, chain, bad)
    return plan.apply(np.asarray(values)), plan.wavelength


class Plan:
    """A chain made ready for spectra of one kind of bands.

    Attributes
    ----------
    bands : int
        How many come out.
    wavelength : float64 array (bands,) or None
        nm of what comes out.
    bad : bool array (bands,)
        Which of them are bad.
    """

    def __init__(self, bands: int, wavelength: Positions | None, chain: ChainConfig, bad: NDArray[np.bool_] | None = None, name: str = "the spectra") -> None:
        flags = np.zeros(bands, dtype=bool) if bad is None else np.asarray(bad, dtype=bool)
        # As everywhere: when all bands are called bad, none is.
        self._used = np.ones(bands, dtype=bool) if flags.all() else ~flags
        self._chain = chain
        self._matrices: dict[int, NDArray[np.float32]] = {}
        self._positions: dict[int, Positions] = {}
        positions = None if wavelength is None else np.asarray(wavelength, dtype=np.float64)
        kept = None if positions is None else positions[self._used]
        places = np.flatnonzero(self._used).astype(np.float64)
        resampled = False
        for number, step in enumerate(chain.steps):
            count = len(places)
            if isinstance(step, Savgol):
                if count < step.window:
                    raise CubeError(f"{name}: step savgol needs a window of {step.window} bands, but {count} are usable; lower its window.")
                self._matrices[number] = savgol_matrix(places if kept is None else kept, step).astype(np.float32)
            elif isinstance(step, Continuum):
                self._positions[number] = places if kept is None else kept
            elif isinstance(step, Resample):
                if kept is None:
                    raise CubeError(f"{name} has no wavelengths, so step resample does not know its bands; add them to the header or leave the step out.")
                grid = _grid(kept, step, name)
                self._matrices[number] = _resampling(kept, grid, step).astype(np.float32)
                kept, places, resampled = grid, np.arange(len(grid), dtype=np.float64), True
        if resampled:
            self.wavelength, self.bad, self._fill = kept, np.zeros(len(places), dtype=bool), None
        else:
            self.wavelength, self.bad = positions, ~self._used
            axis = np.arange(bands, dtype=np.float64) if positions is None else positions
            self._fill = resampling_matrix(axis, axis[self.bad], "wavelength", bad=self.bad)[:, self._used].astype(np.float32) if self.bad.any() else None
        self.bands = len(self.bad)

    def apply(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return prepared spectra (…, bands) of spectra (…, band)."""
        result = np.asarray(values, dtype=np.float32)
        if not self._used.all():
            result = result[..., self._used]
        for number, step in enumerate(self._chain.steps):
            if number in self._matrices:
                result = result @ self._matrices[number].T
            elif number in self._positions:
                result = remove_continuum(result, self._positions[number])
            else:
                result = _apply(step, result)
        if self._fill is None:
            return np.ascontiguousarray(result, dtype=np.float32)
        whole = np.empty((*result.shape[:-1], self.bands), dtype=np.float32)
        whole[..., ~self.bad] = result
        whole[..., self.bad] = result @ self._fill.T
        return whole


def _apply(step: Step, values: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if isinstance(step, Snv):
            centred = values - values.mean(axis=-1, keepdims=True)
            spread = centred.std(axis=-1, keepdims=True)
            return np.asarray(np.divide(centred, spread, out=np.where(np.isfinite(spread), 0, np.nan) * np.ones_like(centred), where=spread > 0))
        if isinstance(step, Normalise):
            level = values.mean(axis=-1, keepdims=True) if step.by == "mean" else np.linalg.norm(values, axis=-1, keepdims=True)
            return np.where(level == 0, np.float32(np.nan), values / level).astype(np.float32)
        if isinstance(step, Absorbance):
            return np.where(values > 0, -np.log10(values), np.float32(np.nan)).astype(np.float32)
    raise TypeError(step)


def savgol_matrix(positions: Positions, step: Savgol) -> NDArray[np.float64]:
    """Return the matrix (band, band) of local polynomial fits at given band positions.

    Around each band the ``window`` nearest bands on both sides are fitted; at an end, and beside a gap (a removed absorption, say), the
    last whole window. On even spacing this is `scipy.signal.savgol_filter` with ``mode="interp"``; a derivative is per unit of position.

    Parameters
    ----------
    positions : float64 array (band,)
        Ascending, nm or band numbers.
    step : Savgol
    """
    count = len(positions)
    matrix = np.zeros((count, count))
    for part in _stretches(positions):
        inside = positions[part]
        length = len(inside)
        window = min(step.window, length)
        for band in range(length):
            first = min(max(0, band - step.window // 2), length - window)
            near = inside[first : first + window] - inside[band]
            scale = float(np.abs(near).max()) or 1.0
            order = min(step.order, len(np.unique(near)) - 1)
            if order < step.deriv:
                continue  # too few bands between two gaps to tell a slope: it counts as zero
            fit = np.linalg.pinv(np.vander(near / scale, order + 1, increasing=True))
            matrix[part.start + band, part.start + first : part.start + first + window] = fit[step.deriv] * (1, 1, 2)[step.deriv] / scale**step.deriv
    return matrix


def _stretches(positions: Positions) -> list[slice]:
    """Return the runs of bands without a gap between them."""
    apart = np.diff(positions)
    usual = float(np.median(apart[apart > 0])) if (apart > 0).any() else 1.0
    ends = [*(np.flatnonzero(apart > _GAP * usual) + 1).tolist(), len(positions)]
    return [slice(start, stop) for start, stop in zip([0, *ends], ends, strict=False)]


def _grid(centres: Positions, step: Resample, name: str) -> Positions:
    start = float(centres.min()) if step.start is None else step.start
    stop = float(centres.max()) if step.stop is None else step.stop
    low, high = max(start, float(centres.min())), min(stop, float(centres.max()))
    if start > high or stop < low:
        there = f"{centres.min():g} to {centres.max():g} nm"
        raise CubeError(f"{name}: step resample asks for {start:g} to {stop:g} nm, but its bands lie at {there}; choose other ends.")
    # Nothing is invented outside of what was measured.
    first = start + step.step * np.ceil((low - start) / step.step - 1e-9)
    grid = np.arange(first, high + 1e-9 * step.step, step.step)
    if len(grid) < 2:
        raise CubeError(f"{name}: step resample leaves {len(grid)} band(s) between {low:g} and {high:g} nm; lower its step of {step.step:g} nm.")
    return np.asarray(grid, dtype=np.float64)


def _resampling(centres: Positions, grid: Positions, step: Resample) -> NDArray[np.float64]:
    if step.fwhm is None:
        return resampling_matrix(centres, grid, "wavelength")
    width = step.fwhm / (2 * np.sqrt(2 * np.log(2)))
    # Each band stands for the stretch of the spectrum up to half way to its neighbours.
    share = np.gradient(centres) if len(centres) > 1 else np.ones(1)
    weights = np.exp(-0.5 * ((grid[:, None] - centres) / width) ** 2) * np.maximum(share, 1e-12)
    total = weights.sum(axis=1, keepdims=True)
    lost = (total <= 1e-12 * np.maximum(share, 1e-12).max()).ravel()  # a response narrower than the bands' distance sees none of them
    weights[~lost] /= total[~lost]
    weights[lost] = resampling_matrix(centres, grid[lost], "wavelength")
    return np.asarray(weights)


def preprocess(cube: xr.DataArray, chain: ChainConfig) -> xr.DataArray:
    """Return a cube whose spectra are prepared when they are read.

    Parameters
    ----------
    cube : DataArray (y, x, band)
        With its ``bad_bands`` and ``nodata``.
    chain : ChainConfig

    Returns
    -------
    DataArray (y, x, band')
        float32, dask-backed; one spectrum reads one spectrum, one band reads all bands of its pixels. Pixels with the ignore
        value are NaN. The same cube when the chain is empty.

    Raises
    ------
    CubeError
        When a step does not fit the cube's bands.
    """
    if not chain.steps:
        return cube
    plan = Plan(int(cube.shape[2]), wavelengths(cube), chain, cube.attrs.get("bad_bands"), str(cube.name))
    source = _Prepared(cube.data, plan, cube.attrs.get("nodata"))
    rows = max(1, min(cube.shape[0], _ROWS_BYTES // (4 * cube.shape[1] * plan.bands)))
    name = "prepared-" + tokenize(str(cube.attrs.get("source")), id(source))
    lazy = da.from_array(source, chunks=(rows, -1, -1), asarray=False, meta=np.empty((0, 0, 0), np.float32), name=name)
    dropped = {"nodata", "bad_bands"} | ({"fwhm", "default_bands"} if plan.bands != cube.shape[2] else set())
    attrs = {key: value for key, value in cube.attrs.items() if key not in dropped}
    same = all(isinstance(step, _KEEPS_QUANTITY) and not getattr(step, "deriv", 0) for step in chain.steps)
    attrs["quantity"] = cube.attrs["quantity"] if same else "unknown"
    if plan.bad.any():
        attrs["bad_bands"] = plan.bad
    attrs["preprocessing"] = ", ".join(step_text(step) for step in chain.steps)
    return as_cube(lazy, plan.wavelength, name=str(cube.name), **attrs)


class _Prepared:
    """An array (y, x, band) that is prepared when it is sliced."""

    ndim = 3
    dtype = np.dtype(np.float32)

    def __init__(self, raw: Any, plan: Plan, nodata: float | None) -> None:  # noqa: ANN401 - any array
        self._raw, self._plan, self._nodata = raw, plan, nodata
        self.shape: tuple[int, int, int] = (int(raw.shape[0]), int(raw.shape[1]), plan.bands)

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray[np.float32]:
        ys, xs, bands = key
        raw = np.asarray(self._raw[ys, xs])
        values = self._plan.apply(raw)
        if self._nodata is not None:
            values[(raw == self._nodata).all(axis=-1)] = np.nan
        return np.asarray(values[..., bands])
