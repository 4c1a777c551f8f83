"""Ways to look at a cube: which bands with which weights become a picture, and the picture a few rows at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl.config import ViewConfig
from napari_hsi_ssl.cubes.cube import let_go, wavelengths
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.explore.colour import companded, covers_visible, true_colour_weights
from napari_hsi_ssl.explore.ramps import ramp
from napari_hsi_ssl.explore.sources import band_use
from napari_hsi_ssl.threads import one_blas_thread

NATURAL_NM: Final = (640.0, 550.0, 460.0)
INFRARED_NM: Final = (860.0, 650.0, 550.0)
SHORTWAVE_NM: Final = (2200.0, 1650.0, 1250.0)
_NEAR_SHORTWAVE_NM: Final = (1600.0, 1250.0, 1000.0)
_BLOCK_BYTES = 8 * 2**20
_SAMPLED = 100_000
_FINE = 16383
_SAMPLE_ROWS = 64
_TOLERANCE_NM = 25.0
_NEEDED: Final = {"bands": 3, "band": 1, "ratio": 2, "index": 2}
_RAMPS: Final = {"ratio": "sequential", "index": "diverging"}

Values = NDArray[np.float32]
Limits = tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class Look:
    """A fully resolved way to look at one cube.

    Attributes
    ----------
    kind : str
        As in `ViewConfig`, never "auto".
    bands : int array (n,)
        Bands that are read, ascending.
    weights : float32 array (n, c)
        A pixel's channels are ``spectrum[bands] @ weights``; three for colour, one for grey, two (a and b) for ratio and index.
    shown : tuple of int
        The bands by which the look is named: of red, green and blue, or one, or a and b.
    stretch : (float, float)
        Percentiles.
    joint : bool
        One stretch for all channels.
    linear_light : bool
        Channels are light, so the picture needs the curve of sRGB.
    note : str
        What could not be done as wished, in one sentence, or "".
    """

    kind: str
    bands: NDArray[np.intp]
    weights: Values
    shown: tuple[int, ...]
    stretch: tuple[float, float]
    joint: bool = False
    linear_light: bool = False
    note: str = ""


def resolve(cube: xr.DataArray, config: ViewConfig) -> Look:
    """Decide which bands with which weights show a cube as wished.

    Raises
    ------
    ConfigError
        When the look needs wavelengths, visible bands, default bands or bands that the cube does not have.
    """
    kind: str = config.kind
    note = ""
    centres, bad = wavelengths(cube), ~band_use(cube)
    visible = covers_visible(centres, bad)
    if kind == "auto":
        kind = "true" if visible else "false" if _false_targets(centres) else "default" if _default(cube) else "spread"
        if centres is not None and not visible:
            note = f"{_range(cube, centres)} and does not cover the visible (490–610 nm), so it is shown in false colour."
        elif centres is None and kind == "spread":
            note = f"{cube.name} has no wavelengths, so three bands spread from last to first stand for red, green and blue."
    if kind == "true":
        if centres is None or not visible:
            found = f"{cube.name} has no wavelengths" if centres is None else f"{_range(cube, centres)}"
            raise ConfigError(f"{found}, but true colour needs bands from 490 to 610 nm with no gap of over 60 nm; use --kind false or --kind bands.")
        return _true(cube, config, centres, bad)
    shown = _named_bands(cube, kind, config, centres)
    bands, places = np.unique(shown, return_inverse=True)
    weights = np.zeros((len(bands), len(shown)), dtype=np.float32)
    weights[places, np.arange(len(shown))] = 1
    return Look("bands" if kind == "spread" else kind, bands.astype(np.intp), weights, shown, config.stretch, bool(config.joint), note=note)


def _true(cube: xr.DataArray, config: ViewConfig, centres: NDArray[np.float64], bad: NDArray[np.bool_]) -> Look:
    reflectance = cube.attrs.get("quantity") == "reflectance"
    weights = true_colour_weights(centres, bad, illuminated=reflectance)
    used = np.flatnonzero(np.abs(weights).max(axis=1) > 1e-4 * np.abs(weights).max())
    shown = tuple(_nearest(centres, target, bad) for target in NATURAL_NM)
    # The light of radiance and the gains of digital numbers are unknown: each channel's own bright end is taken for white.
    joint = reflectance if config.joint is None else config.joint
    return Look("true", used, weights[used].astype(np.float32), shown, config.stretch, joint, linear_light=True)


def coarser(look: Look, cube: xr.DataArray, count: int) -> Look:
    """Return a true-colour look that reads at most ``count`` bands (3 or more) spread over the visible; others stay as they are."""
    centres = wavelengths(cube)
    if look.kind != "true" or centres is None or len(look.bands) <= max(3, count):
        return look
    inner = look.bands[(centres[look.bands] > 420) & (centres[look.bands] < 680)]
    if len(inner) < 3:
        return look
    chosen = np.unique(inner[np.linspace(0, len(inner) - 1, min(max(3, count), len(inner))).round().astype(int)])
    weights = true_colour_weights(centres[chosen], illuminated=cube.attrs.get("quantity") == "reflectance")
    return replace(look, bands=chosen, weights=weights.astype(np.float32))


def _named_bands(cube: xr.DataArray, kind: str, config: ViewConfig, centres: NDArray[np.float64] | None) -> tuple[int, ...]:
    count = int(cube.shape[2])
    if kind == "spread":
        return tuple(round(share * (count - 1)) for share in (0.75, 0.5, 0.25))
    if kind == "default":
        default = _default(cube)
        if not default:
            raise ConfigError(f"{cube.name}: its header names no default bands that exist, expected one or three; use --kind true, false or bands.")
        return default
    if kind == "false":
        targets = _false_targets(centres)
        if centres is None or not targets:
            found = "has no wavelengths" if centres is None else f"covers {centres.min():.0f}–{centres.max():.0f} nm"
            raise ConfigError(f"{cube.name} {found}, but false colour needs bands at 550–860 or 1000–2200 nm; use --kind bands.")
        bad = ~band_use(cube)
        return tuple(_nearest(centres, target, bad) for target in targets)
    needed = _NEEDED[kind]
    if config.wavelengths:
        if centres is None:
            raise ConfigError(f"{cube.name} has no wavelengths, but --wavelengths were given; give --bands instead.")
        shown = tuple(_band_at(cube, centres, nm) for nm in config.wavelengths)
    else:
        shown = config.bands
    if len(shown) != needed:
        words = {1: "one band", 2: "two bands (a and b)", 3: "three bands (red, green, blue)"}[needed]
        raise ConfigError(f"--kind {kind} was given {len(shown) or 'no'} band{'s' * (len(shown) != 1)}, expected {words}; give --bands or --wavelengths.")
    for band in shown:
        if band >= count:
            raise ConfigError(f"{cube.name}: band {band} does not exist, expected 0 to {count - 1}; give other --bands.")
    return shown


def _default(cube: xr.DataArray) -> tuple[int, ...]:
    given: Any = cube.attrs.get("default_bands")
    found = () if given is None else tuple(int(band) for band in given)
    return found if len(found) in {1, 3} and all(0 <= band < cube.shape[2] for band in found) else ()


def _false_targets(centres: NDArray[np.float64] | None) -> tuple[float, float, float] | None:
    if centres is None:
        return None
    low, high = float(centres.min()), float(centres.max())
    for targets in (INFRARED_NM, SHORTWAVE_NM, _NEAR_SHORTWAVE_NM):
        if low <= targets[2] + _TOLERANCE_NM and high >= targets[0] - _TOLERANCE_NM:
            return targets
    return None


def _nearest(centres: NDArray[np.float64], nm: float, bad: NDArray[np.bool_]) -> int:
    distance = np.abs(centres - nm)
    return int(np.where(bad & ~bad.all(), np.inf, distance).argmin())


def _band_at(cube: xr.DataArray, centres: NDArray[np.float64], nm: float) -> int:
    low, high = float(centres.min()), float(centres.max())
    if not low - _TOLERANCE_NM <= nm <= high + _TOLERANCE_NM:
        raise ConfigError(f"{cube.name}: no band lies near {nm:g} nm, expected {low:.0f} to {high:.0f} nm; give other --wavelengths.")
    return int(np.abs(centres - nm).argmin())


def _range(cube: xr.DataArray, centres: NDArray[np.float64]) -> str:
    return f"{cube.name} has bands from {centres.min():.0f} to {centres.max():.0f} nm"


# -- from a look to a picture -------------------------------------------------------------------------------------------


def channels(cube: xr.DataArray, look: Look, rows: slice | NDArray[np.intp], step: int = 1) -> Values:
    """Return the channels (rows, x, c) of some rows as float32; NaN where not measured.

    A pixel in which only some of the bands were measured gets the mean of those for the others; ratio and index have one channel.

    Parameters
    ----------
    rows : slice or int array
        The rows that are read.
    step : int
        Every how many columns.
    """
    block = _read(cube, look.bands, rows, step)
    nodata = cube.attrs.get("nodata")
    count, height, width = block.shape
    flat = block.reshape(count, -1)
    measured = np.isfinite(flat) if not np.issubdtype(cube.dtype, np.integer) else None
    if nodata is not None:
        there = flat != np.float32(nodata)
        measured = there if measured is None else measured & there
    if measured is not None and not measured.all():
        holes = np.flatnonzero(~measured.all(axis=0))
        some = flat[:, holes]
        known = measured[:, holes]
        number = known.sum(axis=0)
        mean = np.divide(np.where(known, some, 0).sum(axis=0), number, out=np.full(len(holes), np.nan, np.float32), where=number > 0)
        flat[:, holes] = np.where(known, some, mean if look.kind == "true" else np.float32(np.nan))
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        mixed = np.ascontiguousarray(look.weights.T) @ flat
        if look.kind in _RAMPS:
            a, b = mixed
            mixed = (a / b if look.kind == "ratio" else (a - b) / (a + b))[None]
            mixed[~np.isfinite(mixed)] = np.nan
    return np.moveaxis(mixed.reshape(-1, height, width), 0, -1)


def _read(cube: xr.DataArray, bands: NDArray[np.intp], rows: slice | NDArray[np.intp], step: int) -> Values:
    """Return bands (n, rows, x) as float32 in memory, in as few reads as the layout allows."""
    low, high, data = int(bands[0]), int(bands[-1]) + 1, cube.data
    columns = slice(None, None, step)
    if isinstance(rows, np.ndarray):  # row by row: NumPy would gather a mapped file value by value
        parts = [_read(cube, bands, slice(int(row), int(row) + 1), step) for row in rows]
        return np.concatenate(parts, axis=1)
    if 2 * len(bands) < high - low or (high - low != len(bands) and len(bands) <= 3):
        planes = np.stack([np.asarray(data[rows, columns, int(band)], dtype=np.float32) for band in bands])
        let_go(data)
        return planes
    block = np.asarray(data[rows, columns, low:high])
    if block.strides[2] <= min(block.strides[:2]):  # BIP: turning it round would cost more than all the rest
        with np.errstate(over="ignore"):
            pixels = block.astype(np.float32, order="C")
        let_go(data)
        return np.moveaxis(pixels if high - low == len(bands) else pixels[..., bands - low], 2, 0)
    found = np.empty((high - low, *block.shape[:2]), dtype=np.float32)
    with np.errstate(over="ignore"):
        np.copyto(found, np.moveaxis(block, 2, 0), casting="same_kind" if np.issubdtype(block.dtype, np.floating) else "unsafe")
    let_go(data)
    return found if high - low == len(bands) else found[bands - low]


def sample_of(cube: xr.DataArray, look: Look, row_step: int = 1) -> Values:
    """Return the channels (n, c) of some thousand pixels: whole rows, evenly spread among every n-th."""
    height, width = cube.shape[:2]
    there = np.arange(0, height, row_step)
    rows = np.unique(there[np.linspace(0, len(there) - 1, min(len(there), _SAMPLE_ROWS)).round().astype(np.intp)])
    with one_blas_thread():
        found = channels(cube, look, rows, max(1, len(rows) * width // _SAMPLED))
    return found.reshape(-1, found.shape[-1])


def limits_of(look: Look, sample: Values) -> Limits:
    """Return the darkest and brightest value of each channel: percentiles of a sample (n, c), never equal.

    With ``joint`` all channels share the lowest and the highest; an index that has both signs is limited evenly about 0, so that the
    middle of the colours means "a equals b".
    """
    found = []
    for channel in sample.T:
        values = channel[np.isfinite(channel)]
        low, high = (float(value) for value in np.percentile(values, look.stretch)) if values.size else (0.0, 1.0)
        found.append((low, high))
    if look.joint and len(found) > 1:
        found = [(min(low for low, _ in found), max(high for _, high in found))] * len(found)
    if look.kind == "index" and found[0][0] < 0 < found[0][1]:
        reach = max(-found[0][0], found[0][1])
        found = [(-reach, reach)]
    return tuple((low, high if high > low else low + max(1e-6, abs(low) * 1e-6, 1.0 if low == high == 0 else 0.0)) for low, high in found)


def paint(look: Look, values: Values, limits: Sequence[tuple[float, float]]) -> NDArray[np.uint8]:
    """Return channels (…, c) as colours (…, 3) of 8 bits; what was not measured is black."""
    low = np.array([limit[0] for limit in limits], dtype=np.float32)
    span = np.array([limit[1] - limit[0] for limit in limits], dtype=np.float32)
    shares = (values - low) * (_FINE / span)
    unmeasured = np.isnan(shares.sum(axis=-1))
    holes = bool(unmeasured.any())
    if holes:
        shares[unmeasured] = 0
    np.clip(shares, 0, _FINE, out=shares)
    levels = _curve(look.linear_light)[(shares + 0.5).astype(np.uint16)]
    if levels.shape[-1] == 3:
        colours = levels
    elif look.kind in _RAMPS:
        colours = ramp(_RAMPS[look.kind])[levels[..., 0]]
    else:
        colours = np.repeat(levels, 3, axis=-1)
    if holes:
        colours[unmeasured] = 0
    return colours


@cache
def _curve(linear_light: bool) -> NDArray[np.uint8]:
    """Return the 8 bits of every fine step of brightness: a table takes a tenth of the time of the powers."""
    shares = np.arange(_FINE + 1, dtype=np.float32) / _FINE
    return ((companded(shares) if linear_light else shares) * 255 + 0.5).astype(np.uint8)


def fill(cube: xr.DataArray, look: Look, limits: Limits, picture: NDArray[np.uint8], step: int = 1, row_step: int | None = None) -> Iterator[int]:
    """Paint a cube into a picture (y / row_step, x / step, 3) from top to bottom, a few rows at a time.

    Yields
    ------
    int
        The number of rows of the cube that are done.
    """
    every = row_step or step
    for rows in _row_parts(cube, look, step, every):
        with one_blas_thread():  # the products are small: threads would only wait for one another
            found = channels(cube, look, rows, step)
        painted = paint(look, found, limits)
        first = rows.start // every
        picture[first : first + len(painted)] = painted
        yield rows.stop


def _row_parts(cube: xr.DataArray, look: Look, step: int, row_step: int) -> list[slice]:
    """Return slices of every n-th row whose bands fit a small budget of memory, from top to bottom."""
    height, width = cube.shape[:2]
    span = int(look.bands[-1] - look.bands[0]) + 1
    count = span if 2 * len(look.bands) >= span else len(look.bands)
    rows = max(1, _BLOCK_BYTES // (4 * math.ceil(width / step) * count)) * row_step
    return [slice(start, min(height, start + rows), row_step) for start in range(0, height, rows)]
