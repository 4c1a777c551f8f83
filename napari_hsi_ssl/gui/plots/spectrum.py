"""One spectrum and its axis, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.explore.spectra import MeanSpectrum


@dataclass(frozen=True)
class BandAxis:
    """What the horizontal and the vertical axis of a cube's spectra are.

    Attributes
    ----------
    bands : int
    wavelengths : float64 array (band,) in nm, or None
        Without them the axis counts bands from 0.
    quantity : str
        ``dn``, ``radiance``, ``reflectance`` or ``unknown``.
    bad : bool array (band,), or None
        Bands that are not to be trusted; they are shaded.
    """

    bands: int
    wavelengths: NDArray[np.float64] | None = None
    quantity: str = "unknown"
    bad: NDArray[np.bool_] | None = None

    @property
    def x(self) -> NDArray[np.float64]:
        """Position of every band (band,) on the axis."""
        return np.arange(self.bands, dtype=np.float64) if self.wavelengths is None else self.wavelengths

    def same(self, other: BandAxis) -> bool:
        """Whether another axis has the same bands, bad ones included, and the same units."""
        mine, theirs = (self.wavelengths, self.bad), (other.wavelengths, other.bad)
        return (self.bands, self.quantity) == (other.bands, other.quantity) and all(
            (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b)) for a, b in zip(mine, theirs, strict=True)
        )

    def name(self, band: int) -> str:
        """Return how a band is called beside the cursor."""
        return f"band {band}" if self.wavelengths is None else f"{self.wavelengths[band]:.1f} nm"


@dataclass(frozen=True)
class Spectrum:
    """One curve: a pixel's spectrum, or the mean of a region with its spread.

    Attributes
    ----------
    name : str
        Unique among the pinned ones: a second of the same name replaces the first.
    values : float array (band,)
    axis : BandAxis
        Of the cube it comes from.
    spread : float array (band,), optional
        Standard deviation; drawn as a band around the mean.
    colour : str, optional
        ``#rrggbb``; the next free one when not given.
    pixels : int
        How many were measured; 0 for an entry of a library.
    cubes : tuple of str
        Where they are.
    """

    name: str
    values: NDArray[np.floating]
    axis: BandAxis
    spread: NDArray[np.floating] | None = None
    colour: str | None = None
    pixels: int = 1
    cubes: tuple[str, ...] = ()

    @property
    def shown(self) -> NDArray[np.float64]:
        """The values (band,) as they are drawn: bad bands are gaps."""
        return gapped(self.values, self.axis.bad)


def gapped(values: NDArray[np.floating], bad: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    """Return values (band,) with NaN in the bad bands, unless all are called bad."""
    found = np.array(values, dtype=np.float64)
    if bad is not None and bad.shape == found.shape and not bad.all():
        found[bad] = np.nan
    return found


def runs_of(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return start and stop (excluded) of every run of True in ``flags`` (n,)."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in steps.reshape(-1, 2)]


def measured(spectrum: Spectrum) -> MeanSpectrum:
    """Return a curve as the steps and the files know it."""
    axis = spectrum.axis
    spread = None if spectrum.spread is None else np.asarray(spectrum.spread, dtype=np.float64)
    values = np.asarray(spectrum.values, dtype=np.float64)
    return MeanSpectrum(spectrum.name, spectrum.cubes, spectrum.pixels, values, spread, axis.wavelengths, axis.bad, axis.quantity, spectrum.colour)


def curve(found: MeanSpectrum) -> Spectrum:
    """Return what a step measured as a curve."""
    axis = BandAxis(len(found.mean), found.wavelengths, found.quantity, found.bad)
    return Spectrum(found.name, found.mean, axis, found.std, found.colour, found.pixels, found.cubes)


def pinned_at(name: str, y: int, x: int, label: str = "") -> str:
    """Return what a pinned pixel is called: its cube, its place, and its class where it has one."""
    return f"{y}, {x}" + (f" · {label}" if label else "") + f" ({name})"
