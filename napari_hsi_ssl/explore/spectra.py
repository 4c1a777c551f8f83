"""Spectra of regions, and how alike two spectra are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from napari_hsi_ssl.cubes.cube import wavelengths
from napari_hsi_ssl.errors import CubeError
from napari_hsi_ssl.explore.chunks import Chunk, map_chunks
from napari_hsi_ssl.explore.sources import band_use
from napari_hsi_ssl.progress import Progress, Steps, run


@dataclass(frozen=True, eq=False)
class MeanSpectrum:
    """The mean and the spread of some pixels, or one pixel's spectrum, with what its numbers mean.

    Attributes
    ----------
    name : str
    cubes : tuple of str
        Where the pixels are.
    pixels : int
        Measured ones.
    mean : float64 array (band,)
        In the cube's units; NaN in bad bands of a mean.
    std : float64 array (band,) or None
        Standard deviation with the denominator n; None for a single pixel.
    wavelengths : float64 array (band,) in nm, or None
    bad : bool array (band,), or None
        Bands that are not to be trusted.
    quantity : str
    colour : str or None
        ``#rrggbb`` of a class.
    """

    name: str
    cubes: tuple[str, ...]
    pixels: int
    mean: NDArray[np.float64]
    std: NDArray[np.float64] | None
    wavelengths: NDArray[np.float64] | None
    bad: NDArray[np.bool_] | None
    quantity: str
    colour: str | None = None


def mean_spectrum(cube: xr.DataArray, mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the standard deviation of the measured spectra in a mask, read a few rows at a time.

    Parameters
    ----------
    cube : DataArray (y, x, band)
    mask : bool array (y, x)

    Returns
    -------
    mean, std : arrays (band,)
        In the cube's units, the deviation with the denominator n; NaN in bad bands.

    Raises
    ------
    CubeError
        When the mask has another shape or no measured pixel.
    """
    found = run(region_means(cube, mask.astype(np.uint8), (1,)))
    if 1 not in found:
        raise CubeError(f"{cube.name}: no pixel of the mask was measured, expected at least one; choose another region.")
    _, mean, std = found[1]
    return mean, std


def region_means(
    cube: xr.DataArray, regions: NDArray[np.integer], numbers: Sequence[int]
) -> Steps[dict[int, tuple[int, NDArray[np.float64], NDArray[np.float64]]]]:
    """Return pixels, mean and standard deviation of several regions, all in one pass that can be ended between a few rows.

    Parameters
    ----------
    cube : DataArray (y, x, band)
    regions : int array (y, x)
        The number of each pixel's region.
    numbers : sequence of int
        The regions that are wanted.

    Returns
    -------
    dict of int to (int, array (band,), array (band,))
        Measured pixels, mean, and deviation with the denominator n, NaN in bad bands. Regions without a measured pixel are left out.

    Raises
    ------
    CubeError
        When the regions have another shape.
    """
    if regions.shape != cube.shape[:2]:
        raise CubeError(f"{cube.name}: the mask has shape {regions.shape}, expected {cube.shape[:2]} (y, x); use one made for this cube.")
    used = band_use(cube)
    wanted = np.asarray(list(numbers))
    area = np.isin(regions, wanted)
    flat = regions.reshape(-1)
    message = f"mean spectra of {cube.name}"
    # About a measured spectrum, so that a large level costs no digits of the deviation.
    shift = next((part[0] for part in map_chunks(cube, _some(area), lambda chunk: chunk.spectra, used) if len(part)), None)
    if shift is None:
        shift = next((part[0] for part in map_chunks(cube, area, lambda chunk: chunk.spectra, used) if len(part)), np.zeros(used.sum()))

    def sums(chunk: Chunk) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], int]:
        apart = chunk.spectra - shift
        if len(wanted) == 1:
            return np.array([len(apart)], dtype=float), apart.sum(axis=0)[None], np.einsum("nb,nb->b", apart, apart)[None], chunk.last
        member = (flat[chunk.pixels] == wanted[:, None]).astype(np.float64)
        return member.sum(axis=1), member @ apart, member @ np.square(apart), chunk.last

    count, total, squares = np.zeros(len(wanted)), np.zeros((len(wanted), used.sum())), np.zeros((len(wanted), used.sum()))
    yield Progress(0, cube.shape[0], message)
    for part_count, part_total, part_squares, row in map_chunks(cube, area, sums, used):
        count += part_count
        total += part_total
        squares += part_squares
        yield Progress(row, cube.shape[0], message)
    found = {}
    for index, number in enumerate(wanted.tolist()):
        if not count[index]:
            continue
        mean, std = np.full(used.size, np.nan), np.full(used.size, np.nan)
        centre = total[index] / count[index]
        mean[used] = shift + centre
        std[used] = np.sqrt(np.clip(squares[index] / count[index] - centre**2, 0, None))
        found[int(number)] = (int(count[index]), mean, std)
    return found


def _some(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a few pixels of an area: a look at one spectrum must not read the whole box around it."""
    few = np.zeros_like(area)
    few.reshape(-1)[np.flatnonzero(area)[:64]] = True
    return few


def pooled(spectra: Sequence[MeanSpectrum], name: str) -> list[MeanSpectrum]:
    """Return the mean and the spread of all pixels of several means together, one for each set of bands and units among them.

    The spread within and between the parts is added up as in an analysis of variance.
    """
    groups: dict[tuple[object, ...], list[MeanSpectrum]] = {}
    for spectrum in spectra:
        centres = spectrum.wavelengths
        groups.setdefault((len(spectrum.mean), spectrum.quantity, None if centres is None else tuple(np.round(centres, 1))), []).append(spectrum)
    found = []
    for group in groups.values():
        first = group[0]
        cubes = tuple(cube for part in group for cube in part.cubes)
        weights = np.array([part.pixels for part in group], dtype=np.float64)[:, None]
        means = np.stack([part.mean for part in group])
        known = np.isfinite(means)
        weight = np.where(known, weights, 0).sum(axis=0)
        spread = np.stack([np.zeros_like(part.mean) if part.std is None else part.std for part in group])
        with np.errstate(invalid="ignore"):
            mean = np.where(known, weights * means, 0).sum(axis=0) / np.where(weight > 0, weight, np.nan)
            variance = np.where(known, weights * (np.square(spread) + np.square(means - mean)), 0).sum(axis=0) / np.where(weight > 0, weight, np.nan)
        where = cubes[0] if len(cubes) == 1 else f"{len(cubes)} cubes" if len(groups) == 1 else f"{len(cubes)} cubes like {cubes[0]}"
        bad = None if first.bad is None else np.logical_and.reduce([part.bad for part in group if part.bad is not None])
        pixels = int(weights.sum())
        found.append(MeanSpectrum(f"{name} ({where})", cubes, pixels, mean, np.sqrt(variance), first.wavelengths, bad, first.quantity, first.colour))
    return found


def described(cube: xr.DataArray, name: str, cube_name: str, pixels: int, mean: ArrayLike, std: ArrayLike | None, colour: str | None = None) -> MeanSpectrum:
    """Return a spectrum of a cube with the cube's wavelengths, bad bands and quantity."""
    bad = cube.attrs.get("bad_bands")
    return MeanSpectrum(
        name,
        (cube_name,),
        pixels,
        np.asarray(mean, dtype=np.float64),
        None if std is None else np.asarray(std, dtype=np.float64),
        wavelengths(cube),
        None if bad is None else np.asarray(bad, dtype=bool),
        str(cube.attrs.get("quantity", "unknown")),
        colour,
    )
