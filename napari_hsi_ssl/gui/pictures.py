"""Pictures of cubes, patches and classes as arrays: what a worker prepares before the viewer shows it. No layer, no Qt."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl.config import ViewConfig
from napari_hsi_ssl.cubes.cube import let_go, read_ahead, wavelengths
from napari_hsi_ssl.explore.looks import Limits, Look, coarser, fill, limits_of, resolve, sample_of
from napari_hsi_ssl.progress import Progress, Steps, run

_IN_MEMORY_BYTES = 32 * 2**20
_SAMPLE_PIXELS = 4096
_QUICK_BYTES = 48 * 2**20
"""What a first glance at a cube may read from the disk."""
_QUICK_ROWS, _MOST_ROWS = 64, 512
"""How many rows it reads: a small image whole, so that there is nothing to fill in."""
_PAGES_BYTES = 128 * 1024
"""What a system reads ahead for a single touched page."""
_SHOWN_PIXELS = 16 * 2**20
_SHOWN_SIDE = 8192
_MAPPED_BYTES = 256 * 2**20
"""How much of a file is mapped at a time while one band is gathered from it."""
_EVERY_SECONDS = 0.4


@dataclass(frozen=True)
class CubePicture:
    """What the canvas needs of a cube.

    Attributes
    ----------
    name : str
    cube : DataArray (y, x, band)
    bands_first : array (band, y, x) or None
        In memory, or a view of it; None when the cube is too large and is read band by band.
    limits : (float, float)
        Contrast limits: the 1st and 99th percentile of a sample.
    first : array (y / step, x / step)
        The band that is shown first.
    band : int
        Its index.
    composite : uint8 array (y / step, x / step, 3)
    composite_bands : tuple of int
        By which the composite is named: of red, green and blue, or one, or two.
    wavelengths : float64 array (band,) or None
        In nm.
    look : Look
        How the composite was made.
    composite_limits : tuple of (float, float)
        What is darkest and brightest of each of its channels.
    step : int
        Every how many rows and columns are shown: 1 unless the image is larger than a screen can use.
    complete : bool
        False for a first glance: rows between those that were read repeat them, and true colour may be of fewer bands.
    """

    name: str
    cube: xr.DataArray
    bands_first: NDArray[Any] | None
    limits: tuple[float, float]
    first: NDArray[Any]
    band: int
    composite: NDArray[np.uint8]
    composite_bands: tuple[int, ...]
    wavelengths: NDArray[np.float64] | None
    look: Look
    composite_limits: Limits = ()
    step: int = 1
    complete: bool = True


@dataclass(frozen=True, eq=False)
class Composite:
    """A picture of a cube on its way.

    Attributes
    ----------
    cube : str
    image : uint8 array (y / step, x / step, 3)
    look : Look
    limits : tuple of (float, float)
        Of each channel, in the cube's units.
    complete : bool
        False while rows are still being filled in.
    """

    cube: str
    image: NDArray[np.uint8]
    look: Look
    limits: Limits
    complete: bool


def picture(name: str, cube: xr.DataArray, config: ViewConfig | None = None, *, quick: bool = False) -> CubePicture:
    """Read what is needed to show a cube.

    Parameters
    ----------
    config : ViewConfig, optional
        How it is looked at; the best that the cube allows by default.
    quick : bool
        Read some ten megabytes at most; `composing` fills in what was skipped.
    """
    look, step = resolve(cube, config or ViewConfig()), shown_step(cube.shape)
    band = look.shown[0]
    size = int(np.prod(cube.shape)) * cube.dtype.itemsize
    bands_first = np.moveaxis(np.asarray(cube.data), -1, 0) if size <= _IN_MEMORY_BYTES or type(cube.data) is np.ndarray else None
    if quick:
        made, row_step = _glance(name, cube, look, step)
        first = band_pixels(cube, band, step, row_step)
    else:
        made, first = run(composing(name, cube, look, step)), band_pixels(cube, band, step)
    limits = sample_limits(cube) if made.complete else _limits(first, cube.attrs.get("nodata"))
    return CubePicture(name, cube, bands_first, limits, first, band, made.image, look.shown, wavelengths(cube), look, made.limits, step, made.complete)


def shown_step(shape: tuple[int, ...]) -> int:
    """Return every how many rows and columns of a cube (y, x, band) are shown."""
    height, width = shape[:2]
    return max(1, math.ceil(math.sqrt(height * width / _SHOWN_PIXELS)), math.ceil(max(height, width) / _SHOWN_SIDE))


def glance(name: str, cube: xr.DataArray, look: Look, step: int = 1) -> Composite:
    """Return the first picture of a look, from as few bytes of the file as its layout allows."""
    return _glance(name, cube, look, step)[0]


def _glance(name: str, cube: xr.DataArray, look: Look, step: int) -> tuple[Composite, int]:
    height, width, bands = cube.shape
    item, layout = cube.dtype.itemsize, cube.attrs.get("layout", "")
    down = math.ceil(height / step)
    reduced = look
    if layout == "bsq":
        # A row of a band is smaller than what the system reads at once: bands are skipped, and rows only where that is not enough.
        whole = height * width * item
        reduced = coarser(look, cube, _QUICK_BYTES // whole)
        rows = down if len(reduced.bands) * whole <= 2 * _QUICK_BYTES else _QUICK_BYTES // (len(reduced.bands) * _PAGES_BYTES)
    else:
        rows = _QUICK_BYTES // (width * item * (len(look.bands) if layout == "bil" else bands))
    every = math.ceil(down / min(max(rows, _QUICK_ROWS), _MOST_ROWS))
    small = np.zeros((math.ceil(height / (step * every)), math.ceil(width / step), 3), dtype=np.uint8)
    if layout != "bsq":
        near = slice(min(reduced.bands), max(reduced.bands) + 1) if layout == "bil" else slice(None)
        read_ahead(cube.data, range(0, height, step * every), near)
    limits = limits_of(reduced, sample_of(cube, reduced, step * every))
    for _ in fill(cube, reduced, limits, small, step, step * every):
        pass
    image = small if every == 1 else np.repeat(small, every, axis=0)[:down]
    return Composite(name, image, look, limits, every == 1 and reduced is look), step * every


def composing(name: str, cube: xr.DataArray, look: Look, step: int = 1, before: NDArray[np.uint8] | None = None) -> Steps[Composite]:
    """Make the whole picture of a look; what is there so far travels as ``data["composite"]`` of its progress a few times a second.

    Parameters
    ----------
    before : uint8 array (y / step, x / step, 3), optional
        The first glance, which is replaced from top to bottom.
    """
    height, width = cube.shape[:2]
    yield Progress(0, height, f"picture of {name}")
    limits = limits_of(look, sample_of(cube, look))
    image = np.zeros((math.ceil(height / step), math.ceil(width / step), 3), dtype=np.uint8) if before is None else before.copy()
    told = time.monotonic()
    for done in fill(cube, look, limits, image, step):
        now = time.monotonic()
        if before is not None and now - told > _EVERY_SECONDS:
            told = now
            yield Progress(done, height, f"picture of {name}", data={"composite": Composite(name, image, look, limits, False)})
        else:
            yield Progress(done, height, f"picture of {name}")
    return Composite(name, image, look, limits, True)


def band_pixels(cube: xr.DataArray, band: int, step: int = 1, row_step: int | None = None) -> NDArray[Any]:
    """Return one band (y / step, x / step) in memory, in the file's own type where napari can draw it, in float32 otherwise.

    With ``row_step``, only every so many rows are read and repeated.
    """
    every = row_step or step
    part = cube.data[::every, ::step, band]
    image = np.empty(part.shape, dtype=shown_type(part.dtype))
    rows = max(1, len(part) if not isinstance(part, np.memmap) else _MAPPED_BYTES // max(4096, abs(part.strides[0])))
    for first in range(0, len(part), rows):
        with np.errstate(over="ignore"):
            image[first : first + rows] = part[first : first + rows]
        let_go(part)
    return image if every == step else np.repeat(image, every // step, axis=0)[: math.ceil(cube.shape[0] / step)]


def shown_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type in which values are shown: their own, or float32 for those of eight bytes."""
    return np.dtype(np.float32) if dtype.itemsize > 4 or dtype == np.float16 else dtype.newbyteorder("=")


