"""Pictures of cubes, patches and classes as arrays: what a worker prepares before the viewer shows it. No layer, no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl.cubes.cube import band_image, wavelengths

RED_GREEN_BLUE = (640.0, 550.0, 460.0)
"""nm of the bands of a natural composite."""
_IN_MEMORY_BYTES = 256 * 2**20
_SAMPLE_PIXELS = 4096


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
    first : float32 array (y, x)
        The band that is shown first.
    band : int
        Its index.
    composite : uint8 array (y, x, 3)
    composite_bands : (int, int, int)
    wavelengths : float64 array (band,) or None
        In nm.
    """

    name: str
    cube: xr.DataArray
    bands_first: NDArray[Any] | None
    limits: tuple[float, float]
    first: NDArray[np.float32]
    band: int
    composite: NDArray[np.uint8]
    composite_bands: tuple[int, int, int]
    wavelengths: NDArray[np.float64] | None


def picture(name: str, cube: xr.DataArray) -> CubePicture:
    """Read what is needed to show a cube: one to three bands and a sample, or all of a small one."""
    shown = composite_bands(cube)
    nodata = cube.attrs.get("nodata")
    size = int(np.prod(cube.shape)) * cube.dtype.itemsize
    bands_first = np.moveaxis(np.asarray(cube.data), -1, 0) if size <= _IN_MEMORY_BYTES or type(cube.data) is np.ndarray else None
    images = {band: band_image(cube, band) for band in dict.fromkeys(shown)}
    planes = [stretch(images[band], nodata) for band in shown]
    return CubePicture(
        name, cube, bands_first, sample_limits(cube), images[shown[0]], shown[0], np.stack(planes, axis=-1), shown, wavelengths(cube)
    )  # fmt: skip


def composite_bands(cube: xr.DataArray) -> tuple[int, int, int]:
    """Return the bands of red, green and blue.

    The header's own default bands; else those nearest to 640, 550 and 460 nm where the cube covers the visible; else bands
    spread evenly from long to short.
    """
    count = cube.sizes["band"]
    given = cube.attrs.get("default_bands")
    if given is not None and len(given) == 3 and all(0 <= int(band) < count for band in given):
        return (int(given[0]), int(given[1]), int(given[2]))
    centres = wavelengths(cube)
    if centres is not None and centres.min() < 520 and centres.max() > 600:
        red, green, blue = (int(np.abs(centres - target).argmin()) for target in RED_GREEN_BLUE)
        return (red, green, blue)
    red, green, blue = (round(share * (count - 1)) for share in (0.75, 0.5, 0.25))
    return (red, green, blue)


def stretch(image: NDArray[np.floating], nodata: float | None = None) -> NDArray[np.uint8]:
    """Return an image (y, x) as 8 bits between its 2nd and 98th percentile; what was not measured is black."""
    measured = np.isfinite(image)
    if nodata is not None:
        measured &= image != nodata
    if not measured.any():
        return np.zeros(image.shape, dtype=np.uint8)
    values = image[measured]
    low, high = np.percentile(values[:: max(1, values.size // 100_000)], (2, 98))
    scaled = (np.where(measured, image, low) - low) / max(float(high - low), 1e-12)
    return (np.clip(scaled, 0, 1) * 255).astype(np.uint8)


def sample_limits(cube: xr.DataArray) -> tuple[float, float]:
    """Return contrast limits from the spectra of a few rows: the 1st and 99th percentile, never equal."""
    height, width, _ = cube.shape
    rows = np.unique(np.linspace(0, height - 1, min(height, 5)).astype(int))
    step = max(1, len(rows) * width // _SAMPLE_PIXELS)
    values = np.concatenate([np.asarray(cube.data[int(row)], dtype=np.float64)[::step].ravel() for row in rows])
    nodata = cube.attrs.get("nodata")
    keep = np.isfinite(values)
    if nodata is not None:
        keep &= values != nodata
    if not keep.any():
        return (0.0, 1.0)
    low, high = np.percentile(values[keep], (1, 99))
    return (float(low), float(high)) if high > low else (float(low), float(low) + 1.0)


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
