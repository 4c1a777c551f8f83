"""Spectra prepared by a chain of steps: scatter correction, smoothing and derivatives, continuum removal, other bands; lazily for cubes.

Bad bands take no part in any step. Where the bands stay, a bad one is interpolated between its good neighbours' results, so that
nothing has holes, and stays marked as bad.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from napari_hsi_ssl.config import ChainConfig
from napari_hsi_ssl.config.chain import AbsorbanceStep, AnyStep, ContinuumStep, MeanStep, ResampleStep, SavgolStep, SnvStep
from napari_hsi_ssl.cubes.calibrate import resampling_matrix
from napari_hsi_ssl.cubes.cube import Quantity, as_cube, valid_pixels, wavelengths
from napari_hsi_ssl.errors import CubeError

Spectra = NDArray[np.float64]
Operation = Callable[[Spectra], Spectra]

_CHUNK_BYTES: Final = 32 * 2**20
_LEAST_REFLECTANCE: Final = 1e-4
_AT_ONCE: Final = 512
"""Spectra whose hulls are found in one call: their slopes are kept apart by whole numbers, which costs log2 of this many bits of 52."""
_IN_CACHE: Final = 1024
"""Spectra that are prepared together: their few MB stay in the processor's cache from step to step."""
_COLUMNS: Final = 16
_FWHM_IN_SIGMAS: Final = 2 * np.sqrt(2 * np.log(2))
_KEEPS_QUANTITY: Final = (SavgolStep, ResampleStep)


