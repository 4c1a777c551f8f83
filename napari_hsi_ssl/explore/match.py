"""Which known spectrum is it? Libraries on a cube's bands, the nearest of them by spectral angle, and maps of the nearest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl.errors import ConfigError, CubeError
from napari_hsi_ssl.explore.chunks import Chunk, map_chunks
from napari_hsi_ssl.explore.sources import band_use
from napari_hsi_ssl.progress import Progress, Steps

if TYPE_CHECKING:
    from napari_hsi_ssl.cubes.library import SpectralLibrary

FEWEST_BANDS = 3
"""Two bands have one angle between any two materials' colours; with three a shape begins."""
_FINE = 3


@dataclass(frozen=True, eq=False)
class Matches:
    """Library entries by likeness, the most alike first.

    Attributes
    ----------
    order : int array (n,)
        Their places in the library; those without enough bands in common are left out.
    angles : float64 array (n,)
        Spectral angles in radians.
    scales : float64 array (n,)
        What each entry is multiplied by to lie over the spectrum (least squares).
    """

    order: NDArray[np.intp]
    angles: NDArray[np.float64]
    scales: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AngleMap:
    """The nearest reference of every pixel.

    Attributes
    ----------
    nearest : int32 array (y, x)
        Its number from 1; 0 where none is near enough or nothing was measured.
    angles : float32 array (y, x)
        Angle in radians to the nearest one, near enough or not; NaN where nothing was measured.
    """

    nearest: NDArray[np.int32]
    angles: NDArray[np.float32]


def on_bands(spectra: NDArray[np.floating], given: NDArray[np.floating], wanted: NDArray[np.floating]) -> NDArray[np.float64]:
    """Bring spectra from their own wavelengths to those of a cube's bands.

    Between two given wavelengths the value is interpolated linearly; where at least three of them fall into a band (a field
    spectrometer under a satellite's bands), it is their mean. A value that is not finite takes no part.

    Parameters
    ----------
    spectra : array (n, given)
    given : array (given,) in nm, in any order
    wanted : array (band,) in nm, in any order

    Returns
    -------
    float64 array (n, band)
        NaN for bands outside what a spectrum covers.
    """
    centres = np.asarray(wanted, dtype=np.float64)
    low, high = _edges(centres)
    found = np.full((len(spectra), len(centres)), np.nan)
    # Entries of one library have mostly the same gaps: one set of weights for each pattern.
    finite = np.isfinite(spectra)
    for pattern in np.unique(finite, axis=0):
        rows = np.flatnonzero((finite == pattern).all(axis=1))
        places, which, repeats = np.unique(np.asarray(given, dtype=np.float64)[pattern], return_inverse=True, return_counts=True)
        if len(places) < 2:
            continue
        values = np.zeros((len(rows), len(places)))
        np.add.at(values.T, which, np.asarray(spectra, dtype=np.float64)[rows][:, pattern].T)
        values /= repeats
        inside = (centres >= places[0]) & (centres <= places[-1])
        right = np.clip(np.searchsorted(places, centres), 1, len(places) - 1)
        share = (centres - places[right - 1]) / (places[right] - places[right - 1])
        part = values[:, right - 1] * (1 - share) + values[:, right] * share
        first, last = np.searchsorted(places, low), np.searchsorted(places, high)
        fine = last - first >= _FINE
        sums = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(values, axis=1)], axis=1)
        part[:, fine] = (sums[:, last[fine]] - sums[:, first[fine]]) / (last - first)[fine]
        part[:, ~inside] = np.nan
        found[rows] = part
    return found


