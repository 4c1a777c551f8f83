"""Spectra of pixels, regions, masks and classes of one cube or many, and what they are most like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl.cubes.cube import Classes, spectrum
from napari_hsi_ssl.errors import ConfigError, LabelError, ProjectError
from napari_hsi_ssl.explore.match import left_out, library_on_bands, rank
from napari_hsi_ssl.explore.spectra import MeanSpectrum, described, pooled, region_means
from napari_hsi_ssl.explore.spectra_files import ENDINGS, write_spectra
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project

if TYPE_CHECKING:
    from napari_hsi_ssl.cubes.library import SpectralLibrary

Spectra = list[MeanSpectrum]


def cubes_of(project: Project, cube: str, scope: str) -> list[str]:
    """Return the cubes meant by "cube", "domain" (those of the cube's domain) or "all", the named one first."""
    entry = project.entry(cube)
    others = [name for name, other in project.entries.items() if name != cube and (scope == "all" or (scope == "domain" and other.domain == entry.domain))]
    return [cube, *others]


def opened(project: Project, name: str, prepared: bool = False) -> xr.DataArray:
    """Return a cube, with the project's chain of preprocessing where wanted."""
    return project.prepared(name) if prepared else project.cube(name)


def pixel_spectra(project: Project, cubes: Sequence[str], places: Sequence[tuple[int, int]], *, prepared: bool = False) -> Steps[Spectra]:
    """Return the spectra of single pixels (y, x).

    Raises
    ------
    ConfigError
        When a place lies outside a cube.
    """
    found: Spectra = []
    for name in cubes:
        yield Progress(len(found), len(cubes) * len(places), f"pixels of {name}")
        cube = opened(project, name, prepared)
        for y, x in places:
            if not (0 <= y < cube.shape[0] and 0 <= x < cube.shape[1]):
                raise ConfigError(f"pixel {y},{x} lies outside cube '{name}' of {cube.shape[0]}×{cube.shape[1]} (y, x); choose one inside.")
            found.append(described(cube, f"{y}, {x} ({name})", name, 1, spectrum(cube, y, x), None))
    return found


def region_spectra(project: Project, regions: Mapping[str, NDArray[np.bool_]], title: str, *, prepared: bool = False, pool: bool = False) -> Steps[Spectra]:
    """Return the mean and the spread of one region (y, x) in each of some cubes; with ``pool`` of all of them together.

    Raises
    ------
    ProjectError
        When the regions hold no measured pixel.
    """
    found: Spectra = []
    for index, (name, region) in enumerate(regions.items()):
        yield Progress(index, len(regions), f"{title} of {name}")
        if not region.any():
            yield Progress(index, len(regions), f"the {title} of cube '{name}' is empty, so it has no mean spectrum", warning=True)
            continue
        cube = opened(project, name, prepared)
        means = yield from _scaled(_boxed(cube, region.astype(np.uint8), (1,)), index, len(regions))
        found += [described(cube, f"{title} ({name})", name, *means[1]) for _ in means]
    if not found:
        named = ", ".join(f"'{name}'" for name in regions)
        raise ProjectError(f"the {title} of {named} holds no measured pixel, so there is no mean spectrum; choose another region.")
    return pooled(found, title) if pool else found


def mask_spectra(
    project: Project, cubes: Sequence[str], *, masks: Mapping[str, NDArray[np.bool_]] | None = None, prepared: bool = False, pool: bool = False
) -> Steps[Spectra]:
    """Return the mean and the spread of the masks of some cubes, of all pixels where there is none.

    Parameters
    ----------
    masks : mapping of cube name to bool array (y, x), optional
        Masks that are not saved yet, instead of the saved ones.
    """
    regions = {name: (masks or {})[name] if name in (masks or {}) else project.area(name) for name in cubes}
    some = any(name in (masks or {}) or project.mask_path(name).exists() for name in cubes)
    return (yield from region_spectra(project, regions, "mask" if some else "all pixels", prepared=prepared, pool=pool))


def class_spectra(
    project: Project,
    cubes: Sequence[str],
    *,
    labels: Mapping[str, tuple[NDArray[np.integer], Classes]] | None = None,
    prepared: bool = False,
    pool: bool = False,
) -> Steps[Spectra]:
    """Return the mean and the spread of every class in some cubes, cube by cube; with ``pool`` of each class over all of them.

    Parameters
    ----------
    labels : mapping of cube name to (int array (y, x), Classes), optional
        Labels that are not saved yet, instead of the saved ones.

    Raises
    ------
    LabelError
        When no cube has a labelled pixel.
    """
    found: list[tuple[int, str, MeanSpectrum]] = []
    for index, name in enumerate(cubes):
        yield Progress(index, len(cubes), f"classes of {name}")
        image, classes = (labels or {}).get(name) or (project.labels(name), project.classes)
        if image is None or not image.any():
            continue
        cube = opened(project, name, prepared)
        means = yield from _scaled(_boxed(cube, image, classes.numbers), index, len(cubes))
        looks = dict(zip(classes.numbers, zip(classes.names, classes.colours, strict=True), strict=True))
        for number, values in means.items():
            title, colour = looks[number]
            pixels, mean, std = values
            found.append((number, title, described(cube, f"{title} ({name})", name, pixels, mean, std, colour)))
    if not found:
        named = ", ".join(f"'{name}'" for name in cubes)
        raise LabelError(f"{'cube' if len(cubes) == 1 else 'cubes'} {named} have no labelled pixel, so there are no class means; label some first.")
    if not pool:
        return [mean for _, _, mean in found]
    titles = {number: title for number, title, _ in found}
    return [one for number in sorted(titles) for one in pooled([mean for other, _, mean in found if other == number], titles[number])]


def _boxed(cube: xr.DataArray, regions: NDArray[np.integer], numbers: Sequence[int]) -> Steps[dict[int, tuple[int, NDArray[np.float64], NDArray[np.float64]]]]:
    if regions.shape != cube.shape[:2]:
        return (yield from region_means(cube, regions, numbers))  # says what is wrong
    wanted = np.isin(regions, numbers)
    rows, columns = np.flatnonzero(wanted.any(axis=1)), np.flatnonzero(wanted.any(axis=0))
    if not len(rows):
        return {}
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return (yield from region_means(cube[box], regions[box], numbers))


def _scaled(steps: Steps[Any], index: int, count: int) -> Steps[Any]:
    """Pass on the progress of one part out of ``count``."""
    while True:
        try:
            progress = next(steps)
        except StopIteration as finished:
            return finished.value
        yield Progress(index + (progress.done / progress.total if progress.total else 0.0), count, progress.message, progress.warning)


# -- the verb --------------------------------------------------------------------------------------------------------------


def spectra(
    project: Project,
    cubes: Sequence[str] | None = None,
    *,
    at: Sequence[tuple[int, int]] = (),
    mask: bool = False,
    classes: bool = False,
    box: tuple[int, int, int, int] | None = None,
    polygons: Path | None = None,
    pool: bool = False,
    prepared: bool = False,
    library: Path | None = None,
    match: int = 3,
    to: Path | None = None,
) -> Steps[dict[str, Any]]:
    """Measure spectra: of pixels, of masks (the default), of classes, of a box, or of polygons in a file.

    Returns
    -------
    dict
        ``spectra``: a list with name, cubes, pixels, mean, std, wavelengths and, with a library, the ``match`` nearest entries.

    Raises
    ------
    ConfigError
        When the box lies outside, or the library or the file to write does not fit.
    """
    names = list(cubes or project.entries)
    if not names:
        raise ProjectError(f"project {project.folder.name} has no cubes yet; add some with `napari-hsi-ssl add`.")
    for name in names:
        project.entry(name)
    if to is not None and to.suffix.lower() not in ENDINGS:
        raise ConfigError(f"--to is {to.name}, but spectra are written as {' or '.join(ENDINGS)}; choose one of these endings.")
    known = None if library is None else _library(library)
    if at:
        found = yield from pixel_spectra(project, names, at, prepared=prepared)
    elif classes:
        found = yield from class_spectra(project, names, prepared=prepared, pool=pool)
    elif box is not None:
        found = yield from region_spectra(project, {name: _box(project, name, box) for name in names}, "box", prepared=prepared, pool=pool)
    elif polygons is not None:
        drawn = {name: _polygons(polygons, project.entry(name).shape[:2]) for name in names}
        found = yield from class_spectra(project, names, labels=drawn, prepared=prepared, pool=pool)
    else:
        if not mask:
            yield Progress(message="no region was named, so the masks are measured")
        found = yield from mask_spectra(project, names, prepared=prepared, pool=pool)
    rows = [_row(one) for one in found]
    if known is not None:
        for row, one in zip(rows, found, strict=True):
            row["matches"], warning = matches(one, known, match)
            if warning:
                yield Progress(message=warning, warning=True)
    if to is not None:
        write_spectra(to, found)
    more = {key: str(value) for key, value in (("to", to), ("library", library)) if value is not None}
    return {"spectra": rows, "prepared": prepared, **more}


def matches(one: MeanSpectrum, library: SpectralLibrary, count: int) -> tuple[list[dict[str, Any]], str | None]:
    """Return the ``count`` library entries at the smallest spectral angle to a spectrum (name, angle in radians, scale), and `left_out`."""
    references = library_on_bands(library, one.wavelengths, len(one.mean), one.bad, f"'{one.name}'")
    found = rank(one.mean, references, one.bad)
    best = zip(found.order[:count].tolist(), found.angles[:count].tolist(), found.scales[:count].tolist(), strict=True)
    rows = [{"name": library.names[place], "angle": angle, "scale": scale} for place, angle, scale in best]
    return rows, left_out(library, references, one.bad, f"'{one.name}'")


def _library(path: Path) -> SpectralLibrary:
    from napari_hsi_ssl.cubes.library import read_library

    return read_library(path)


def _box(project: Project, name: str, box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    y0, x0, y1, x1 = box
    height, width, _ = project.entry(name).shape
    if not (0 <= y0 < y1 <= height and 0 <= x0 < x1 <= width):
        raise ConfigError(f"--box {y0},{x0},{y1},{x1} does not lie in cube '{name}' of {height}×{width} (y, x), expected Y0 < Y1 and X0 < X1 inside.")
    region = np.zeros((height, width), dtype=bool)
    region[y0:y1, x0:x1] = True
    return region


def _polygons(path: Path, shape: tuple[int, ...]) -> tuple[NDArray[np.integer], Classes]:
    from napari_hsi_ssl.cubes.rasters import read_labels

    labels, names = read_labels(path, shape)
    return labels, Classes.of([int(number) for number in np.unique(labels)], names)


def _row(one: MeanSpectrum) -> dict[str, Any]:
    return {
        "name": one.name,
        "cubes": list(one.cubes),
        "pixels": one.pixels,
        "quantity": one.quantity,
        "mean": one.mean.tolist(),
        "std": None if one.std is None else one.std.tolist(),
        "wavelengths": None if one.wavelengths is None else one.wavelengths.tolist(),
        "bad_bands": [] if one.bad is None else np.flatnonzero(one.bad).tolist(),
    }
