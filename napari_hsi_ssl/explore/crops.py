"""Small pictures of the surroundings of single pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from PIL import ImageColor

from napari_hsi_ssl.explore.thumbnails import three_bands

_ROWS = 64
_EMPTY = 40
_WHITE = 255


def crops(cube: xr.DataArray, places: Sequence[tuple[int, int]], reach: int) -> list[NDArray[np.uint8]]:
    """Return colour pictures (2 reach + 1, 2 reach + 1, 3) around pixels (y, x) of a cube, all stretched alike; grey beyond its frame.

    Three bands are read, of the pictures' pixels and of some rows for the contrast.
    """
    height, width, _ = cube.shape
    bands = three_bands(cube)
    step = max(1, height // _ROWS)
    sample = np.stack([np.asarray(cube.data[::step, :, band], dtype=np.float32) for band in bands], axis=-1).reshape(-1, 3)
    nodata = cube.attrs.get("nodata")
    measured = np.isfinite(sample).all(axis=1) & (True if nodata is None else (sample != nodata).any(axis=1))
    low, high = np.percentile(sample[measured], (2, 98), axis=0) if measured.any() else (np.zeros(3), np.ones(3))
    pictures = []
    for y, x in places:
        picture = np.full((2 * reach + 1, 2 * reach + 1, 3), _EMPTY, dtype=np.uint8)
        top, left, bottom, right = max(0, y - reach), max(0, x - reach), min(height, y + reach + 1), min(width, x + reach + 1)
        part = np.stack([np.asarray(cube.data[top:bottom, left:right, band], dtype=np.float32) for band in bands], axis=-1)
        seen = np.isfinite(part).all(axis=-1, keepdims=True)
        scaled = np.clip((np.where(seen, part, low) - low) / np.maximum(high - low, 1e-12), 0, 1)
        picture[top - y + reach : bottom - y + reach, left - x + reach : right - x + reach] = np.where(seen, 255 * scaled, _EMPTY).astype(np.uint8)
        pictures.append(picture)
    return pictures


def framed(picture: NDArray[np.uint8], colour: str, factor: int = 5, frame: int = 4) -> NDArray[np.uint8]:
    """Return a picture (n, n, 3) enlarged by a whole factor, in a frame of a colour (``#rrggbb``), its middle pixel outlined in white."""
    large = picture.repeat(factor, axis=0).repeat(factor, axis=1)
    first = picture.shape[0] // 2 * factor
    last = first + factor - 1
    for edge in (first - 1, last + 1):
        large[edge, first - 1 : last + 2] = _WHITE
        large[first - 1 : last + 2, edge] = _WHITE
    return np.pad(large, ((frame, frame), (frame, frame), (0, 0))) + _border(large.shape[0] + 2 * frame, frame, colour)


def _border(side: int, frame: int, colour: str) -> NDArray[np.uint8]:
    border = np.zeros((side, side, 3), dtype=np.uint8)
    border[:] = ImageColor.getrgb(colour)[:3]
    border[frame:-frame, frame:-frame] = 0
    return border
