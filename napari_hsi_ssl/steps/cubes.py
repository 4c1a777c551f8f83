"""Bring cubes into a project: look at one, make a project, add, crop, remove."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import xarray as xr

from napari_hsi_ssl import files
from napari_hsi_ssl.cubes.calibrate import Exposures
from napari_hsi_ssl.cubes.cube import wavelengths
from napari_hsi_ssl.cubes.readers import find_cubes, is_cube_folder, read_cube
from napari_hsi_ssl.cubes.references import calibrated, exposures, find_references
from napari_hsi_ssl.cubes.saturation import find_saturated, glance
from napari_hsi_ssl.errors import CubeError, ProjectError
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import CubeEntry, Project, unique_name

Order = Literal["C", "F"]
_GLANCE_SECONDS: Final = 0.4
"""How long all cubes that are added together are looked at for saturated pixels."""
_NAMED: Final = 6
"""Cubes of a folder that are listed by name."""


def info(path: Path, key: str | None = None, shape: tuple[int, int, int] | None = None, order: Order = "C") -> dict[str, Any]:
    """Describe a cube without reading its values; of a folder, the one cube in it.

    Raises
    ------
    CubeError
        When the file is no cube, or the folder holds none or several; `ChoiceError` when the file holds several.
    """
    path = _one_cube(path)
    cube = read_cube(path, key=key, shape=shape, order=order)
    centres = wavelengths(cube)
    height, width, bands = (int(side) for side in cube.shape)
    return {
        "name": str(cube.name),
        "path": str(path),
        "shape": [height, width, bands],
        "bands": bands,
        "wavelengths": None if centres is None else centres.tolist(),
        "wavelength_range_nm": None if centres is None else [float(centres.min()), float(centres.max())],
        "quantity": cube.attrs["quantity"],
        "type": str(cube.dtype),
        "layout": cube.attrs.get("interleave") or cube.attrs.get("layout"),
        "nodata": cube.attrs.get("nodata"),
        "bad_bands": [int(band) for band in np.flatnonzero(cube.attrs.get("bad_bands", []))],
        "memory": int(cube.dtype.itemsize * height * width * bands),
    }


def check(path: Path, key: str | None = None, shape: tuple[int, int, int] | None = None, order: Order = "C") -> Steps[dict[str, Any]]:
    """Describe a cube and read it once: how many pixels are saturated, and at which number."""
    path = _one_cube(path)
    report = info(path, key, shape, order)
    found = yield from find_saturated(read_cube(path, key=key, shape=shape, order=order))
    count = int(found.pixels.sum())
    if count:
        yield Progress(message=f"{count} pixels of {path.name} are saturated (at {found.ceiling:g})", warning=True)
    return {**report, "saturated": count, "ceiling": found.ceiling, "references": {kind: str(file) for kind, file in find_references(path).items()}}


def _one_cube(path: Path) -> Path:
    """Return the cube that a file or a folder stands for."""
    if not path.is_dir() or is_cube_folder(path):
        return path
    cubes, _ = _cubes_in(path)
    if len(cubes) > 1:
        listed = ", ".join(str(cube.relative_to(path)) for cube in cubes[:_NAMED]) + (f" and {len(cubes) - _NAMED} more" if len(cubes) > _NAMED else "")
        raise CubeError(f"{path} holds {len(cubes)} cubes, expected one to describe; name one of them: {listed}.")
    return cubes[0]


def _cubes_in(folder: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Return the cubes of a folder, at least one, and what was passed over with the reason."""
    cubes, others = find_cubes(folder)
    if not cubes:
        reasons = f" (skipped: {len(others)}, the first because {others[0][1].rstrip('.')})" if others else ""
        raise ProjectError(f"{folder} holds no cube{reasons}; give a folder with ENVI, TIFF, Zarr, NetCDF, HDF5, .hspy, .mat or NumPy cubes.")
    return cubes, others


