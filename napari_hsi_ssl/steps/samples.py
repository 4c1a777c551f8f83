"""Make projects of the samples: their cubes are written as files, so that the projects are like any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from napari_hsi_ssl import files
from napari_hsi_ssl.config import read_json
from napari_hsi_ssl.cubes import samples
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.errors import ConfigError, ProjectError
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps.cubes import entry_row, new
from napari_hsi_ssl.steps.labels import labels_from_file, save_painted


def indian_pines_project(folder: Path) -> Steps[Project]:
    """Make a project of the real scene Indian Pines with its ground truth as labels; the cube lies in ``folder/cubes``."""
    yield Progress(0, 2, "writing Indian Pines")
    cube, labels, classes = samples.indian_pines()
    header = folder / "cubes" / "aviris" / "indian_pines.hdr"
    write_envi_cube(header, cube)
    yield from new(folder, [header])
    project = Project.open(folder)
    yield from save_painted(project, header.stem, labels, dict(zip(classes.numbers, classes.names, strict=True)))
    return project


def laboratory_project(folder: Path) -> Steps[Project]:
    """Make a project of the synthetic laboratory of seven domains with its ground truth as labels."""
    headers = yield from samples.laboratory(folder / "cubes")
    yield from new(folder, headers)
    project = Project.open(folder)
    for number, (name, entry) in enumerate(project.entries.items()):
        yield Progress(number, len(headers), f"labels of {name}")
        yield from labels_from_file(project, name, entry.path.with_name(f"{entry.path.stem}_labels.tif"))
    # The classes of all domains, in colours that tell them apart, are known from the start.
    files.write_json(folder / "labels" / "classes.json", read_json(folder / "cubes" / "classes.json"))
    return project


SAMPLES: Final[dict[str, Callable[[Path], Steps[Project]]]] = {"indian_pines": indian_pines_project, "laboratory": laboratory_project}
"""What makes the project of each sample."""


def new_from_sample(folder: Path, name: str) -> Steps[dict[str, Any]]:
    """Make a project of a sample, labels included; nothing is written where there is a project already."""
    if name not in SAMPLES:
        raise ConfigError(f"there is no sample '{name}'; choose one of {', '.join(SAMPLES)}.")
    if (folder / "project.json").exists():
        raise ProjectError(f"{folder} is a project already; open it, or choose another folder.")
    project = yield from SAMPLES[name](folder)
    return {"project": str(project.folder), "cubes": [entry_row(entry) for entry in project.entries.values()], "skipped": []}
