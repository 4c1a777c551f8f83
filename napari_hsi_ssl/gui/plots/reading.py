"""What the explorer asks of a project, as steps for a worker thread: plain data in, plain data out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl.cubes.cube import Classes, wavelengths
from napari_hsi_ssl.errors import HsiError, LabelError, ProjectError
from napari_hsi_ssl.gui.plots.results import Result, evaluation, map_areas
from napari_hsi_ssl.gui.plots.spectrum import BandAxis, Spectrum
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project

if TYPE_CHECKING:
    from napari_hsi_ssl.explore.density import Density

_RESULTS = 20


def band_axis(cube: xr.DataArray) -> BandAxis:
    """Return what the axes of a cube's spectra are."""
    bad = cube.attrs.get("bad_bands")
    return BandAxis(cube.sizes["band"], wavelengths(cube), str(cube.attrs.get("quantity", "unknown")), None if bad is None else np.asarray(bad, dtype=bool))


def mask_spectrum(project: Project, name: str, cube: xr.DataArray, mask: NDArray[np.bool_] | None) -> Steps[tuple[Spectrum, ...]]:
    """Return the mean and the spread of a cube's mask (y, x): the one on the canvas, else the saved one.

    Raises
    ------
    ProjectError
        When the mask is empty.
    """
    yield Progress(message=f"mask of {name}")
    title = "all pixels" if mask is None and project.mask(name) is None else "mask"
    used = project.area(name) if mask is None else mask
    if not used.any():
        raise ProjectError(f"the mask of cube '{name}' is empty, so it has no mean spectrum; draw another mask.")
    return (_mean(cube, used, f"{title} ({name})", None),)


def class_spectra(
    project: Project, name: str, cube: xr.DataArray, labels: NDArray[np.integer] | None, classes: Classes | None
) -> Steps[tuple[Spectrum, ...]]:  # fmt: skip
    """Return the mean and the spread of every class of a cube: of the labels (y, x) on the canvas, else of the saved ones.

    Raises
    ------
    LabelError
        When there is no labelled pixel.
    """
    yield Progress(message=f"labels of {name}")
    if labels is None:
        labels, classes = project.labels(name), project.classes
    if labels is None or classes is None or not labels.any():
        raise LabelError(f"cube '{name}' has no labelled pixel, so there are no class means; label some first.")
    found: list[Spectrum] = []
    for number, class_name, colour in zip(classes.numbers, classes.names, classes.colours, strict=True):
        yield Progress(len(found), len(classes.numbers), f"mean spectrum of {class_name}")
        region = labels == number
        if region.any():
            found.append(_mean(cube, region, f"{class_name} ({name})", colour))
    return tuple(found)


def _mean(cube: xr.DataArray, region: NDArray[np.bool_], title: str, colour: str | None) -> Spectrum:
    from napari_hsi_ssl.explore.spectra import mean_spectrum

    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    mean, spread = mean_spectrum(cube[box], region[box])
    return Spectrum(title, mean, band_axis(cube), spread, colour)


def densities(project: Project, x: int, y: int) -> Steps[tuple[NDArray[np.float64], str, int, int, dict[str, Density]]]:
    """Return the explained shares (k,) of the current projection, its components' word, and the densities of two of them by domain."""
    from napari_hsi_ssl.steps.pca import scatter

    yield Progress(message="reading the PCA")
    projection = project.projection()
    count = len(projection.components)
    x, y = min(x, count - 1), min(y, count - 1)
    found = yield from scatter(project, x, y)
    return np.asarray(projection.explained), "MNF" if projection.method == "mnf" else "PC", x, y, found


def map_result(path: Path) -> Steps[Result]:
    """Return the areas of a saved map."""
    from napari_hsi_ssl.cubes.writers import load_map

    yield Progress(message=f"reading {path.name}")
    found = load_map(path)
    numbers, counts = np.unique(found.labels[found.labels != 0], return_counts=True)
    pixels = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    areas = {name: int(pixels.get(number, 0)) for number, name in zip(found.classes.numbers, found.classes.names, strict=True)}
    classified = found.labels != 0
    confidence = float(found.confidence[classified].mean()) if classified.any() else None
    return map_areas(path.stem.replace("--", " · "), areas, found.classes, confidence)


def saved_results(project: Project) -> Steps[list[Result]]:
    """Return what was judged and mapped in a project before, oldest first; what cannot be read any more is passed over."""
    from napari_hsi_ssl.config import read_json

    judged = [(path, path.parent.name) for path in (project.folder / "runs").glob("*/evaluation-*.json")]
    mapped = [(path, "") for path in project.maps()]
    found = []
    for path, run in sorted(judged + mapped, key=lambda pair: pair[0].stat().st_mtime)[-_RESULTS:]:
        yield Progress(message=f"reading {path.name}")
        try:
            found.append(evaluation(run, read_json(path)) if run else (yield from map_result(path)))
        except HsiError:
            continue
    return found
