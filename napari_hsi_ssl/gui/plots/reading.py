"""What the explorer asks of a project, as steps for a worker thread: plain data in, plain data out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl.cubes.cube import wavelengths
from napari_hsi_ssl.errors import HsiError
from napari_hsi_ssl.explore.match import Matches, library_on_bands, rank
from napari_hsi_ssl.gui.plots.results import Result, evaluation, map_areas
from napari_hsi_ssl.gui.plots.spectrum import BandAxis, Spectrum
from napari_hsi_ssl.gui.plots.views import RAW, in_view
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project

if TYPE_CHECKING:
    from napari_hsi_ssl.cubes.library import SpectralLibrary

_RESULTS = 20


def band_axis(cube: xr.DataArray) -> BandAxis:
    """Return what the axes of a cube's spectra are."""
    bad = cube.attrs.get("bad_bands")
    return BandAxis(cube.sizes["band"], wavelengths(cube), str(cube.attrs.get("quantity", "unknown")), None if bad is None else np.asarray(bad, dtype=bool))


def library(path: Path) -> Steps[SpectralLibrary]:
    """Read a spectral library."""
    from napari_hsi_ssl.cubes.library import read_library

    yield Progress(message=f"reading {path.name}")
    return read_library(path)


def library_match(known: SpectralLibrary, target: Spectrum, view: str) -> Steps[tuple[Matches, NDArray[np.float64]]]:
    """Return the order of a library's entries by likeness to a curve, as the view shows both, and the entries (n, band) on its bands."""
    yield Progress(message=f"comparing with {known.name}")
    axis = target.axis
    references = library_on_bands(known, axis.wavelengths, axis.bands, axis.bad, f"'{target.name}'")
    if view == RAW:
        return rank(target.values, references, axis.bad), references
    usable = references if axis.bad is None or axis.bad.all() else np.where(axis.bad, np.nan, references)
    aim, compared = in_view(target.shown, axis.wavelengths, view), in_view(usable, axis.wavelengths, view)
    by_shape, by_value = rank(aim, compared, axis.bad), rank(target.values, references, axis.bad)
    scales = np.ones(len(references))
    scales[by_value.order] = by_value.scales
    return Matches(by_shape.order, by_shape.angles, scales[by_shape.order]), references


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
