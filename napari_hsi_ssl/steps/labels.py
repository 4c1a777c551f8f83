"""Give pixels their classes: from a raster, polygons, a table, the folder, or strokes painted in the window."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.cubes.rasters import read_labels
from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project


def labels_from_file(project: Project, cube: str, path: Path, key: str | None = None) -> Steps[dict[str, Any]]:
    """Save the labels of a raster (TIFF, NPY, MAT, PNG, ENVI) or of polygons (GeoJSON, ENVI ROI) as those of a cube."""
    labels, names = read_labels(path, project.entry(cube).shape[:2], key=key)
    yield Progress(1, 1, f"{path.name} read")
    if not labels.any():
        raise LabelError(f"{path} holds no labelled pixel (all are 0), expected at least one; give another file: the labels of '{cube}' are as before.")
    return _save(project, cube, labels, names)


def save_painted(project: Project, cube: str, labels: NDArray[np.integer], names: dict[int, str] | None = None) -> Steps[dict[str, Any]]:
    """Save labels (y, x) painted in the window, with the names of their classes."""
    yield Progress(1, 1, "painted labels")
    return _save(project, cube, labels, names or {})


def label_whole_cube(project: Project, cube: str, class_name: str) -> Steps[dict[str, Any]]:
    """Give every used pixel of a cube (mask and crop) one class."""
    area = project.area(cube)
    if not area.any():
        raise LabelError(f"cube '{cube}' has no used pixel (its mask is empty within its crop), so it cannot be of class '{class_name}'; make another mask.")
    number = _number(project, class_name)
    labels = np.where(area, number, 0).astype(np.int32)
    yield Progress(1, 1, f"{cube} is {class_name}")
    return _save(project, cube, labels, {number: class_name})


def labels_from_folders(project: Project) -> Steps[dict[str, Any]]:
    """Give every cube the class of its folder's name."""
    return (yield from _label_cubes(project, {name: entry.path.parent.name for name, entry in project.entries.items()}))


def labels_from_table(project: Project, path: Path) -> Steps[dict[str, Any]]:
    """Give cubes their classes from a CSV table with the columns ``cube`` and ``class``.

    Raises
    ------
    LabelError
        When a column is missing, a cell is empty, or a cube is not in the project.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            columns, rows = list(reader.fieldnames or []), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LabelError(f"{path} cannot be read as a CSV table ({error}); save it as UTF-8 text with the columns cube and class.") from error
    if not {"cube", "class"} <= set(columns):
        raise LabelError(f"{path} has the columns {', '.join(columns) or 'none'}, expected cube and class; name the first line so.")
    classes: dict[str, str] = {}
    for line, row in enumerate(rows, start=2):
        cube, class_name = (row["cube"] or "").strip(), (row["class"] or "").strip()
        if not cube or not class_name:
            raise LabelError(f"{path}, line {line}: a cell is empty, expected a cube and its class; fill it.")
        if cube not in project.entries:
            raise LabelError(f"{path}, line {line}: the project has no cube '{cube}', only {', '.join(project.entries)}; correct the name.")
        classes[cube] = class_name
    return (yield from _label_cubes(project, classes))


def _label_cubes(project: Project, classes: dict[str, str]) -> Steps[dict[str, Any]]:
    report: dict[str, Any] = {"cubes": {}}
    for number, (cube, class_name) in enumerate(classes.items()):
        yield Progress(number, len(classes), f"{cube} is {class_name}")
        report["cubes"].update((yield from label_whole_cube(project, cube, class_name))["cubes"])
    return {**report, "classes": project.classes.to_json()}


def _number(project: Project, class_name: str) -> int:
    classes = project.classes
    known = dict(zip(classes.names, classes.numbers, strict=True))
    return known.get(class_name, max(classes.numbers, default=0) + 1)


def _save(project: Project, cube: str, labels: NDArray[np.integer], names: dict[int, str]) -> dict[str, Any]:
    project.save_labels(cube, labels, names)
    numbers, counts = np.unique(labels[labels != 0], return_counts=True)
    pixels = {str(number): int(count) for number, count in zip(numbers, counts, strict=True)}
    return {"cubes": {cube: {"labelled": int(counts.sum()), "pixels": pixels}}, "classes": project.classes.to_json()}