def _limits(values: NDArray[Any], nodata: float | None) -> tuple[float, float]:
    keep = np.isfinite(values)
    if nodata is not None:
        keep &= values != nodata
    if not keep.any():
        return (0.0, 1.0)
    used = values[keep]
    low, high = np.percentile(used[:: max(1, used.size // 100_000)], (1, 99))
    return (float(low), float(high)) if high > low else (float(low), float(low) + 1.0)


def sample_limits(cube: xr.DataArray) -> tuple[float, float]:
    """Return contrast limits from the spectra of a few rows: the 1st and 99th percentile, never equal."""
    height, width, _ = cube.shape
    rows = np.unique(np.linspace(0, height - 1, min(height, 5)).astype(int))
    step = max(1, len(rows) * width // _SAMPLE_PIXELS)
    values = np.concatenate([np.asarray(cube.data[int(row)], dtype=np.float64)[::step].ravel() for row in rows])
    return _limits(values, cube.attrs.get("nodata"))


def band_words(band: int, centres: NDArray[np.float64] | None, count: int) -> str:
    """Return ``band 43 of 200 · 812.3 nm``; bands are counted from 0 as everywhere in the program."""
    words = f"band {band} of {count}"
    return words if centres is None or not 0 <= band < len(centres) else f"{words} · {centres[band]:.1f} nm"


def window_outlines(shape: tuple[int, int], y: NDArray[np.integer], x: NDArray[np.integer], size: int, split: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return a picture (y, x) of the outlines of windows: 1 for training, 2 for test patches, 0 elsewhere.

    Parameters
    ----------
    shape : (int, int)
        Of the cube.
    y, x : int arrays (n,)
        Top left corners.
    size : int
        Pixels on a side.
    split : int array (n,)
        0 = train, 1 = test.
    """
    picture = np.zeros(shape, dtype=np.uint8)
    along = np.arange(size)
    for code in (0, 1):
        top, left = y[split == code].astype(np.int64), x[split == code].astype(np.int64)
        for edge in (0, size - 1):
            picture[top[:, None] + edge, left[:, None] + along] = code + 1
            picture[top[:, None] + along, left[:, None] + edge] = code + 1
    return picture


def closed(vertices: NDArray[np.floating], kind: str) -> NDArray[np.float64]:
    """Return the outline (n, 2) of a drawn shape in y, x; an ellipse, which napari stores by its box, becomes 64 points."""
    points = np.asarray(vertices, dtype=np.float64)[:, -2:]
    if kind != "ellipse":
        return points
    centre = points.mean(axis=0)
    half_a, half_b = (points[1] - points[0]) / 2, (points[3] - points[0]) / 2
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)[:, None]
    return centre + np.cos(angle) * half_a + np.sin(angle) * half_b


def box_of(vertices: NDArray[np.floating], shape: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Return the box y0, x0, y1, x1 (ends excluded) of whole pixels around drawn points, cut to the image; None when empty.

    A pixel's centre has whole coordinates, so pixel 3 spans 2.5 to 3.5.
    """
    points = np.asarray(vertices, dtype=np.float64)[:, -2:]
    low = np.clip(np.floor(points.min(axis=0) + 0.5), 0, shape).astype(int)
    high = np.clip(np.floor(points.max(axis=0) + 0.5) + 1, 0, shape).astype(int)
    if (high <= low).any():
        return None
    return (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
