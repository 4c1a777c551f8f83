"""Spectral angle mapper: each pixel of a cube to the nearest of some reference spectra."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.config import AnglesConfig, digest
from napari_hsi_ssl.cubes.cube import Classes, ClassMap, palette, wavelengths
from napari_hsi_ssl.cubes.library import SpectralLibrary, read_library, write_library
from napari_hsi_ssl.cubes.writers import confidence_path, save_map
from napari_hsi_ssl.errors import ConfigError, CubeError
from napari_hsi_ssl.explore.match import angle_map, left_out, library_on_bands
from napari_hsi_ssl.explore.spectra import MeanSpectrum
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps.spectra import class_spectra, opened, pixel_spectra

if TYPE_CHECKING:
    from collections.abc import Iterable

RUN, METHOD = "angles", "sam"
_MOST_NAMED = 3


@dataclass(frozen=True, eq=False)
class References:
    """Spectra that pixels are compared with, on the bands of one cube.

    Attributes
    ----------
    spectra : float64 array (k, band)
        NaN where one has no value.
    classes : Classes
        Numbers, names and colours of the map's classes, one a spectrum.
    """

    spectra: NDArray[np.float64]
    classes: Classes


def references_of(cube: xr.DataArray, spectra: Sequence[MeanSpectrum]) -> References:
    """Bring measured or pinned spectra to a cube's bands, by wavelength where they come from elsewhere.

    Raises
    ------
    ConfigError
        When there is none, or one cannot be brought there.
    """
    if not spectra:
        raise ConfigError("there is no reference spectrum, expected at least one; pin a pixel, a mean or a library entry first.")
    ours, bands = wavelengths(cube), int(cube.shape[2])
    rows = []
    for one in spectra:
        theirs = one.wavelengths
        same = len(one.mean) == bands and (ours is None) == (theirs is None) and (ours is None or theirs is None or np.allclose(ours, theirs, atol=0.05))
        single = SpectralLibrary(one.name, (one.name,), theirs, one.mean[None], one.quantity)
        rows.append(one.mean if same else library_on_bands(single, ours, bands, cube.attrs.get("bad_bands"), f"cube '{cube.name}'")[0])
    numbers = tuple(range(1, len(spectra) + 1))
    colours: list[str] = []
    for one in spectra:
        free = (colour for colour in palette(2 * len(spectra)) if colour not in colours)
        colours.append(one.colour if one.colour is not None and one.colour not in colours else next(free))
    return References(np.stack(rows), Classes(numbers, tuple(one.name for one in spectra), tuple(colours)))


def _fits(cube: xr.DataArray, spectrum: MeanSpectrum) -> bool:
    """Whether a spectrum can be brought to a cube's bands."""
    try:
        references_of(cube, [spectrum])
    except ConfigError:
        return False
    return True


def library_references(cube: xr.DataArray, library: SpectralLibrary) -> References:
    """Bring all entries of a library to a cube's bands."""
    spectra = library_on_bands(library, wavelengths(cube), int(cube.shape[2]), cube.attrs.get("bad_bands"), f"cube '{cube.name}'")
    numbers = tuple(range(1, len(library.names) + 1))
    return References(spectra, Classes(numbers, tuple(library.names), palette(len(numbers))))


def angles(
    project: Project,
    cubes: Sequence[str],
    config: AnglesConfig,
    *,
    library: Path | None = None,
    classes: bool = False,
    at: Sequence[tuple[int, int]] = (),
    out: Path | None = None,
) -> Steps[dict[str, Any]]:
    """Map cubes by the spectral angle to a library's entries, to the class means, or to some of their own pixels.

    Class means are those of the cube's own labels; of all labelled cubes together where it has none.

    Raises
    ------
    ConfigError
        When there is not one kind of reference, or ``out`` would have to hold several maps.
    """
    given = [name for name, value in (("--library", library), ("--classes", classes), ("--at", at)) if value]
    if len(given) != 1:
        raise ConfigError(f"the references come from one of --library, --classes and --at, found {' and '.join(given) or 'none'}; give exactly one.")
    if out is not None and len(cubes) != 1:
        raise ConfigError(f"--out names one file, but {len(cubes)} cubes are mapped; choose one with --cube NAME.")
    for name in cubes:
        project.entry(name)
    known = None if library is None else read_library(library)
    maps = []
    for index, name in enumerate(cubes):
        yield Progress(index, len(cubes), f"references of {name}")
        cube = opened(project, name, config.prepared)
        if known is not None:
            references = library_references(cube, known)
            warning = left_out(known, references.spectra, cube.attrs.get("bad_bands"), f"cube '{name}'")
            if warning:
                yield Progress(message=warning, warning=True)
        elif classes:
            own = project.labels(name)
            means = yield from class_spectra(project, [name] if own is not None and own.any() else list(project.entries), prepared=config.prepared, pool=True)
            references = _of_classes(project, references_of(cube, means), means)
        else:
            pixels = yield from pixel_spectra(project, [name], at, prepared=config.prepared)
            references = references_of(cube, pixels)
        words = ["--library", str(library)] if library is not None else ["--classes"] if classes else [word for y, x in at for word in ("--at", f"{y},{x}")]
        maps.append((yield from save_angle_map(project, name, references, config, _command(project, name, config, words))))
        if out is not None:
            files.write_tiff(out, maps[-1].pop("labels"))
            maps[-1]["out"] = str(out)
        maps[-1].pop("labels", None)
    return {"method": METHOD, "max_angle": config.max_angle, "maps": maps}


