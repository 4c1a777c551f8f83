"""Projects as the window makes them: for files that are added without one, and for the samples. Steps, without Qt."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from napari_hsi_ssl.cubes.calibrate import Exposures
from napari_hsi_ssl.cubes.readers import is_reference
from napari_hsi_ssl.cubes.references import exposures, find_references
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import cubes
from napari_hsi_ssl.steps.samples import SAMPLES

_LOOKED: Final = 50


def project_folder(stem: str) -> Path:
    """Return a free folder for a project nobody has given a place: in ``HSI_PROJECTS``, else ``napari-hsi-ssl`` at home."""
    base = Path(os.environ.get("HSI_PROJECTS") or Path.home() / "napari-hsi-ssl")
    folder, number = base / stem, 2
    while folder.exists():
        folder, number = base / f"{stem}-{number}", number + 1
    return folder


def open_project(folder: Path) -> Steps[Project]:
    """Open a project."""
    yield Progress(0, 1, f"opening {folder.name}")
    return Project.open(folder)


def add_paths(project: Project | None, paths: Sequence[Path], **how: Any) -> Steps[tuple[Project, dict[str, Any]]]:  # noqa: ANN401
    """Add files and folders to a project, or to a new one when there is none."""
    if project is None:
        if not how:
            report = yield from cubes.new(project_folder(paths[0].stem or "project"), paths)
            return Project.open(Path(report["project"])), report
        report = yield from cubes.new(project_folder(paths[0].stem or "project"))
        project = Project.open(Path(report["project"]))
    added: dict[str, Any] = {"cubes": [], "skipped": []}
    for path in paths:
        report = yield from cubes.add(project, path, **how)
        for part in added:
            added[part] += report[part]
    return project, added


@dataclass(frozen=True)
class Beside:
    """References that lie beside a cube.

    Attributes
    ----------
    cube : Path
    references : dict of str to Path
        ``white``, ``dark`` or both.
    exposures : tuple or None
        Of cube, white and dark, as their headers state them.
    """

    cube: Path
    references: dict[str, Path]
    exposures: Exposures | None


def look_beside(paths: Sequence[Path]) -> Steps[Beside | None]:
    """Look for references beside the first cubes of files and folders; names and headers are read only."""
    looked = 0
    for path in paths:
        for file in sorted(islice(path.rglob("*.hdr"), _LOOKED)) if path.is_dir() and path.suffix != ".zarr" else [path]:
            if path.is_dir() and is_reference(file):
                continue
            looked += 1
            yield Progress(message=f"looking for references beside {file.name}")
            found = find_references(file) if file.is_file() and looked <= _LOOKED else {}
            if found:
                return Beside(file, found, exposures(file, found.get("white"), found.get("dark")))
            if path.is_file():
                return None  # those of the first file speak for all
    return None


def add_sample(which: str) -> Steps[Project]:
    """Make a project of the sample ``indian_pines`` or ``laboratory``, labels included; one that is there already is opened."""
    folder = project_folder(which)
    for old in sorted(folder.parent.glob(f"{which}*/project.json")):
        project = Project.open(old.parent)
        if project.entries:
            yield Progress(1, 1, f"{old.parent} is there already")
            return project
    return (yield from SAMPLES[which](folder))
