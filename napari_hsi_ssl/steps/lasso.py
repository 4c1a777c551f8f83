"""What a lasso in the scatter becomes: masks or a class of all cubes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.errors import ConfigError, ProjectError
from napari_hsi_ssl.explore.brush import checked_polygon
from napari_hsi_ssl.explore.density import Plane
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps.coordinates import CellCache, Pair, Space, pair_of
from napari_hsi_ssl.steps.labels import save_painted
from napari_hsi_ssl.steps.mask import save_mask
from napari_hsi_ssl.steps.scatter import Mode, Stroke, select

How = Literal["set", "add", "remove"]


def combined(mask: NDArray[np.bool_] | None, selected: NDArray[np.bool_], how: How) -> NDArray[np.bool_]:
    """Return a mask (y, x) set to, extended by, or freed of selected pixels; without a mask every pixel is in it.

    Raises
    ------
    ConfigError
        When no pixel would be left.
    """
    made = selected.copy()  # also where there is no mask to add to: every pixel is in it already
    if how == "remove":
        made = ~selected if mask is None else mask & ~selected
    elif how == "add" and mask is not None:
        made |= mask
    if not made.any():
        raise ConfigError("the mask would hold no pixel any more, expected at least one; select fewer pixels to remove.")
    return made


def strokes_around(
    project: Project, corners: Sequence[tuple[float, float]], x: int = 1, y: int = 2, space: Space = "components", mode: Mode = "new"
) -> tuple[Stroke, ...]:
    """Return a lasso around corners (x, y) in the plane of two components (from 1) of the current projection.

    Several are put together with ``+``; of all but the first ``mode`` says whether they "add" or "subtract".
    """
    polygon = checked_polygon(corners)
    inlet = pair_of(project, space=space).inlet
    (x0, y0), (x1, y1) = polygon.min(axis=0), polygon.max(axis=0)
    room = max(x1 - x0, y1 - y0) * 0.01
    plane = Plane(((float(x0 - room), float(x1 + room)), (float(y0 - room), float(y1 + room))))
    return (Stroke(Pair(x - 1, y - 1, space, inlet), plane, polygon, mode),)


def lasso_counts(project: Project, strokes: Sequence[Stroke], cubes: Sequence[str] | None = None, *, outside: bool = False) -> Steps[dict[str, Any]]:
    """Count the pixels that lassos hold; parameters as of `lasso_masks`."""
    held = yield from _held(project, strokes, cubes, outside, None)
    return {"cubes": {cube: {"selected": int(selected.sum())} for cube, selected in held.items()}}


def lasso_masks(
    project: Project, strokes: Sequence[Stroke], how: How = "set", cubes: Sequence[str] | None = None, *, outside: bool = False, cache: CellCache | None = None
) -> Steps[dict[str, Any]]:
    """Make masks of the pixels that lassos hold, and save them; a cube that would be left without a pixel keeps its mask.

    Parameters
    ----------
    project : Project
    strokes : sequence of Stroke
    how : {"set", "add", "remove"}
    cubes : sequence of str, optional
        All by default.
    outside : bool
        Whether pixels outside the present masks count too.
    cache : CellCache, optional

    Raises
    ------
    ProjectError
        When the lassos hold no pixel of any cube.
    """
    report: dict[str, Any] = {"cubes": {}, "warnings": []}
    held = yield from _held(project, strokes, cubes, outside, cache)
    for number, (cube, selected) in enumerate(held.items()):
        yield Progress(number, len(held), f"mask of {cube}")
        if not selected.any() and how != "set":
            continue
        try:
            made = combined(project.mask(cube), selected, how)
        except ConfigError:
            message = f"cube '{cube}' would be left without a pixel, so its mask stays as it was"
            report["warnings"].append(message)
            yield Progress(number, len(held), message, warning=True)
            continue
        report["cubes"][cube] = {"selected": int(selected.sum()), **save_mask(project, cube, made)}
    return report


def lasso_class(
    project: Project, strokes: Sequence[Stroke], name: str, cubes: Sequence[str] | None = None, *, outside: bool = False, cache: CellCache | None = None
) -> Steps[dict[str, Any]]:
    """Give the pixels that lassos hold a class, an existing one or a new one, and save the labels; other labels stay.

    Parameters as of `lasso_masks`.
    """
    if not name.strip():
        raise ConfigError("the class has no name, expected one; give it after --class.")
    classes = project.classes
    known = {text: number for number, text in zip(classes.numbers, classes.names, strict=True)}
    number = known.get(name.strip(), max(classes.numbers, default=0) + 1)
    held = yield from _held(project, strokes, cubes, outside, cache)
    report: dict[str, Any] = {"class": name.strip(), "number": number, "cubes": {}}
    for cube, selected in held.items():
        if selected.any():
            labels = project.labels(cube)
            labels = np.zeros(selected.shape, dtype=np.int32) if labels is None else labels
            labels[selected] = number
            yield from save_painted(project, cube, labels, {number: name.strip()})
            report["cubes"][cube] = {"selected": int(selected.sum())}
    return report


def _held(
    project: Project, strokes: Sequence[Stroke], cubes: Sequence[str] | None, outside: bool, cache: CellCache | None
) -> Steps[dict[str, NDArray[np.bool_]]]:
    held = {}
    for cube in cubes or list(project.entries):
        held[cube] = yield from select(project, cube, strokes, outside=outside, cache=cache)
    if not any(selected.any() for selected in held.values()):
        raise ProjectError(f"the lasso holds no pixel of {', '.join(held)}; draw it around points of the scatter.")
    return held
