"""What a scatter plot shows of a project: densities by group, and the pixels inside a lasso."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.cubes.cube import palette
from napari_hsi_ssl.errors import ConfigError, ProjectError
from napari_hsi_ssl.explore.brush import lasso
from napari_hsi_ssl.explore.density import Density, Plane
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps.coordinates import CellCache, Coordinates, Pair, pair_of

Colouring = Literal["density", "domain", "cube", "mask", "label", "map"]
COLOURINGS: tuple[Colouring, ...] = get_args(Colouring)
MASK_COLOURS = ("#0072b2", "#999999")
"""Of pixels inside and outside the masks."""
CUBE_COLOURS = ("#e69f00", "#7f8c99")
"""Of the pixels of the one cube in hand, and of all others."""
NO_CLASS = "#9a9a9a"


Mode = Literal["new", "add", "subtract"]


@dataclass(frozen=True, eq=False)
class Stroke:
    """A lasso that was drawn in a plane: it begins a selection, adds to it or takes away from it."""

    pair: Pair
    plane: Plane
    polygon: NDArray[np.float64]
    mode: Mode = "new"


@dataclass(frozen=True, eq=False)
class View:
    """What a scatter plot shows.

    Attributes
    ----------
    pair : Pair
    word : str
        "PC", "MNF" or "UMAP".
    explained : array (k,)
        Shares of the variance; none for a UMAP.
    plane : Plane
    colour : str
        What its groups are.
    densities : dict of str to Density
        One a group that has a pixel, on the same bins.
    colours : dict of str to str
        ``#rrggbb`` of the groups, empty where any will do.
    """

    pair: Pair
    word: str
    explained: NDArray[np.float64]
    plane: Plane
    colour: Colouring
    densities: dict[str, Density]
    colours: dict[str, str]

    @property
    def axes(self) -> tuple[str, str]:
        """Texts of the axes."""
        x, y = (axis_text(self.word, number, self.explained) for number in (self.pair.x, self.pair.y))
        return x, y


def axis_text(word: str, number: int, explained: Sequence[float] | NDArray[np.floating]) -> str:
    """Return the name of a component (from 0), with its share of the variance where it is known."""
    share = f" ({100 * explained[number]:.1f} %)" if number < len(explained) else ""
    return f"{word} {number + 1}{share}"


def scatter(
    project: Project,
    pair: Pair | None = None,
    colour: Colouring = "density",
    *,
    cache: CellCache | None = None,
    painted: Mapping[str, NDArray[np.integer]] | None = None,
    cube: str = "",
) -> Steps[View]:
    """Count the used pixels of all cubes in the cells of a plane, by group.

    Parameters
    ----------
    project : Project
    pair : Pair, optional
        The first two components by default.
    colour : {"density", "domain", "cube", "mask", "label", "map"}
        What the groups are: nothing, domains, cubes, inside and outside of the masks (then outside pixels are shown too), classes of the
        labels, or classes of the map made last.
    cache : CellCache, optional
        Where cells are looked for and left.
    painted : dict of str to int array (y, x), optional
        Labels that are to be used for those on disk.
    cube : str
        With the colour "cube" the one that is told apart from all others together; each from each without.

    Raises
    ------
    ProjectError
        When nothing can be shown.
    ConfigError
        When the pair has a component that is not there.
    """
    if colour not in COLOURINGS:
        raise ConfigError(f"--colour is '{colour}', expected one of {', '.join(COLOURINGS)}; choose one of these.")
    yield Progress(message="reading the PCA")
    pair = pair or pair_of(project)
    source = Coordinates(project, pair)
    cubes = source.cubes()
    areas: dict[str, NDArray[np.bool_] | None] = {}
    for name in cubes:
        area = project.area(name) if project.mask_path(name).exists() or project.entry(name).crop is not None else None
        areas[name] = None if area is not None and area.all() else area
    grouping = _Groups(project, colour, painted or {}, cube)
    limits_of = dict.fromkeys(cubes) if colour == "mask" else {name: area for name, area in areas.items() if area is None or area.any()}
    if not limits_of:
        raise ProjectError(f"project {project.folder.name} has no used pixel with scores; make other masks or run the PCA again.")
    plane = source.limits(limits_of)
    counts: dict[int, NDArray[np.int64]] = {}
    for name in cubes:
        cells = yield from source.cells(name, plane, cache)
        for group, chosen in grouping.parts(name, areas[name]):
            counts[group] = counts.get(group, 0) + plane.count(cells if chosen is None else cells[chosen])
            yield Progress(message=f"counting {name}")
    found = {grouping.names[group]: plane.density(counts[group]) for group in sorted(counts) if counts[group].any()}
    if not found:
        raise ProjectError(f"project {project.folder.name} has no used pixel with scores; make other masks or run the PCA again.")
    colours = {grouping.names[group]: grouping.colours[group] for group in counts if group in grouping.colours}
    return View(pair, source.word, source.explained, plane, colour, found, colours)


class _Groups:
    """Names, colours and members of what a scatter plot tells apart."""

    def __init__(self, project: Project, colour: Colouring, painted: Mapping[str, NDArray[np.integer]], cube: str = "") -> None:
        self._project, self._colour, self._painted = project, colour, painted
        self._cubes = {name: index for index, name in enumerate(project.entries)}
        self.names: dict[int, str] = {0: "all pixels"}
        self.colours: dict[int, str] = {}
        self._map = ""
        if colour == "domain":
            self.names = dict(enumerate(project.domains))
            self.colours = dict(zip(self.names, palette(len(self.names)), strict=True))
        elif colour == "cube" and cube:
            self._cubes = {name: int(name != cube) for name in project.entries}
            self.names, self.colours = {0: cube, 1: "other cubes"}, dict(enumerate(CUBE_COLOURS))
        elif colour == "cube":
            self.names = dict(enumerate(project.entries))
            self.colours = dict(zip(self.names, palette(len(self.names)), strict=True))
        elif colour == "mask":
            self.names, self.colours = {0: "in the masks", 1: "outside"}, dict(enumerate(MASK_COLOURS))
        elif colour == "label":
            self._classes(project.classes, "not labelled")
        elif colour == "map":
            self._open_map()

    def _classes(self, classes: Any, none: str) -> None:  # noqa: ANN401 - Classes, or what is like it
        self.names = {0: none, **dict(zip(classes.numbers, classes.names, strict=True))}
        self.colours = {0: NO_CLASS, **dict(zip(classes.numbers, classes.colours, strict=True))}

    def _open_map(self) -> None:
        from napari_hsi_ssl.cubes.writers import load_map

        maps = sorted(self._project.maps(), key=lambda path: path.stat().st_mtime)
        if not maps:
            raise ProjectError(f"project {self._project.folder.name} has no map yet; make one with `napari-hsi-ssl classify`, or colour by something else.")
        self._map = maps[-1].stem.partition("--")[2]
        self._classes(load_map(maps[-1]).classes, "no class")

    def parts(self, cube: str, area: NDArray[np.bool_] | None) -> Iterator[tuple[int, NDArray[np.bool_] | None]]:
        """Yield the groups that have pixels in a cube, and which pixels (n,) they are; None for all."""
        if self._colour in {"domain", "cube"}:
            group = self._cubes[cube] if self._colour == "cube" else self._project.domains.index(self._project.entry(cube).domain)
            yield group, None if area is None else area.ravel()
            return
        if self._colour == "mask":
            yield 0, None if area is None else area.ravel()
            if area is not None:
                yield 1, ~area.ravel()
            return
        numbers = self._numbers(cube)
        if numbers is None:
            yield 0, None if area is None else area.ravel()
            return
        flat = numbers.ravel()
        for number in np.unique(flat).tolist():
            self.names.setdefault(number, f"class {number}")
            chosen = flat == number
            yield number, chosen if area is None else chosen & area.ravel()

    def _numbers(self, cube: str) -> NDArray[np.integer] | None:
        if self._colour == "label":
            return self._painted[cube] if cube in self._painted else self._project.labels(cube)
        if self._colour == "map":
            from napari_hsi_ssl.cubes.writers import load_map

            path = self._project.folder / "maps" / f"{cube}--{self._map}.tif"
            return load_map(path).labels if path in self._project.maps() else None
        return None


def select(project: Project, cube: str, strokes: Sequence[Stroke], *, outside: bool = False, cache: CellCache | None = None) -> Steps[NDArray[np.bool_]]:
    """Return which pixels (y, x) of a cube some lassos hold, one after the other.

    Parameters
    ----------
    project : Project
    cube : str
        One without coordinates has no pixel in any lasso.
    strokes : sequence of Stroke
    outside : bool
        Whether pixels outside the mask can be held too.
    cache : CellCache, optional
        Where cells are looked for and left.
    """
    shape = project.entry(cube).shape[:2]
    held = np.zeros(shape[0] * shape[1], dtype=bool)
    for stroke in strokes:
        source = Coordinates(project, stroke.pair)
        if cube not in source.cubes():
            continue
        cells = yield from source.cells(cube, stroke.plane, cache)
        yield Progress(message=f"pixels of {cube} inside the lasso")
        here = lasso(stroke.polygon, stroke.plane, cells, partial(source.at, cube))
        if stroke.mode == "new":
            held = here
        elif stroke.mode == "add":
            held |= here
        else:
            held &= ~here
    if not outside and (project.mask_path(cube).exists() or project.entry(cube).crop is not None):
        held &= project.area(cube).ravel()
    return held.reshape(shape)


def held_by_cube(
    project: Project, cubes: Sequence[str], strokes: Sequence[Stroke], *, outside: bool = False, cache: CellCache | None = None
) -> Steps[dict[str, int]]:
    """Return how many pixels some lassos hold of each cube that has any in them, most first; arguments as `select`."""
    found: dict[str, int] = {}
    for cube in cubes:
        held = yield from select(project, cube, strokes, outside=outside, cache=cache)
        found[cube] = int(np.count_nonzero(held))
    return {cube: count for cube, count in sorted(found.items(), key=lambda one: -one[1]) if count}


def cells_counted(project: Project, cube: str, view: View, mask: NDArray[np.bool_], cache: CellCache | None = None) -> Steps[NDArray[np.int64]]:
    """Return how many pixels of a region (y, x) of a cube lie in each cell (x bin, y bin) of a view."""
    source = Coordinates(project, view.pair)
    if cube not in source.cubes():
        return np.zeros((view.plane.bins, view.plane.bins), dtype=np.int64)
    cells = yield from source.cells(cube, view.plane, cache)
    yield Progress(message=f"selected pixels of {cube}")
    return view.plane.count(cells[mask.ravel()])
