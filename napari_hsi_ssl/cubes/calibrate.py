"""White and dark references, and the matrices that bring every camera's bands to one grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl.cubes.cube import as_cube, row_blocks
from napari_hsi_ssl.errors import ConfigError, CubeError

Grid = Literal["index", "wavelength"]


Exposures = tuple[float | None, float | None, float | None]


def calibrate(
    cube: xr.DataArray,
    white: xr.DataArray | None = None,
    dark: xr.DataArray | None = None,
    *,
    panel: float | NDArray[np.float64] | None = None,
    exposure: Exposures | None = None,
) -> xr.DataArray:
    """Turn raw counts into reflectance, lazily: ``panel × (raw − dark) / (white − dark) × t_white / t_raw``.

    Parameters
    ----------
    cube : DataArray (y, x, band)
        Raw digital numbers.
    white, dark : DataArray (y, x, band), optional
        One frame or one line of the white panel and of the closed shutter. They are averaged over their lines, so that every
        column of the sensor keeps its own value; one that is a single column wide counts for every column. Without ``dark`` it
        counts as zero.
    panel : float or array (band,), optional
        Reflectance of the white panel itself; 1 by default.
    exposure : (float or None, float or None, float or None), optional
        Exposure times of cube, white and dark in one unit. Light counts in proportion to the exposure, and so does the dark
        signal; where one of two times is unknown they count as equal.

    Returns
    -------
    DataArray (y, x, band)
        float32, dask-backed; only what is sliced out is read and calculated. Bands in which white is not brighter than dark in any
        column become bad bands, columns in which it is not in any band become NaN and are listed in ``dead_columns``. Its quantity
        is ``reflectance`` with a white reference and unchanged without one (only the dark signal is taken off). Values equal to the
        cube's ignore value stay as they are, so that unmeasured pixels remain recognisable.

    Raises
    ------
    CubeError
        When a reference has another width or number of bands, or the white one is not brighter than the dark one.
    ConfigError
        When an exposure is not above zero.
    """
    if white is None and dark is None:
        return cube
    times = exposure or (None, None, None)
    if any(time is not None and not time > 0 for time in times):
        raise ConfigError(f"exposure of {cube.name} is {', '.join(map(str, times))}, expected times above 0 of cube, white and dark; correct --exposure.")
    of_cube, of_white, of_dark = times
    shadow = np.zeros((1, *cube.shape[1:])) if dark is None else _line(cube, dark, "dark")
    offset = shadow * _ratio(of_cube, of_dark)
    gain = np.ones_like(offset)
    bad_bands, dead_columns = cube.attrs.get("bad_bands"), np.zeros(cube.shape[1], dtype=bool)
    if white is not None:
        span = _line(cube, white, "white") - shadow * _ratio(of_white, of_dark)
        unusable = ~(np.isfinite(span) & (span > 0))
        # A band without light in any column is dead and joins the bad bands, a column without light in any band is left out;
        # a band that fails in some columns would leave stripes.
        dead = unusable.all(axis=1, keepdims=True)
        dead_columns = (unusable | dead)[0].all(axis=1) & ~dead.all()
        stripes = unusable if dead.all() else unusable & ~dead & ~dead_columns[None, :, None]
        if stripes.any():
            _, column, band = (int(place[0]) for place in np.nonzero(stripes))
            raise CubeError(
                f"white reference of {cube.name} ({white.name}) is not brighter than the dark one in {int(stripes.sum())} places, the first "
                f"column {column}, band {band}, expected white > dark everywhere; record it again or check --white and --dark."
            )
        if dead.any():
            bad_bands = np.asarray(cube.attrs.get("bad_bands", np.zeros(dead.size)), dtype=bool) | dead.ravel()
        gain = np.divide(_ratio(of_white, of_cube), span, out=np.zeros_like(span), where=~unusable)
        gain = gain * (1.0 if panel is None else np.asarray(panel, dtype=np.float64))
        gain[:, dead_columns] = np.nan
    source = _Calibrated(cube.data, offset.astype(np.float32), gain.astype(np.float32), cube.attrs.get("nodata"))
    rows = max(1, min(cube.shape[0], 64 * 2**20 // (4 * cube.shape[1] * cube.shape[2])))
    # dask pushes a slice down into the source's __getitem__, so one band or one spectrum costs one band or one spectrum.
    lazy = da.from_array(source, chunks=(rows, -1, -1), asarray=False, meta=np.empty((0, 0, 0), np.float32), name=False)
    result = cube.copy(data=lazy)
    found = {} if bad_bands is None else {"bad_bands": bad_bands}
    if dead_columns.any():
        found["dead_columns"] = np.flatnonzero(dead_columns)
    result.attrs = {**cube.attrs, **found}
    return as_cube(result, quantity="reflectance" if white is not None else cube.attrs["quantity"], name=str(cube.name))


def _ratio(first: float | None, second: float | None) -> float:
    return 1.0 if first is None or second is None else first / second


class _Calibrated:
    """An array (y, x, band) that is calibrated when it is sliced."""

    ndim = 3
    dtype = np.dtype(np.float32)

    def __init__(self, raw: Any, offset: NDArray[np.float32], gain: NDArray[np.float32], nodata: float | None) -> None:  # noqa: ANN401 - any array
        self._raw, self._offset, self._gain, self._nodata = raw, offset, gain, nodata
        self.shape: tuple[int, int, int] = tuple(raw.shape)

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray[np.float32]:
        raw = np.asarray(self._raw[key])
        line = (0 if isinstance(key[0], int | np.integer) else slice(None), *key[1:])
        values = (raw.astype(np.float32) - self._offset[line]) * self._gain[line]
        if self._nodata is not None:
            np.copyto(values, np.float32(self._nodata), where=raw == self._nodata)
        return np.asarray(values, dtype=np.float32)


def _line(cube: xr.DataArray, reference: xr.DataArray, kind: str) -> NDArray[np.float64]:
    """Average a reference over its lines: (1, x, band)."""
    if reference.shape[1] == 1 and reference.shape[2] == cube.shape[2]:  # a spectrum: every column has it
        reference = reference.isel(x=np.zeros(cube.shape[1], dtype=int))
    if reference.shape[1:] != cube.shape[1:]:
        raise CubeError(
            f"{kind} reference of {cube.name} ({reference.name}) has {reference.shape[1]} columns and {reference.shape[2]} bands, "
            f"expected {cube.shape[1]} and {cube.shape[2]} as in the cube; use the reference recorded with the same sensor settings."
        )
    total = np.zeros(cube.shape[1:])
    for _, block in row_blocks(reference):
        total += block.sum(axis=0, dtype=np.float64)
    return total[None] / reference.shape[0]


def common_grid(sources: Sequence[tuple[int, NDArray[np.float64] | None]], bands: int, grid: Grid, names: Sequence[str] | None = None) -> NDArray[np.float64]:
    """Return the positions of the grid that all sources are brought to.

    Parameters
    ----------
    sources : sequence of (band count, wavelengths in nm or None)
    bands : int
        G, how many positions the grid has.
    grid : {"index", "wavelength"}
        ``index`` spreads every source's bands evenly over 0 … 1, whatever they mean; ``wavelength`` takes the range of
        wavelengths that all sources share.
    names : sequence of str, optional
        Names of the sources for messages.

    Returns
    -------
    array (G,)
        0 … 1 for ``index``, nm for ``wavelength``.

    Raises
    ------
    ConfigError
        When the grid is by wavelength and a source has none, or there is no range that all share.
    """
    if grid == "index":
        return np.linspace(0.0, 1.0, bands)
    labels = list(names) if names is not None else [f"source {number + 1}" for number in range(len(sources))]
    ranges = []
    for label, (_, centres) in zip(labels, sources, strict=True):
        if centres is None:
            raise ConfigError(f"--grid wavelength: cube '{label}' has no wavelengths, expected nm for every band; add them to its header or use --grid index.")
        ranges.append((float(centres.min()), float(centres.max())))
    low, high = max(start for start, _ in ranges), min(end for _, end in ranges)
    if low >= high:
        first, last = max(range(len(ranges)), key=lambda at: ranges[at][0]), min(range(len(ranges)), key=lambda at: ranges[at][1])
        spans = " and ".join(f"'{labels[at]}' ({ranges[at][0]:g}–{ranges[at][1]:g} nm)" for at in (last, first))
        raise ConfigError(f"--grid wavelength: the cubes {spans} share no range of wavelengths; use --grid index, or a project of their own.")
    return np.linspace(low, high, bands)


def resampling_matrix(
    bands: int | NDArray[np.float64], grid_positions: NDArray[np.float64], kind: Grid, bad: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Return the matrix (G, B) that interpolates spectra of B bands linearly at G grid positions: ``on_grid = matrix @ spectrum``.

    Parameters
    ----------
    bands : int or array (B,)
        The number of bands, or their wavelengths in nm in any order. Bands of the same wavelength (sensors that overlap)
        count by their average.
    grid_positions : array (G,)
        As `common_grid` gives them; positions outside the bands take the value of the nearest one.
    kind : {"index", "wavelength"}
    bad : bool array (B,), optional
        Bands that are left out and interpolated across.

    Returns
    -------
    float64 array (G, B)
        Every row sums to 1; the identity when the grid is by index and B equals G.

    Raises
    ------
    ConfigError
        When the grid is by wavelength and only a number of bands is given.
    """
    if isinstance(bands, int | np.integer):
        if kind == "wavelength":
            raise ConfigError("--grid wavelength: a number of bands was given, expected their wavelengths in nm; use --grid index.")
        count, centres = int(bands), None
    else:
        count, centres = len(bands), np.asarray(bands, dtype=np.float64)
    # i (1/(B−1)) as linspace gives it, so that equal grids give the exact identity.
    positions = np.linspace(0.0, 1.0, count) if kind == "index" or centres is None else centres
    used = np.ones(count, dtype=bool) if bad is None or np.all(bad) else ~np.asarray(bad, dtype=bool)
    places, which, repeats = np.unique(positions[used], return_inverse=True, return_counts=True)
    average = np.zeros((len(places), count))
    average[which, np.flatnonzero(used)] = 1.0 / repeats[which]
    if len(places) == 1:
        return np.repeat(average, len(grid_positions), axis=0)
    right = np.clip(np.searchsorted(places, grid_positions, side="left"), 1, len(places) - 1)
    left = right - 1
    share = np.clip((grid_positions - places[left]) / (places[right] - places[left]), 0.0, 1.0)
    # No product of matrices, though it would be one: the threads of a BLAS call spin for some 20 ms after it, in the way of others.
    return np.asarray((1.0 - share)[:, None] * average[left] + share[:, None] * average[right])
