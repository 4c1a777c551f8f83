"""Connected regions of like pixels: the spectral angle to references, and regions that grow from a pixel."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from napari_hsi_ssl.config import MaskConfig
from napari_hsi_ssl.cubes.cube import row_blocks, spectrum, valid_pixels
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.explore.chunks import Chunk, map_chunks
from napari_hsi_ssl.explore.sources import band_use
from napari_hsi_ssl.explore.spectra import mean_spectrum
from napari_hsi_ssl.progress import Progress, Steps

TILE = 128
"""Pixels on a side of what is read at a time while a region grows: a small region of a large cube costs a tile or two."""
_ROUNDS = 20

Near = Callable[[NDArray[np.float64]], NDArray[np.bool_]]
Pixel = tuple[int, int]


def pixel_spectra(cube: xr.DataArray, pixels: Sequence[Pixel], what: str = "method 'angle'") -> NDArray[np.float64]:
    """Return the spectra (n, band) of chosen pixels.

    Raises
    ------
    ConfigError
        When there is no pixel, or one lies outside the cube or was not measured.
    """
    if not pixels:
        raise ConfigError(f"mask of {cube.name}: {what} has no reference, expected a pixel Y,X; click one or give --at Y,X.")
    found, used, nodata = [], band_use(cube), cube.attrs.get("nodata")
    for y, x in pixels:
        if not (0 <= y < cube.shape[0] and 0 <= x < cube.shape[1]):
            raise ConfigError(f"mask of {cube.name}: pixel {y},{x} lies outside its {cube.shape[0]}×{cube.shape[1]} pixels; give --at Y,X within them.")
        values = spectrum(cube, y, x)[used]
        if not np.isfinite(values).all() or not values.any() or (nodata is not None and (values == np.float32(nodata)).all()):
            raise ConfigError(f"mask of {cube.name}: pixel {y},{x} was not measured (ignore value, zero or not finite); give another --at Y,X.")
        found.append(np.asarray(cube.data[y, x], dtype=np.float64))
    return np.stack(found)


def directions(references: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return references (n, band) at length 1."""
    given = np.asarray(references, dtype=np.float64)
    unit: NDArray[np.float64] = given / np.linalg.norm(given, axis=1, keepdims=True)
    return unit


