"""Mean and covariance of spectra in one pass over cubes that need not fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl.cubes.cube import row_blocks

Spectra = NDArray[np.float64]
# Rows of a float64 block of spectra that BLAS works on at a time: large enough for GEMM, small enough to stay near the cache.
CHUNK = 4096


@dataclass
class Moments:
    """Sums over spectra of B bands, kept about an early mean so that large offsets cost no digits.

    Attributes
    ----------
    bands : int
    count : int
        Spectra so far.
    shift, total, scatter : arrays (B,), (B,), (B, B)
        Sums of ``x − shift`` and of its outer products.
    pairs, noise : int, array (B, B)
        Number and sum of outer products of differences of neighbouring pixels.
    """

    bands: int
    count: int = 0
    pairs: int = 0
    shift: Spectra | None = None
    total: Spectra = field(init=False)
    scatter: Spectra = field(init=False)
    noise: Spectra = field(init=False)

    def __post_init__(self) -> None:
        self.total = np.zeros(self.bands)
        self.scatter = np.zeros((self.bands, self.bands))
        self.noise = np.zeros((self.bands, self.bands))

    def add(self, spectra: Spectra) -> None:
        """Take in spectra (n, B); they are overwritten."""
        if not len(spectra):
            return
        if self.shift is None:
            self.shift = spectra.mean(axis=0)
        spectra -= self.shift
        self.count += len(spectra)
        self.total += spectra.sum(axis=0)
        self.scatter += spectra.T @ spectra  # NumPy sees the transpose and calls SYRK: half of GEMM's work

    def add_differences(self, differences: Spectra) -> None:
        """Take in differences of neighbours (n, B)."""
        self.pairs += len(differences)
        self.noise += differences.T @ differences

    def statistics(self, matrix: Spectra | None = None) -> Statistics:
        """Return the statistics in the bands as they are, or of ``matrix @ x``."""
        shift = np.zeros(self.bands) if self.shift is None else self.shift
        count = max(self.count, 1)
        mean = shift + self.total / count
        scatter = self.scatter - np.outer(self.total, self.total) / count
        noise = self.noise / 2  # a difference of two pixels carries the noise of both
        if matrix is not None:
            mean, scatter, noise = matrix @ mean, matrix @ scatter @ matrix.T, matrix @ noise @ matrix.T
        return Statistics(self.count, mean, scatter, self.pairs, noise)


@dataclass(frozen=True)
class Statistics:
    """Count, mean and scatter about the mean of a set of spectra on G bands.

    Attributes
    ----------
    count : float
        Number of spectra, each counted by its weight.
    mean : array (G,)
    scatter : array (G, G)
        Sum of outer products about the mean; divided by the count it is the covariance.
    pairs, noise : float, array (G, G)
        Number of neighbour pairs, and half the sum of outer products of their differences.
    """

    count: float
    mean: Spectra
    scatter: Spectra
    pairs: float
    noise: Spectra

    def scaled(self, centre: Spectra, spread: Spectra) -> Statistics:
        """Return the statistics of ``(x − centre) / spread``."""
        outer = np.outer(spread, spread)
        return Statistics(self.count, (self.mean - centre) / spread, self.scatter / outer, self.pairs, self.noise / outer)


def join(parts: Sequence[Statistics], weights: Sequence[float] | None = None) -> Statistics:
    """Return the statistics of all parts together (Chan, Golub and LeVeque 1983), every spectrum of a part counted ``weights[part]`` times."""
    factors = np.ones(len(parts)) if weights is None else np.asarray(weights, dtype=np.float64)
    mass = np.array([part.count for part in parts]) * factors
    means = np.array([part.mean for part in parts])
    mean = mass @ means / mass.sum()
    apart = means - mean
    scatter, noise = (apart.T * mass) @ apart, np.zeros_like(parts[0].noise)
    for factor, part in zip(factors, parts, strict=True):
        scatter += factor * part.scatter
        noise += factor * part.noise
    return Statistics(float(mass.sum()), mean, scatter, float(factors @ [part.pairs for part in parts]), noise)


def pixel_chunks(cube: xr.DataArray, area: NDArray[np.bool_], used: NDArray[np.bool_] | None = None) -> Iterator[tuple[int, int, NDArray[np.intp], Spectra]]:
    """Yield the measured spectra of an area from top to bottom, a cache-sized part at a time.

    Parameters
    ----------
    cube : DataArray (y, x, band)
    area : bool array (y, x)
    used : bool array (band,), optional
        Only these bands decide whether a pixel is measured, and only they are returned.

    Yields
    ------
    first, last : int
        Rows of the cube that the part stems from (end excluded).
    pixels : int array (n,)
        Flat pixel numbers in the cube's frame.
    spectra : float64 array (n, B)
        A fresh array.
    """
    rows = np.flatnonzero(area.any(axis=1))
    columns = np.flatnonzero(area.any(axis=0))
    if not len(rows):
        return
    top, left = int(rows[0]), int(columns[0])
    # Only the box around the area is read: a crop of a large cube costs what the crop costs.
    box = cube[top : int(rows[-1]) + 1, left : int(columns[-1]) + 1]
    width, nodata = cube.shape[1], cube.attrs.get("nodata")
    for part, block in row_blocks(box):
        inside = area[top + part.start : top + part.stop, left : left + block.shape[1]]
        step = max(1, CHUNK // block.shape[1])
        for start in range(0, len(block), step):
            here = inside[start : start + step]
            y, x = np.nonzero(here)
            if not len(y):
                continue
            spectra, measured = gather(block[start : start + step], here, nodata, used)
            first = top + part.start + start
            pixels = (y + first) * width + x + left
            yield first, first + len(here), pixels if measured is None else pixels[measured], spectra


def gather(
    block: NDArray[np.generic], chosen: NDArray[np.bool_], nodata: float | None, used: NDArray[np.bool_] | None = None
) -> tuple[Spectra, NDArray[np.bool_] | None]:
    """Return the measured ones of the chosen spectra of a block (rows, x, band) as float64 (n, B), and which they are (None: all)."""
    if block.strides[2] > min(block.strides[:2]):
        # Bands far apart in memory (BSQ, BIL): pick along the pixels, which lie close together.
        upright = np.moveaxis(block, 2, 0)
        raw = (upright.reshape(len(upright), -1) if chosen.all() else upright[:, chosen]).T
    else:
        raw = block.reshape(-1, block.shape[2]) if chosen.all() else block[chosen]
    if used is not None and not used.all():
        raw = raw[:, used]
    spectra = raw.astype(np.float64)
    measured = np.ones(len(spectra), dtype=bool)
    if not np.issubdtype(raw.dtype, np.integer):
        # One sum a pixel shows a NaN or an infinity at a fraction of the cost of looking at every value.
        with np.errstate(invalid="ignore", over="ignore"):
            measured &= np.isfinite(spectra.sum(axis=1))
    if nodata is not None and (suspects := np.flatnonzero(raw[:, 0] == nodata)).size:
        measured[suspects[(raw[suspects] == nodata).all(axis=1)]] = False
    return (spectra, None) if measured.all() else (spectra[measured], measured)


def accumulate(
    cube: xr.DataArray,
    area: NDArray[np.bool_],
    moments: Moments,
    transform: Callable[[Spectra], Spectra] | None = None,
    used: NDArray[np.bool_] | None = None,
    pairs: NDArray[np.bool_] | None = None,
) -> Iterator[int]:
    """Add the spectra of an area to ``moments`` and yield the pixels done after every part.

    Parameters
    ----------
    transform : callable, optional
        Applied to spectra (n, B) first.
    used : bool array (band,), optional
        Bands to work with.
    pairs : bool array (y, x), optional
        Where given, differences between a pixel of ``area`` and its right neighbour in ``pairs`` are added as noise.
    """
    done = 0
    wanted = area
    if pairs is not None:
        wanted = area.copy()
        wanted[:, 1:] |= area[:, :-1] & pairs[:, 1:]
    flat, width = area.ravel(), area.shape[1]
    for _, _, pixels, raw in pixel_chunks(cube, wanted, used):
        spectra = raw if transform is None else transform(raw)
        own = flat[pixels]
        if pairs is not None:
            # Pixels come in order, so a right neighbour that was measured is simply the next one.
            at = np.flatnonzero((np.diff(pixels) == 1) & (pixels[1:] % width != 0) & own[:-1] & pairs.ravel()[pixels[1:]])
            moments.add_differences(spectra[at + 1] - spectra[at])
        moments.add(spectra if own.all() else spectra[own])
        done += int(own.sum())
        yield done
