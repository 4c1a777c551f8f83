"""The classes of a project: added, renamed, recoloured, merged."""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np

from napari_hsi_ssl import files
from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project

MOST_CLASSES: Final = 255
"""Of those that are added here: strokes and maps of up to 255 classes are drawn without being translated."""


def add_class(project: Project, name: str | None = None, colour: str | None = None) -> Steps[dict[str, Any]]:
    """Add a class with the next free number; returns its ``number`` and all ``classes``."""
    classes = project.classes
    number = max(classes.numbers, default=0) + 1
    if number > MOST_CLASSES:
        raise LabelError(f"the project has a class number {number - 1}, expected less than {MOST_CLASSES} before another is added; merge some.")
    return {"number": number, **(yield from _changed(project, number, name or f"class {number}", colour))}


def change_class(project: Project, number: int, name: str | None = None, colour: str | None = None) -> Steps[dict[str, Any]]:
    """Rename or recolour a class; what is None stays.

    Raises
    ------
    LabelError
        When there is no such class, another one has the name, or the colour is not ``#rrggbb``.
    """
    _need(project.classes, number)
    return (yield from _changed(project, number, name, colour))


def merge_classes(project: Project, number: int, into: int) -> Steps[dict[str, Any]]:
    """Make a class part of another one: in the labels and strokes of every cube, and in the list of classes.

    Returns
    -------
    dict
        ``classes``, ``pixels`` (labelled and painted ones that changed their class), ``cubes`` (that have such pixels).
    """
    classes = project.classes
    _need(classes, number)
    _need(classes, into)
    if number == into:
        raise LabelError(f"class {number} cannot be merged into itself; name two classes.")
    names = [name for name in project.entries if name in project.labelled | project.painted]
    changed, pixels = [], 0
    for done, name in enumerate(names):
        yield Progress(done, len(names), f"{classes.named[number]} becomes {classes.named[into]} in {name}")
        count = 0
        for path, image in ((project.labels_path(name), project.labels(name)), (project.strokes_path(name), project.strokes(name))):
            if image is not None and (image == number).any():
                count += int((image == number).sum())
                files.write_tiff(path, np.where(image == number, into, image).astype(np.int32))
        changed += [name] * (count > 0)
        pixels += count
    # The list comes last: a class that lost its pixels half way is still there to be merged again.
    left = classes.chosen([one for one in classes.numbers if one != number])
    project.save_classes(left)
    return {"classes": left.to_json(), "pixels": pixels, "cubes": changed}


def list_classes(project: Project) -> Steps[dict[str, Any]]:
    """Return the classes of the project."""
    yield Progress(1, 1)
    return {"classes": project.classes.to_json()}


def _changed(project: Project, number: int, name: str | None, colour: str | None) -> Steps[dict[str, Any]]:
    classes = project.classes
    names, colours = classes.named, classes.coloured
    if name is not None:
        other = next((one for one, called in names.items() if called == name and one != number), None)
        if other is not None:
            raise LabelError(f"class {other} is called '{name}' already; choose another name, or merge the two.")
        names[number] = name
    if colour is not None:
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
            raise LabelError(f"'{colour}' is no colour of the form #rrggbb; give for example #d55e00.")
        colours[number] = colour.lower()
    yield Progress(1, 1, "classes")
    made = Classes.of([*classes.numbers, number], names, colours)
    project.save_classes(made)
    return {"classes": made.to_json()}


def _need(classes: Classes, number: int) -> None:
    if number not in classes.numbers:
        known = ", ".join(f"{one} {name}" for one, name in classes.named.items()) or "none yet"
        raise LabelError(f"the project has no class number {number}, only: {known}; choose one of them.")