def smallest_angles(spectra: NDArray[np.floating], unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the angle (n,) in radians from each spectrum (n, band) to the nearest direction (r, band); infinite for a zero spectrum."""
    lengths = np.sqrt(np.einsum("nb,nb->n", spectra, spectra))
    cosine = (spectra @ unit.T).max(axis=1)
    cosine = np.divide(cosine, lengths, out=np.full(len(lengths), np.nan), where=lengths > 0)
    return np.where(lengths > 0, np.arccos(np.clip(cosine, -1.0, 1.0)), np.inf)


def angle_image(cube: xr.DataArray, references: NDArray[np.floating], area: NDArray[np.bool_] | None = None) -> Steps[NDArray[np.float32]]:
    """Return every pixel's angle (y, x) in radians to the nearest of some references (Kruse et al. 1993), read a few rows at a time.

    Once it is there, another tolerance is a comparison and not another pass over the cube.

    Parameters
    ----------
    cube : DataArray (y, x, band)
        Bad bands are left out.
    references : array (n, band)
        On the cube's bands; bands that are NaN in any of them are left out for all.
    area : bool array (y, x), optional
        Where to look; the whole frame by default.

    Returns
    -------
    float32 array (y, x)
        NaN where nothing was measured or outside the area, infinite where a spectrum is zero in every band.

    Raises
    ------
    ConfigError
        When the references have another number of bands, or are zero in those used.
    """
    given = np.atleast_2d(np.asarray(references, dtype=np.float64))
    used = band_use(cube)
    if given.shape[1] != used.size:
        raise ConfigError(f"mask of {cube.name}: the reference has {given.shape[1]} bands, expected {used.size}; choose a pixel of a cube with the same bands.")
    used = used & np.isfinite(given).all(axis=0)
    if not used.any() or not given[:, used].any(axis=1).all():
        raise ConfigError(f"mask of {cube.name}: a reference is zero or not finite in the bands used, expected a measured spectrum; choose another pixel.")
    unit = directions(given[:, used])
    angles = np.full(cube.shape[0] * cube.shape[1], np.nan, dtype=np.float32)

    def fill(chunk: Chunk) -> int:
        angles[chunk.pixels] = smallest_angles(chunk.spectra, unit)
        return chunk.last

    message = f"spectral angles of {cube.name}"
    yield Progress(0, cube.shape[0], message)
    whole = np.ones(cube.shape[:2], dtype=bool) if area is None else area
    for row in map_chunks(cube, whole, fill, used):
        yield Progress(row, cube.shape[0], message)
    return angles.reshape(cube.shape[:2])


def grow(cube: xr.DataArray, config: MaskConfig, area: NDArray[np.bool_] | None = None) -> Steps[NDArray[np.bool_]]:
    """Return the regions (y, x) of like pixels around those that were clicked.

    Pixels are like when their spectral angle to the reference is at most the tolerance, or their brightness (mean over the bands)
    differs by at most that share of the reference's. A region holds the like pixels that can be reached from its seed over
    sides. With ``follow="mean"`` the mean of the region becomes the reference and it grows anew, until it no longer changes
    (20 times at most): a region that shades off slowly is followed, and the answer does not depend on an order of visits.

    Parameters
    ----------
    cube : DataArray (y, x, band)
        Read in tiles of 128×128 pixels, and only those that the region reaches.
    config : MaskConfig
        ``at``, ``grow_by``, ``follow`` and ``tolerance``.
    area : bool array (y, x), optional
        What a region never leaves.

    Raises
    ------
    ConfigError
        When there is no seed, or one lies outside the cube or the area or was not measured.
    """
    seeds = list(config.at)
    spectra = pixel_spectra(cube, seeds, "method 'grow'")
    allowed = np.ones(cube.shape[:2], dtype=bool) if area is None else area
    for y, x in seeds:
        if not allowed[y, x]:
            raise ConfigError(f"mask of {cube.name}: pixel {y},{x} lies outside its crop, so no region grows from it; give a pixel within.")
    region = np.zeros(cube.shape[:2], dtype=bool)
    used = band_use(cube)
    for seed, reference in zip(seeds, spectra, strict=True):
        part = yield from _flood(cube, seed, _near(reference[used], config), allowed)
        if config.follow == "mean":
            part = yield from _follow(cube, seed, part, config, allowed)
        region |= part
    return region


def _follow(cube: xr.DataArray, seed: Pixel, part: NDArray[np.bool_], config: MaskConfig, allowed: NDArray[np.bool_]) -> Steps[NDArray[np.bool_]]:
    used = band_use(cube)
    for _ in range(_ROUNDS):
        mean, _ = mean_spectrum(cube, part)
        grown = yield from _flood(cube, seed, _near(mean[used], config), allowed)
        grown[seed] = True  # the mean may have wandered away from it
        if np.array_equal(grown, part):
            break
        part = grown
    return part


def _near(reference: NDArray[np.float64], config: MaskConfig) -> Near:
    """Return the test whether spectra (n, band) are like a reference (band,)."""
    if config.grow_by == "angle":
        unit = directions(reference[None])
        return lambda spectra: smallest_angles(spectra, unit) <= config.tolerance
    level = float(reference.mean())
    return lambda spectra: np.abs(spectra.mean(axis=1) - level) <= config.tolerance * abs(level)


@dataclass(frozen=True, eq=False)
class _Tile:
    """The like pixels of a tile, parted into pieces that hang together inside it."""

    top: int
    left: int
    pieces: NDArray[np.int32]
    reached: NDArray[np.bool_]


def _flood(cube: xr.DataArray, seed: Pixel, near: Near, allowed: NDArray[np.bool_]) -> Steps[NDArray[np.bool_]]:
    """Return the like pixels (y, x) that hang together with the seed, reading only the tiles that they reach."""
    height, width = allowed.shape
    region = np.zeros_like(allowed)
    tiles: dict[tuple[int, int], _Tile] = {}
    waiting: deque[tuple[NDArray[np.intp], NDArray[np.intp]]] = deque([(np.array([seed[0]]), np.array([seed[1]]))])
    while waiting:
        y, x = waiting.popleft()  # pixels of one tile beside the region
        place = (int(y[0]) // TILE, int(x[0]) // TILE)
        if place not in tiles:
            yield Progress(0, 0, f"growing a region of {cube.name} ({len(tiles)} tiles)")
            tiles[place] = _tile(cube, place, near, allowed)
        tile = tiles[place]
        new = np.unique(tile.pieces[y - tile.top, x - tile.left])
        new = new[(new > 0) & ~tile.reached[new]]
        if not len(new):
            continue
        tile.reached[new] = True
        joined = np.isin(tile.pieces, new)
        rows, columns = joined.shape
        region[tile.top : tile.top + rows, tile.left : tile.left + columns] |= joined
        for edge, step in ((joined[0], (-1, 0)), (joined[-1], (1, 0)), (joined[:, 0], (0, -1)), (joined[:, -1], (0, 1))):
            along = np.flatnonzero(edge)
            if step[0]:
                beyond = (np.full(len(along), tile.top - 1 if step[0] < 0 else tile.top + rows), tile.left + along)
            else:
                beyond = (tile.top + along, np.full(len(along), tile.left - 1 if step[1] < 0 else tile.left + columns))
            if len(along) and 0 <= beyond[0][0] < height and 0 <= beyond[1][0] < width:
                waiting.append(beyond)
    return region


def _tile(cube: xr.DataArray, place: tuple[int, int], near: Near, allowed: NDArray[np.bool_]) -> _Tile:
    top, left = place[0] * TILE, place[1] * TILE
    box = (slice(top, top + TILE), slice(left, left + TILE))
    inside = allowed[box]
    like = np.zeros(inside.shape, dtype=bool)
    used, nodata = band_use(cube), cube.attrs.get("nodata")
    for rows, block in row_blocks(cube[box]):
        chosen = block if used.all() else block[..., used]
        wanted = inside[rows] & valid_pixels(chosen, nodata)
        spectra = chosen[wanted].astype(np.float64)
        found = np.zeros(wanted.shape, dtype=bool)
        found[wanted] = near(spectra)
        like[rows] = found
    pieces, count = ndimage.label(like)
    return _Tile(top, left, pieces.astype(np.int32), np.zeros(count + 1, dtype=bool))