def preprocess(cube: xr.DataArray, chain: ChainConfig) -> xr.DataArray:
    """Prepare the spectra of a cube, lazily.

    Parameters
    ----------
    cube : DataArray (y, x, band)
    chain : ChainConfig
        An empty one returns the cube as it is.

    Returns
    -------
    DataArray (y, x, band)
        float32, dask-backed: a spectrum costs one spectrum, a band costs the spectra of its rows, because most steps need whole
        spectra. Pixels that were not measured (no number in a good band, or the ignore value in all of them) are NaN
        throughout, and there is no ignore value any more. ``bad_bands`` are those of the new bands.

    Raises
    ------
    CubeError
        When a step cannot be applied to this cube.
    """
    if not chain.steps:
        return cube
    plan = _Plan.of(int(cube.shape[2]), wavelengths(cube), cube.attrs.get("bad_bands"), chain, str(cube.name))
    source = _Prepared(cube.data, plan, cube.attrs.get("nodata"))
    rows = max(1, min(cube.shape[0], _CHUNK_BYTES // (8 * cube.shape[1] * max(cube.shape[2], plan.bands))))
    lazy = da.from_array(source, chunks=(rows, -1, -1), asarray=False, meta=np.empty((0, 0, 0), np.float32), name=False)
    gone = {"nodata", "bad_bands", "quantity"} | (set() if plan.same_bands else {"fwhm", "default_bands"})
    attrs: dict[str, Any] = {key: value for key, value in cube.attrs.items() if key not in gone}
    if plan.bad.any():
        attrs["bad_bands"] = plan.bad
    kept = all(isinstance(step, _KEEPS_QUANTITY) and not getattr(step, "deriv", 0) for step in chain.steps)
    quantity: Quantity = cube.attrs["quantity"] if kept else "unknown"
    result = as_cube(lazy, plan.wavelengths, quantity, str(cube.name), **attrs, chain=list(chain.texts()))
    if plan.same_bands and "source_band" in cube.coords:
        result = result.assign_coords(source_band=("band", np.asarray(cube.coords["source_band"].values)))
    return result


def preprocess_spectra(
    values: NDArray[np.floating], wavelength: NDArray[np.float64] | None, chain: ChainConfig, bad: NDArray[np.bool_] | None = None
) -> tuple[Spectra, NDArray[np.float64] | None]:
    """Prepare spectra in memory by the same chain.

    Parameters
    ----------
    values : array (…, band)
    wavelength : array (band,), optional
        nm, in any order.
    chain : ChainConfig
    bad : bool array (band,), optional
        Bands that take no part.

    Returns
    -------
    values : float64 array (…, new band)
        NaN throughout where a good band of the spectrum is no number.
    wavelength : float64 array (new band,) or None
    """
    spectra = np.asarray(values, dtype=np.float64)
    if not chain.steps:
        return spectra, wavelength
    plan = _Plan.of(spectra.shape[-1], wavelength, bad, chain, "the spectra")
    return plan(spectra), plan.wavelengths


@dataclass(frozen=True, eq=False)
class _Plan:
    """A chain made ready for one set of bands.

    Attributes
    ----------
    good : int array (g,)
        Good bands by rising position.
    operations : tuple of callable
        Each takes and gives float64 spectra (n, b).
    bands : int
        How many come out.
    wavelengths : float64 array (bands,) or None
    bad : bool array (bands,)
    same_bands : bool
        Whether the bands that come out are those that went in.
    positions : float64 array (B,)
        Of the bands that went in.
    """

    good: NDArray[np.intp]
    operations: tuple[Operation, ...]
    bands: int
    wavelengths: NDArray[np.float64] | None
    bad: NDArray[np.bool_]
    same_bands: bool
    positions: NDArray[np.float64]

    @classmethod
    def of(cls, bands: int, centres: NDArray[np.float64] | None, bad: Any, chain: ChainConfig, name: str) -> _Plan:  # noqa: ANN401 - flags or None
        flags = np.zeros(bands, dtype=bool) if bad is None else np.asarray(bad, dtype=bool)
        flags = np.zeros(bands, dtype=bool) if flags.shape != (bands,) or flags.all() else flags
        own = None if centres is None else np.asarray(centres, dtype=np.float64)
        start = np.arange(bands, dtype=np.float64) if own is None else own
        order = np.argsort(start, kind="stable")
        good = order[~flags[order]]
        places, same, bad_now = start[good], True, flags
        operations: list[Operation] = []
        for number, step in enumerate(chain.steps, start=1):
            where = f"step {number} ({step.kind}) of the chain on {name}"
            if isinstance(step, ResampleStep):
                span = start if same else places  # the first resampling may reach into bad bands, which stay bad
                target = _targets(step, None if own is None else span, where)
                operations.append(_linear(_resampling(step, places, target)))
                bad_now = _bad_at(target, start, bad_now)
                start, places, same = target, target, False
            else:
                operations.append(_operation(step, places, where))
        centres_now = own if same else places
        return cls(good, tuple(operations), bands if same else len(places), centres_now, bad_now, same, start)

    def __call__(self, spectra: Spectra) -> Spectra:
        """Prepare spectra (…, B), few enough at a time to stay in the processor's cache."""
        flat = spectra.reshape(-1, spectra.shape[-1])
        if len(flat) <= _IN_CACHE:
            return self._some(flat).reshape(*spectra.shape[:-1], self.bands)
        out = np.empty((len(flat), self.bands))
        for first in range(0, len(flat), _IN_CACHE):
            out[first : first + _IN_CACHE] = self._some(flat[first : first + _IN_CACHE])
        return out.reshape(*spectra.shape[:-1], self.bands)

    def _some(self, spectra: Spectra) -> Spectra:
        """Prepare spectra (n, B)."""
        in_order = np.array_equal(self.good, np.arange(spectra.shape[1]))
        flat = spectra if in_order else spectra[:, self.good]
        measured = np.isfinite(flat).all(axis=1)
        part = flat if measured.all() else flat[measured]
        for operation in self.operations:
            part = operation(part)
        if self.same_bands and len(self.good) < self.bands:
            part = self._filled(part)
        elif self.same_bands and not in_order:
            back = np.empty_like(part)
            back[:, self.good] = part
            part = back
        if not measured.all():
            whole = np.full((len(flat), self.bands), np.nan)
            whole[measured] = part
            part = whole
        return part

    def _filled(self, part: Spectra) -> Spectra:
        """Put results of the good bands (n, g) in their places, and what lies between them in those of the bad ones."""
        out = np.empty((len(part), self.bands))
        out[:, self.good] = part
        bad = np.flatnonzero(self.bad)
        places = self.positions[self.good]
        right = np.clip(np.searchsorted(places, self.positions[bad]), 0, len(places) - 1)
        left = np.clip(right - 1, 0, None)
        width = places[right] - places[left]
        share = np.clip(np.divide(self.positions[bad] - places[left], width, out=np.zeros(len(bad)), where=width > 0), 0, 1)
        out[:, bad] = part[:, left] * (1 - share) + part[:, right] * share
        return out


class _Prepared:
    """An array (y, x, band) that is prepared when it is sliced."""

    ndim = 3
    dtype = np.dtype(np.float32)

    def __init__(self, raw: Any, plan: _Plan, nodata: float | None) -> None:  # noqa: ANN401 - any array
        self._raw, self._plan, self._nodata = raw, plan, nodata
        self.shape: tuple[int, int, int] = (int(raw.shape[0]), int(raw.shape[1]), plan.bands)

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray[np.float32]:
        rows, columns, bands = [*key, slice(None), slice(None), slice(None)][:3]
        raw = np.asarray(self._raw[rows, columns, :])
        values = raw.astype(np.float64)
        if self._nodata is not None:
            values[~valid_pixels(np.nan_to_num(raw) if raw.dtype.kind == "f" else raw, self._nodata)] = np.nan
        with np.errstate(over="ignore"):
            return np.asarray(self._plan(values)[..., bands], dtype=np.float32)


# -- steps ------------------------------------------------------------------------------------------------------------------


def _operation(step: AnyStep, places: NDArray[np.float64], where: str) -> Operation:
    if isinstance(step, SnvStep):
        return snv
    if isinstance(step, MeanStep):
        return _over_mean
    if isinstance(step, AbsorbanceStep):
        return _absorbance
    if isinstance(step, ContinuumStep):
        return lambda spectra: remove_continuum(spectra, places)
    assert isinstance(step, SavgolStep)  # resampling changes the bands and is dealt with by the plan
    if len(places) < step.window:
        raise CubeError(f"{where}: the window is {step.window} bands, but only {len(places)} are good, expected no more than those; choose a smaller window.")
    return _linear(savgol_matrix(places, step.window, step.order, step.deriv))


def snv(spectra: Spectra) -> Spectra:
    """Return spectra (n, band) with mean 0 and standard deviation 1 (Barnes, Dhanoa and Lister 1989); flat ones become 0."""
    centred = spectra - spectra.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.einsum("ij,ij->i", centred, centred) / spectra.shape[1])[:, None]
    flat = spread <= 1e-12 * np.abs(spectra).max(axis=1, keepdims=True)
    centred /= np.where(flat, 1.0, spread)
    return np.asarray(np.where(flat, 0.0, centred))


def _over_mean(spectra: Spectra) -> Spectra:
    mean = spectra.mean(axis=1, keepdims=True)
    return np.asarray(spectra / np.where(mean != 0, mean, np.nan))


def _absorbance(spectra: Spectra) -> Spectra:
    """Return −log10 R; a reflectance below 0.0001, as noise gives it, counts as that."""
    return np.asarray(-np.log10(np.maximum(spectra, _LEAST_REFLECTANCE)))


def continuum(spectra: Spectra, places: NDArray[np.float64]) -> Spectra:
    """Return the upper convex hull of spectra (n, band) at rising positions (band,).

    The hull is the least concave function above a spectrum. Its slopes are the falling isotonic regression of the spectrum's own
    slopes, weighed by the distances of the bands (Barlow et al. 1972, the greatest convex minorant of cumulative sums), which
    takes one pass; many spectra go through one pass, kept apart by an offset to each.
    """
    unique, which = np.unique(places, return_inverse=True)
    if len(unique) < len(places):  # sensors that overlap: the higher of two values at one wavelength
        firsts = np.flatnonzero(np.diff(which, prepend=-1))
        return continuum(np.maximum.reduceat(spectra, firsts, axis=1), unique)[:, which]
    if len(unique) < 3:
        return spectra.copy()
    widths = np.diff(unique)
    hull = np.empty_like(spectra)
    for first in range(0, len(spectra), _AT_ONCE):
        part = spectra[first : first + _AT_ONCE]
        slopes = np.diff(part, axis=1) / widths
        low = slopes.min(axis=1, keepdims=True)
        span = slopes.max(axis=1, keepdims=True) - low
        span[span == 0] = 1.0
        apart = (slopes - low) / span + 2.0 * np.arange(len(part), 0, -1)[:, None]
        fitted = isotonic_regression(apart.ravel(), weights=np.tile(widths, len(part)), increasing=False).x.reshape(slopes.shape)
        fitted = (fitted - 2.0 * np.arange(len(part), 0, -1)[:, None]) * span + low
        hull[first : first + _AT_ONCE, 0] = part[:, 0]
        hull[first : first + _AT_ONCE, 1:] = part[:, :1] + np.cumsum(fitted * widths, axis=1)
        hull[first : first + _AT_ONCE, -1] = part[:, -1]
    return np.asarray(np.maximum(hull, spectra))


def remove_continuum(spectra: Spectra, places: NDArray[np.float64]) -> Spectra:
    """Divide spectra (n, band) by their upper convex hull (Clark and Roush 1984); NaN where the hull is not above zero."""
    hull = continuum(spectra, places)
    return np.asarray(np.divide(spectra, hull, out=np.full_like(spectra, np.nan), where=hull > 0))


def savgol_matrix(places: NDArray[np.float64], window: int, order: int, deriv: int) -> NDArray[np.float64]:
    """Return the matrix (band, band) that smooths or derives by local polynomials (Savitzky and Golay 1964).

    Parameters
    ----------
    places : array (band,)
        Rising positions, in nm or band numbers; their spacing may vary. Each output is the fitted polynomial's value or derivative
        at its own position, per unit of it (Gorry 1991). The first and last bands use the first and last whole window, as
        scipy's ``mode="interp"`` does.
    window, order, deriv : int

    Returns
    -------
    float64 array (band, band)
    """
    count, half = len(places), window // 2
    matrix = np.zeros((count, count))
    firsts = np.clip(np.arange(count) - half, 0, count - window)
    inside = places[firsts[:, None] + np.arange(window)] - places[:, None]
    scale = np.abs(inside).max(axis=1)
    scale[scale == 0] = 1.0
    powers = (inside / scale[:, None])[..., None] ** np.arange(order + 1)
    weights: NDArray[np.float64] = np.linalg.pinv(powers)[:, deriv] * (1.0, 1.0, 2.0)[deriv] / scale[:, None] ** deriv
    np.put_along_axis(matrix, firsts[:, None] + np.arange(window), weights, axis=1)
    return matrix


def _targets(step: ResampleStep, places: NDArray[np.float64] | None, where: str) -> NDArray[np.float64]:
    if places is None:
        raise CubeError(f"{where}: the bands have no wavelengths, expected nm for each; add them to the header or take the step out.")
    target = step.start + step.step * np.arange(int(np.floor((step.stop - step.start) / step.step + 1e-9)) + 1)
    low, high = float(places.min()), float(places.max())
    slack = 1e-6 * (high - low)
    if target[0] < low - slack or target[-1] > high + slack:
        raise CubeError(f"{where}: {target[0]:g}–{target[-1]:g} nm was asked for, but the bands span {low:g}–{high:g} nm; choose a range within that.")
    if len(target) < 2:
        raise CubeError(f"{where}: a step of {step.step:g} nm leaves one band, expected at least two; choose a smaller step.")
    return np.asarray(target, dtype=np.float64)


def _resampling(step: ResampleStep, places: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix (new band, band)."""
    linear = resampling_matrix(places, target, "wavelength")
    if step.method == "linear":
        return linear
    unique, which, repeats = np.unique(places, return_inverse=True, return_counts=True)
    sigma = (step.fwhm or step.step) / _FWHM_IN_SIGMAS
    # Bands that lie close together must not count for more: each stands for the stretch that is nearest to it.
    stretch = (np.gradient(unique) if len(unique) > 1 else np.ones(1))[which] / repeats[which]
    weights = np.exp(-0.5 * ((target[:, None] - places) / sigma) ** 2) * stretch
    total = weights.sum(axis=1, keepdims=True)
    # A Gaussian narrower than the bands' spacing meets none of them.
    met = np.abs(target[:, None] - places).min(axis=1, keepdims=True) <= sigma * _FWHM_IN_SIGMAS / 2
    return np.asarray(np.where(met, np.divide(weights, total, out=np.zeros_like(weights), where=total > 0), linear), dtype=np.float64)


def _bad_at(target: NDArray[np.float64], places: NDArray[np.float64], bad: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which new bands are bad: those whose nearest old band is."""
    if not bad.any():
        return np.zeros(len(target), dtype=bool)
    return np.asarray(bad[np.abs(target[:, None] - places).argmin(axis=1)])


def _linear(matrix: NDArray[np.float64]) -> Operation:
    """Return an operation that multiplies by a matrix (out, in), most of which lies along its diagonal."""
    parts = []
    for first in range(0, len(matrix), _COLUMNS):
        rows = matrix[first : first + _COLUMNS]
        used = np.flatnonzero(rows.any(axis=0))
        span = slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 1)
        parts.append((slice(first, first + len(rows)), span, np.ascontiguousarray(rows[:, span].T)))

    def operation(spectra: Spectra) -> Spectra:
        out = np.empty((len(spectra), len(matrix)))
        for columns, span, weights in parts:
            out[:, columns] = spectra[:, span] @ weights
        return out

    return operation