def new(folder: Path, paths: Sequence[Path] = ()) -> Steps[dict[str, Any]]:
    """Make a project and add the cubes of files and folders to it; a cube's domain is its folder's name.

    Nothing is made when one of the named files is no cube.
    """
    found: list[Path] = []
    skipped: list[tuple[Path, str]] = []
    for path in paths:
        if path.is_dir():
            yield Progress(message=f"looking for cubes in {path}")
            cubes, others = _cubes_in(path)
            found += cubes
            skipped += others
        elif path.exists():
            found.append(path)
        else:
            raise ProjectError(f"{path} does not exist; check the path.")
    entries: dict[str, CubeEntry] = {}
    until = time.monotonic() + _GLANCE_SECONDS
    for number, path in enumerate(found):
        yield Progress(number, len(found), f"reading {path.name}")
        entry, raw = _describe(path, taken=entries)
        entries[entry.name] = entry
        yield from _glanced(entry.name, raw, until)
    project = Project.create(folder)
    project.put(*entries.values())
    yield Progress(len(found), len(found), f"{len(found)} cubes")
    return {
        "project": str(project.folder),
        "cubes": [entry_row(entry) for entry in entries.values()],
        "skipped": [{"path": str(path), "reason": reason} for path, reason in skipped],
    }


def add(
    project: Project,
    path: Path,
    *,
    domain: str | None = None,
    name: str | None = None,
    key: str | None = None,
    shape: tuple[int, int, int] | None = None,
    order: Order = "C",
    white: Path | None = None,
    dark: Path | None = None,
    panel: float | Path | None = None,
    exposure: Exposures | None = None,
    references: Literal["auto", "none"] = "none",
) -> Steps[dict[str, Any]]:
    """Add a file, or every cube of a folder, to a project.

    Parameters
    ----------
    white, dark : Path, optional
        References of all that is added: a frame, a line or a spectrum.
    panel : float or Path, optional
        The white panel's own reflectance: a fraction, or a table of wavelengths and reflectances.
    exposure : (float or None, …), optional
        Exposure times of cube, white and dark; by default as their headers state them.
    references : {"none", "auto"}
        ``auto`` takes each cube's references from beside its file where none is given; see `cubes.references.find_references`.
    """
    if not path.exists():
        raise ProjectError(f"{path} does not exist; check the path.")
    found, skipped = find_cubes(path) if path.is_dir() else ([path], [])
    if path.is_dir() and not found:
        raise ProjectError(f"{path} holds no cube; give a folder with ENVI, TIFF, Zarr, NetCDF, HDF5, .hspy, .mat or NumPy cubes.")
    if len(found) > 1 and (name or key or shape):
        raise ProjectError(f"{path} holds {len(found)} cubes, but --name, --key and --shape are for one file; add the files one by one.")
    given = {kind: file.absolute() for kind, file in (("white", white), ("dark", dark)) if file is not None}
    if (panel is not None or exposure is not None) and not given and references == "none":
        raise ProjectError("--panel and --exposure belong to a white or dark reference, but none was given; add --white, or --references auto.")
    if isinstance(panel, Path) and not panel.is_file():
        raise ProjectError(f"--panel: {panel} does not exist, expected a fraction such as 0.5 or a table of wavelengths and reflectances; check it.")
    known, added = project.entries, []
    if name is not None and name in known:
        raise ProjectError(f"project {project.folder.name} has a cube '{name}' already; choose another --name.")
    entries: list[CubeEntry] = []
    until = time.monotonic() + _GLANCE_SECONDS
    try:
        for number, file in enumerate(found):
            yield Progress(number, len(found), f"reading {file.name}")
            found_here = {**(find_references(file) if references == "auto" else {}), **given}
            if references == "auto" and not found_here:
                words = "no white or dark reference lies beside it, expected names such as WHITEREF_NAME; give them with --white and --dark"
                yield Progress(message=f"{file} is added as it was recorded: {words}", warning=True)
            calibration = calibration_of(project, file, found_here, panel, exposure)
            entry, raw = _describe(file, known, domain=domain, name=name, key=key, shape=shape, order=order, calibration=calibration, project=project)
            known[entry.name] = entry
            entries.append(entry)
            yield from _glanced(entry.name, raw, until)
            row = entry_row(entry)
            if calibration:
                row["calibration"] = calibration
            added.append(row)
    finally:  # saved once, not for every cube; those before a bad one, or before the user cancels, are in
        if entries:
            project.put(*entries)
    return {"cubes": added, "skipped": [{"path": str(file), "reason": reason} for file, reason in skipped]}