def _edges(centres: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where each band begins and ends (band,): half way to its neighbours."""
    order = np.argsort(centres, kind="stable")
    ordered = centres[order]
    middle = (ordered[1:] + ordered[:-1]) / 2
    if not len(middle):
        return centres, centres
    low, high = np.empty_like(centres), np.empty_like(centres)
    low[order] = np.concatenate([[2 * ordered[0] - middle[0]], middle])
    high[order] = np.concatenate([middle, [2 * ordered[-1] - middle[-1]]])
    return low, high


def library_on_bands(
    library: SpectralLibrary, wavelengths: NDArray[np.float64] | None, bands: int, bad: NDArray[np.bool_] | None = None, name: str = "the cube"
) -> NDArray[np.float64]:
    """Return a library's spectra (n, band) on a cube's bands, NaN where they do not overlap.

    Raises
    ------
    ConfigError
        When one of the two has wavelengths and the other none, or they overlap in fewer than three good bands.
    """
    used = np.ones(bands, dtype=bool) if bad is None or np.all(bad) else ~np.asarray(bad, dtype=bool)
    if (library.wavelengths is None) != (wavelengths is None):
        without, other = (f"library '{library.name}'", name) if library.wavelengths is None else (name, f"library '{library.name}'")
        raise ConfigError(f"{without} has no wavelengths while {other} has, so their bands cannot be matched; add nm to its header.")
    if library.wavelengths is None or wavelengths is None:
        if library.spectra.shape[1] != bands:
            raise ConfigError(
                f"library '{library.name}' has {library.spectra.shape[1]} bands and {name} {bands}, neither with wavelengths, expected the same number; "
                "add nm to their headers."
            )
        return np.asarray(library.spectra, dtype=np.float64)
    found = on_bands(library.spectra, library.wavelengths, wavelengths)
    if (np.isfinite(found) & used).sum(axis=1).max(initial=0) < FEWEST_BANDS:
        raise ConfigError(
            f"library '{library.name}' covers {_span(library.wavelengths)} and {name} {_span(wavelengths)}, expected at least {FEWEST_BANDS} bands in common; "
            "choose a library of these wavelengths."
        )
    return found


def left_out(library: SpectralLibrary, references: NDArray[np.float64], bad: NDArray[np.bool_] | None, name: str) -> str | None:
    """Return a sentence where a library has no values in more than a tenth of the good bands, else None.

    Parameters
    ----------
    references : array (n, band)
        The library on these bands, as `library_on_bands` gives it.
    """
    used = np.ones(references.shape[1], dtype=bool) if bad is None or np.all(bad) else ~np.asarray(bad, dtype=bool)
    missing, count = int((used & ~np.isfinite(references).any(axis=0)).sum()), int(used.sum())
    if library.wavelengths is None or missing * 10 <= count:
        return None
    return f"library '{library.name}' covers {_span(library.wavelengths)} only, so {missing} of {count} good bands of {name} are not compared"


def _span(centres: NDArray[np.float64]) -> str:
    return f"{centres.min():.0f}–{centres.max():.0f} nm"


def rank(spectrum: NDArray[np.floating], references: NDArray[np.floating], bad: NDArray[np.bool_] | None = None) -> Matches:
    """Order references by their spectral angle to one spectrum (Kruse et al. 1993), over the bands that both have.

    Parameters
    ----------
    spectrum : array (band,)
    references : array (n, band)
        NaN where one has no value.
    bad : bool array (band,), optional
        Bands left out.

    Raises
    ------
    CubeError
        When the spectrum is zero or has fewer than three finite values.
    """
    target = np.asarray(spectrum, dtype=np.float64)
    used = np.isfinite(target) if bad is None or np.all(bad) else np.isfinite(target) & ~np.asarray(bad, dtype=bool)
    if used.sum() < FEWEST_BANDS or not target[used].any():
        raise CubeError(f"the spectrum has {used.sum()} usable bands or is zero, expected at least {FEWEST_BANDS} and a value; choose another pixel.")
    both = np.isfinite(references) & used
    values = np.where(both, references, 0.0)
    aim = np.where(used, target, 0.0)
    along = values @ aim
    own, others = np.square(values).sum(axis=1), both @ np.square(aim)
    able = (both.sum(axis=1) >= FEWEST_BANDS) & (own > 0) & (others > 0)
    product = np.sqrt(own * others)
    angles = np.arccos(np.clip(np.divide(along, product, out=np.zeros_like(along), where=able), -1, 1))
    order = np.flatnonzero(able)
    order = order[np.argsort(angles[order], kind="stable")]
    return Matches(order, angles[order], along[order] / own[order])


def angle_map(cube: xr.DataArray, references: NDArray[np.floating], max_angle: float, area: NDArray[np.bool_] | None = None) -> Steps[AngleMap]:
    """Give every pixel the reference at the smallest spectral angle (spectral angle mapper, Kruse et al. 1993).

    One product of matrices in float32 for some thousand pixels at a time, in several threads; the cube is read once.

    Parameters
    ----------
    cube : DataArray (y, x, band)
        Bad bands are left out.
    references : array (k, band)
        On the cube's bands; bands that are NaN in any of them are left out for all, so that angles can be compared.
    max_angle : float
        Radians; a pixel farther than this from every reference gets 0.
    area : bool array (y, x), optional
        The pixels that are mapped; all by default.

    Raises
    ------
    CubeError
        When the references have another number of bands, one is zero, or they share fewer than three bands.
    """
    given = np.asarray(references, dtype=np.float64)
    used = band_use(cube)
    if given.ndim != 2 or given.shape[1] != used.size or not len(given):
        raise CubeError(f"{cube.name}: the references have shape {given.shape}, expected (k, {used.size}); bring them to the cube's bands first.")
    used = used & np.isfinite(given).all(axis=0)
    if used.sum() < FEWEST_BANDS:
        raise CubeError(f"{cube.name}: the references share {used.sum()} good bands, expected at least {FEWEST_BANDS}; use references of these wavelengths.")
    lengths = np.linalg.norm(given[:, used], axis=1)
    if not (lengths > 0).all():
        raise CubeError(f"{cube.name}: reference {int(np.argmin(lengths)) + 1} is zero in every band, expected a measured spectrum; leave it out.")
    directions = (given[:, used] / lengths[:, None]).astype(np.float32)
    nearest, angles = np.zeros(cube.shape[:2], dtype=np.int32), np.full(cube.shape[:2], np.nan, dtype=np.float32)
    flat_nearest, flat_angles = nearest.reshape(-1), angles.reshape(-1)

    def fill(chunk: Chunk) -> int:
        spectra = chunk.spectra
        cosines = directions @ spectra.T
        best = cosines.argmax(axis=0)
        norms = np.sqrt(np.einsum("nb,nb->n", spectra, spectra))
        top = np.divide(np.take_along_axis(cosines, best[None], 0)[0], norms, out=np.full(len(norms), np.nan, np.float32), where=norms > 0)
        angle = np.arccos(np.clip(top, -1.0, 1.0))
        flat_angles[chunk.pixels] = angle
        flat_nearest[chunk.pixels] = np.where(angle <= max_angle, best + 1, 0)
        return chunk.last

    message = f"spectral angles of {cube.name}"
    yield Progress(0, cube.shape[0], message)
    whole = np.ones(cube.shape[:2], dtype=bool) if area is None else area
    for row in map_chunks(cube, whole, fill, used, np.float32):
        yield Progress(row, cube.shape[0], message)
    return AngleMap(nearest, angles)
