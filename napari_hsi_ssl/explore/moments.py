"""Mean and covariance of spectra in one pass over cubes that need not fit into memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl.explore.chunks import Chunk, Spectra, finite, first_spectra, map_chunks
from napari_hsi_ssl.threads import one_blas_thread

BLOCK = 4096  # spectra that are summed at a time


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

    def add(self, part: Part) -> None:
        """Take in the sums of some spectra about `shift`."""
        self.count += part.count
        self.total += part.total
        self.scatter += part.scatter
        if part.noise is not None:
            self.pairs += part.pairs
            self.noise += part.noise

    @property
    def offset(self) -> float:
        """How many times larger than about the mean the squares about `shift` are, in the band where it is most: what rounding grows by."""
        about = np.diag(self.scatter)
        centred = about - self.total**2 / max(self.count, 1)
        return float(np.max(about / np.maximum(centred, 1e-12 * about), where=about > 0, initial=1.0))

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
class Part:
    """What one part of a cube adds to `Moments`; the fields mean the same."""

    count: int
    total: Spectra
    scatter: Spectra
    pairs: int = 0
    noise: Spectra | None = None


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


def accumulate(
    cube: xr.DataArray,
    area: NDArray[np.bool_],
    moments: Moments,
    transform: Callable[[Spectra], Spectra] | None = None,
    used: NDArray[np.bool_] | None = None,
    pairs: NDArray[np.bool_] | None = None,
    alike: Callable[[Spectra], NDArray[np.bool_]] | None = None,
    kind: type[np.floating] = np.float64,
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
    alike : callable, optional
        Takes differences (n, B) and returns which of them (n,) count.
    kind : type
        What every `BLOCK` spectra are summed in, before these sums are added up in float64. float32 takes half the time, and the covariance of n
        spectra is off by about ``2⁻²⁴ √(BLOCK / n)`` of its largest variance.
    """
    done = 0
    wanted = area
    if pairs is not None:
        wanted = area.copy()
        wanted[:, 1:] |= area[:, :-1] & pairs[:, 1:]
    flat, width = area.ravel(), area.shape[1]
    if moments.shift is None:
        with one_blas_thread():
            first = first_spectra(cube, area, used, every=8)
            if not len(first):
                return
            moments.shift = (first if transform is None else transform(first)).mean(axis=0).astype(kind).astype(np.float64)
    shift, own = moments.shift.astype(kind), threading.local()
    bands = len(shift)
    raw = transform is None and pairs is None

    def summed(spectra: Spectra) -> tuple[Spectra, Spectra]:
        """Return sums (B,) and sums of outer products (B, B) about the shift."""
        room: Spectra | None = getattr(own, "room", None)
        if room is None:
            # The last column, of ones, gives the sums in the same product, which is fastest with a multiple of 8 columns (103 take a fifth longer than 104).
            own.room = room = np.zeros((BLOCK, -(-(bands + 1) // 8) * 8), kind)
            room[:, -1] = 1
        products = np.zeros((room.shape[1], room.shape[1]))
        for start in range(0, len(spectra), BLOCK):
            some = spectra[start : start + BLOCK]
            block = room[: len(some)]
            np.subtract(some, shift, out=block[:, :bands], casting="same_kind")
            products += block.T @ block  # NumPy sees the transpose and calls SYRK: half of GEMM's work.
        return products[-1, :bands], products[:bands, :bands]

    def sums(chunk: Chunk) -> Part:
        spectra = chunk.spectra if transform is None else transform(chunk.spectra)
        inside = flat[chunk.pixels]
        count, noise = 0, None
        if pairs is not None:
            # Pixels come in order, so a right neighbour that was measured is simply the next one.
            following = chunk.pixels[1:]
            at = np.flatnonzero((np.diff(chunk.pixels) == 1) & (following % width != 0) & inside[:-1] & pairs.ravel()[following])
            differences = spectra[at + 1] - spectra[at]
            if alike is not None:
                differences = differences[alike(differences)]
            count, noise = len(differences), differences.T @ differences
        if not inside.all():
            spectra = spectra[inside]
        with np.errstate(invalid="ignore", over="ignore"):
            total, scatter = summed(spectra)
        if raw and not np.isfinite(total).all():
            spectra = spectra[finite(spectra)]
            total, scatter = summed(spectra)
        return Part(len(spectra), total, scatter, count, noise)

    for part in map_chunks(cube, wanted, sums, used, None if raw else kind, passing=True):
        moments.add(part)
        done += part.count
        yield done