def calibration_of(
    project: Project, cube: Path, references: Mapping[str, Path], panel: float | Path | None = None, exposure: Exposures | None = None
) -> dict[str, Any] | None:
    """Return what the project notes of a cube's calibration: paths relative to it, the panel, the exposures; None without references."""
    if not references:
        return None
    noted: dict[str, Any] = {kind: project.relative(file.absolute()) for kind, file in references.items()}
    if panel is not None:
        noted["panel"] = project.relative(panel.absolute()) if isinstance(panel, Path) else float(panel)
    times = exposure or exposures(cube, references.get("white"), references.get("dark"))
    if times is not None:
        noted["exposure"] = list(times)
    return noted


def crop(project: Project, cube: str, box: tuple[int, int, int, int] | None) -> Steps[dict[str, Any]]:
    """Use only a box y0, x0, y1, x1 (ends excluded) of a cube; None uses the whole frame again."""
    height, width, _ = project.entry(cube).shape
    if box is not None:
        y0, x0, y1, x1 = box
        if not (0 <= y0 < y1 <= height and 0 <= x0 < x1 <= width):
            raise ProjectError(f"crop of cube '{cube}': the box {box} does not lie in its {height}×{width} pixels; give Y0,X0,Y1,X1 with Y0 < Y1 and X0 < X1.")
    project.set_crop(cube, box)
    yield Progress(1, 1, f"{cube} cropped" if box else f"{cube}: whole frame")
    return {"cube": cube, "crop": list(box) if box else None}


def remove(project: Project, cube: str) -> Steps[dict[str, Any]]:
    """Forget a cube; its file, masks, labels and maps stay where they are."""
    project.remove(cube)
    yield Progress(1, 1, f"{cube} removed from the project")
    return {"cube": cube}


def _describe(
    path: Path,
    taken: dict[str, CubeEntry],
    *,
    domain: str | None = None,
    name: str | None = None,
    key: str | None = None,
    shape: tuple[int, int, int] | None = None,
    order: Order = "C",
    calibration: dict[str, Any] | None = None,
    project: Project | None = None,
) -> tuple[CubeEntry, xr.DataArray]:
    path = path.absolute()
    cube = raw = read_cube(path, key=key, shape=shape, order=order)
    folder = path.parent.name
    if project is not None:
        cube = calibrated(cube, calibration, project.folder)
    centres = wavelengths(cube)
    height, width, bands = (int(side) for side in cube.shape)
    entry = CubeEntry(
        name=name or unique_name(path.name.split(".")[0] or path.stem, folder, taken),
        domain=domain or folder,
        path=path,
        shape=(height, width, bands),
        quantity=cube.attrs["quantity"],
        key=key,
        raw={"shape": list(shape), "order": order} if shape else None,
        wavelengths=None if centres is None else tuple(float(value) for value in centres),
        calibration=calibration,
        fingerprint=fingerprint(path, cube),
    )
    return entry, raw


def _glanced(name: str, raw: xr.DataArray, until: float) -> Steps[None]:
    """Warn where a cube that is added holds saturated pixels, as far as a few of its rows tell within the time that is left."""
    found = glance(raw, until) if time.monotonic() < until else None
    if found is not None:
        count, seen, ceiling = found
        share = f"{count / seen:.1%}" if count / seen >= 0.001 else "a few"
        yield Progress(message=f"cube '{name}' holds saturated pixels (about {share} are at {ceiling:g}); they can be left out of its mask", warning=True)


def fingerprint(path: Path, cube: xr.DataArray) -> dict[str, Any]:
    """Return size, time and hash of a cube's header and of sampled blocks of its data."""
    if path.is_dir():
        return files.folder_fingerprint(path)
    data = Path(cube.attrs.get("data_file") or path)
    content = files.fingerprint(data) if data == path else files.fingerprint(path) + files.fingerprint(data)
    return {"size": data.stat().st_size, "time": data.stat().st_mtime, "hash": content}


def entry_row(entry: CubeEntry) -> dict[str, Any]:
    """Return what a report says of a cube."""
    return {"name": entry.name, "domain": entry.domain, "shape": list(entry.shape), "quantity": entry.quantity, "path": str(entry.path)}
