"""Bring cubes into a project: look at one, make a project, add, crop, remove."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from napari_hsi_ssl import files
from napari_hsi_ssl.cubes.calibrate import calibrate
from napari_hsi_ssl.cubes.cube import wavelengths
from napari_hsi_ssl.cubes.readers import find_cubes, read_cube
from napari_hsi_ssl.errors import ProjectError
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import CubeEntry, Project, unique_name

Order = Literal["C", "F"]


def info(path: Path, key: str | None = None, shape: tuple[int, int, int] | None = None, order: Order = "C") -> dict[str, Any]:
    """Describe a cube without reading its values.

    Raises
    ------
    CubeError
        When the file is no cube; `ChoiceError` when it holds several.
    """
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


def new(folder: Path, paths: Sequence[Path] = ()) -> Steps[dict[str, Any]]:
    """Make a project and add the cubes of files and folders to it; a cube's domain is its folder's name.

    Nothing is made when one of the named files is no cube.
    """
    found: list[Path] = []
    skipped: list[tuple[Path, str]] = []
    for path in paths:
        if path.is_dir():
            yield Progress(message=f"looking for cubes in {path}")
            cubes, others = find_cubes(path)
            if not cubes:
                reasons = f" (skipped: {len(others)}, the first because {others[0][1].rstrip('.')})" if others else ""
                raise ProjectError(f"{path} holds no cube{reasons}; give a folder with ENVI, TIFF, Zarr, NetCDF, HDF5, .hspy, .mat or NumPy cubes.")
            found += cubes
            skipped += others
        elif path.exists():
            found.append(path)
        else:
            raise ProjectError(f"{path} does not exist; check the path.")
    entries: dict[str, CubeEntry] = {}
    for number, path in enumerate(found):
        yield Progress(number, len(found), f"reading {path.name}")
        entry = _describe(path, taken=entries)
        entries[entry.name] = entry
    project = Project.create(folder)
    project.put(*entries.values())
    yield Progress(len(found), len(found), f"{len(found)} cubes")
    return {
        "project": str(project.folder),
        "cubes": [_row(entry) for entry in entries.values()],
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
) -> Steps[dict[str, Any]]:
    """Add a file, or every cube of a folder, to a project."""
    if not path.exists():
        raise ProjectError(f"{path} does not exist; check the path.")
    found, skipped = find_cubes(path) if path.is_dir() else ([path], [])
    if path.is_dir() and not found:
        raise ProjectError(f"{path} holds no cube; give a folder with ENVI, TIFF, Zarr, NetCDF, HDF5, .hspy, .mat or NumPy cubes.")
    if len(found) > 1 and (name or key or shape):
        raise ProjectError(f"{path} holds {len(found)} cubes, but --name, --key and --shape are for one file; add the files one by one.")
    references = {kind: project.relative(file.absolute()) for kind, file in (("white", white), ("dark", dark)) if file is not None}
    added = []
    for number, file in enumerate(found):
        yield Progress(number, len(found), f"reading {file.name}")
        if name is not None and name in project.entries:
            raise ProjectError(f"project {project.folder.name} has a cube '{name}' already; choose another --name.")
        entry = _describe(file, project.entries, domain=domain, name=name, key=key, shape=shape, order=order, references=references, project=project)
        project.put(entry)
        added.append(_row(entry))
    return {"cubes": added, "skipped": [{"path": str(file), "reason": reason} for file, reason in skipped]}


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
    references: dict[str, str] | None = None,
    project: Project | None = None,
) -> CubeEntry:
    path = path.absolute()
    cube = read_cube(path, key=key, shape=shape, order=order)
    folder = path.parent.name
    if references and project is not None:
        cube = calibrate(cube, **{kind: read_cube(project.folder / file) for kind, file in references.items()})
    centres = wavelengths(cube)
    height, width, bands = (int(side) for side in cube.shape)
    return CubeEntry(
        name=name or unique_name(path.name.split(".")[0] or path.stem, folder, taken),
        domain=domain or folder,
        path=path,
        shape=(height, width, bands),
        quantity=cube.attrs["quantity"],
        key=key,
        raw={"shape": list(shape), "order": order} if shape else None,
        wavelengths=None if centres is None else tuple(float(value) for value in centres),
        calibration=references or None,
        fingerprint=fingerprint(path, cube),
    )


def fingerprint(path: Path, cube: xr.DataArray) -> dict[str, Any]:
    """Return size, time and hash of a cube's header and of sampled blocks of its data."""
    if path.is_dir():
        return files.folder_fingerprint(path)
    data = Path(cube.attrs.get("data_file") or path)
    content = files.fingerprint(data) if data == path else files.fingerprint(path) + files.fingerprint(data)
    return {"size": data.stat().st_size, "time": data.stat().st_mtime, "hash": content}


def _row(entry: CubeEntry) -> dict[str, Any]:
    return {"name": entry.name, "domain": entry.domain, "shape": list(entry.shape), "quantity": entry.quantity, "path": str(entry.path)}