def _of_classes(project: Project, references: References, means: Sequence[MeanSpectrum]) -> References:
    """Give class means the project's own class numbers; a class of several sets of bands is there once, by the first of them."""
    classes = project.classes
    numbers = dict(zip(classes.names, classes.numbers, strict=True))
    rows: dict[int, int] = {}
    for row, one in enumerate(means):
        title = one.name.rpartition(" (")[0]
        if title in numbers:
            rows.setdefault(numbers[title], row)
    kept = sorted(rows)
    looks = {number: (name, colour) for number, name, colour in zip(classes.numbers, classes.names, classes.colours, strict=True)}
    return References(
        references.spectra[[rows[number] for number in kept]],
        Classes(tuple(kept), tuple(looks[number][0] for number in kept), tuple(looks[number][1] for number in kept)),
    )


def pinned_angles(project: Project, name: str, spectra: Sequence[MeanSpectrum], config: AnglesConfig) -> Steps[dict[str, Any]]:
    """Map a cube by the spectral angle to spectra pinned in the window; they are kept as a library beside the map, so that it can be remade.

    Those that do not fit the cube's bands are left out, with a warning.

    Raises
    ------
    ConfigError
        When none fits.
    """
    yield Progress(message=f"references of {name}")
    cube = opened(project, name, config.prepared)
    unfit = [one.name for one in spectra if not _fits(cube, one)]
    if unfit:
        curves = f"{len(unfit)} pinned curves have" if len(unfit) > 1 else f"The pinned curve “{unfit[0]}” has"
        named = f" (“{'”, “'.join(unfit[:_MOST_NAMED])}”{', …' if len(unfit) > _MOST_NAMED else ''})" if len(unfit) > 1 else ""
        if len(unfit) == len(spectra):
            raise ConfigError(f"{curves} other bands than cube '{name}'{named}, and no other curve is ticked; pin a pixel or a mean of this cube first.")
        yield Progress(message=f"{curves} other bands than cube '{name}'{named}: left out, mapped with the other {len(spectra) - len(unfit)}.", warning=True)
    references = references_of(cube, [one for one in spectra if one.name not in unfit])
    beside = project.map_path(name, RUN, METHOD).with_suffix(".sli")
    quantity = str(cube.attrs.get("quantity", "unknown"))
    write_library(beside, SpectralLibrary(beside.stem, references.classes.names, wavelengths(cube), references.spectra, quantity))
    report = yield from save_angle_map(project, name, references, config, _command(project, name, config, ["--library", str(beside)]))
    report.pop("labels")
    return {"method": METHOD, "max_angle": config.max_angle, "maps": [report]}


def save_angle_map(project: Project, name: str, references: References, config: AnglesConfig, command: str) -> Steps[dict[str, Any]]:
    """Compute a map within the cube's mask and crop and save it; confidence is 1 − angle / largest angle.

    Returns
    -------
    dict
        Cube, path, areas, seconds, and ``labels``: int32 array (y, x) in class numbers.
    """
    started = time.monotonic()
    cube = opened(project, name, config.prepared)
    area = project.area(name)
    if not area.any():
        raise CubeError(f"cube '{name}' has no used pixel (its mask is empty within its crop), so there is nothing to map; make another mask.")
    found = yield from angle_map(cube, references.spectra, config.max_angle, area)
    numbers = np.array([0, *references.classes.numbers], dtype=np.int32)
    labels = numbers[found.nearest]
    confidence = np.where(labels > 0, 1 - found.angles / config.max_angle, 0).astype(np.float32)
    provenance = {
        "run": RUN,
        "method": METHOD,
        "cube": name,
        "settings": config.model_dump(mode="json"),
        "config_hash": digest([config.model_dump(mode="json"), references.classes.to_json(), np.nan_to_num(references.spectra).round(9).tolist()]),
        "cube_hash": (project.entry(name).fingerprint or {}).get("hash"),
        "references": list(references.classes.names),
        "confidence": "1 - angle / max_angle",
        "command": command,
    }
    path = project.map_path(name, RUN, METHOD)
    yield Progress(1, 1, f"writing {path.name}")
    save_map(path, ClassMap(labels, references.classes, confidence, provenance))
    counts = np.bincount(found.nearest.reshape(-1), minlength=len(numbers))
    areas = dict(zip(references.classes.names, counts[1:].tolist(), strict=True))
    measured = np.isfinite(found.angles)
    report = {"cube": name, "path": str(path), "confidence": str(confidence_path(path)), "areas": areas, "not_mapped": int((area & (labels == 0)).sum())}
    mean_angle = float(found.angles[measured].mean()) if measured.any() else None
    return {**report, "mean_angle": mean_angle, "seconds": time.monotonic() - started, "labels": labels}


def _command(project: Project, cube: str, config: AnglesConfig, words: Iterable[str]) -> str:
    prepared = ["--prepared"] if config.prepared else []
    return shlex.join(["napari-hsi-ssl", "angles", str(project.folder), "--cube", cube, *words, "--max-angle", f"{config.max_angle:g}", *prepared])
