"""Two coordinates of every pixel of a project: components or a UMAP, read some rows at a time, and the cells of a plane they lie in."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.errors import ConfigError, ProjectError
from napari_hsi_ssl.explore.density import Plane, robust_limits
from napari_hsi_ssl.explore.embedding import SampleMap
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project

Space = Literal["components", "umap"]
_ROWS = 2**19  # pixels that are read at a time
_SAMPLE = 2**18
_FEWEST = 1000
_CACHE_BYTES = 2**29


@dataclass(frozen=True)
class Pair:
    """Two coordinates of a project's pixels.

    Attributes
    ----------
    x, y : int
        Components, or axes of the UMAP, from 0.
    space : {"components", "umap"}
    inlet : str
        The projection that they belong to.
    """

    x: int
    y: int
    space: Space
    inlet: str


@dataclass
class CellCache:
    """In which cell of a plane the pixels of cubes lie, kept between a drawing and a lasso; the oldest go where memory is short."""

    most_bytes: int = _CACHE_BYTES
    _kept: OrderedDict[tuple[Any, ...], NDArray[np.int32]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: tuple[Any, ...]) -> NDArray[np.int32] | None:
        """Return cells (n,), or None when they are not kept."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def clear(self) -> None:
        """Keep nothing any more."""
        with self._lock:
            self._kept.clear()

    def put(self, key: tuple[Any, ...], cells: NDArray[np.int32]) -> None:
        """Keep cells (n,) where they fit."""
        with self._lock:
            self._kept[key] = cells
            self._kept.move_to_end(key)
            spare = sum(kept.nbytes for kept in self._kept.values()) - self.most_bytes
            while spare > 0 and self._kept:
                spare -= self._kept.popitem(last=False)[1].nbytes


class Coordinates:
    """Reads two coordinates of the pixels of a project's cubes.

    Parameters
    ----------
    project : Project
    pair : Pair

    Raises
    ------
    ProjectError
        When the projection, or its UMAP, is not there.
    """

    def __init__(self, project: Project, pair: Pair) -> None:
        self.pair = pair
        self._project = project
        projection = project.projection(pair.inlet)
        self.explained: NDArray[np.float64] = np.asarray(projection.explained, dtype=np.float64)
        self.word = projection.word
        self._scale = projection.scale.astype(np.float32)
        self._map: SampleMap | None = None
        count = len(projection.components)
        if pair.space == "umap":
            self._map = load_umap(project, pair.inlet)
            self.word, count = "UMAP", self._map.places.shape[1]
            self.explained = np.zeros(0)
        for axis, number in (("x", pair.x), ("y", pair.y)):
            if not 0 <= number < count:
                raise ConfigError(f"--{axis} is {number + 1}, but there are {count} {self.word} axes; use a number from 1 to {count}.")

    @property
    def count(self) -> int:
        """Number of components that can be shown."""
        return 2 if self._map is not None else len(self._scale)

    def cubes(self) -> list[str]:
        """Return the cubes that have coordinates."""
        names = list(self._project.entries)
        if self._map is not None:
            return [name for name in names if name in self._map.cubes]
        folder = self._project.inlet_folder(self.pair.inlet)
        return [name for name in names if (folder / f"{name}.npy").exists()]

    def at(self, cube: str, pixels: NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return x and y (n,) of pixels, by their flat numbers; NaN where they have none."""
        if self._map is not None:
            x, y = self._map.at(cube, pixels)[:, [self.pair.x, self.pair.y]].T
            return x, y
        scores = self._project.scores(cube, self.pair.inlet)
        flat = scores.reshape(-1, scores.shape[-1])
        x, y = (flat[pixels, number].astype(np.float32) * self._scale[number] for number in (self.pair.x, self.pair.y))
        return x, y

    def blocks(self, cube: str) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.float32]]]:
        """Yield the first flat pixel number, x and y of some pixels after the other, all of the frame."""
        size = int(np.prod(self._project.entry(cube).shape[:2]))
        if self._map is not None:
            for start in range(0, size, _ROWS):
                yield start, *self.at(cube, np.arange(start, min(start + _ROWS, size)))
            return
        scores = self._project.scores(cube, self.pair.inlet)
        flat = scores.reshape(-1, scores.shape[-1])
        for start in range(0, size, _ROWS):
            block = flat[start : start + _ROWS]
            x, y = (block[:, number].astype(np.float32) * self._scale[number] for number in (self.pair.x, self.pair.y))
            yield start, x, y

    def limits(self, areas: Mapping[str, NDArray[np.bool_] | None]) -> Plane:
        """Return a plane that shows the pixels of some areas (y, x), None for whole frames, whatever their extremes."""
        total = sum(int(np.prod(self._project.entry(cube).shape[:2])) for cube in areas)
        xs, ys = [], []
        for cube, area in areas.items():
            height, width = self._project.entry(cube).shape[:2]
            step = max(1, min(height // 8, total // _SAMPLE)) if self._map is None else 1
            chosen = _rows(height, width, step)
            if area is not None:
                flat = area.reshape(-1)
                chosen = chosen[flat[chosen]]
                if len(chosen) < _FEWEST:
                    chosen = np.flatnonzero(flat)
                    chosen = chosen[:: max(1, len(chosen) // _SAMPLE)]
            x, y = self.at(cube, chosen)
            xs.append(x)
            ys.append(y)
        return Plane(robust_limits(np.concatenate(xs), np.concatenate(ys)))

    def cells(self, cube: str, plane: Plane, cache: CellCache | None = None) -> Steps[NDArray[np.int32]]:
        """Return the cells (n,) of all pixels of a cube's frame."""
        key = (self._project.folder, self.pair, cube, plane)
        kept = cache.get(key) if cache is not None else None
        if kept is not None:
            return kept
        size = int(np.prod(self._project.entry(cube).shape[:2]))
        cells = np.empty(size, dtype=np.int32)
        for start, x, y in self.blocks(cube):
            plane.cells(x, y, out=cells[start : start + len(x)])
            yield Progress(start + len(x), size, f"reading {cube}")
        if cache is not None:
            cache.put(key, cells)
        return cells


def _rows(height: int, width: int, step: int) -> NDArray[np.intp]:
    """Return the flat numbers of every n-th row's pixels."""
    return (np.arange(step // 2, height, step)[:, None] * width + np.arange(width)).ravel()


def load_umap(project: Project, inlet: str) -> SampleMap:
    """Load the UMAP that was made last of a projection.

    Raises
    ------
    ProjectError
        When there is none.
    """
    found = sorted(project.inlet_folder(inlet).glob("umap-*.npz"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise ProjectError(f"projection {inlet} of project {project.folder.name} has no UMAP yet; make it with `napari-hsi-ssl umap {project.folder}`.")
    return SampleMap.load(found[-1])


def has_umap(project: Project) -> bool:
    """Whether the current projection has a UMAP."""
    return project.inlet is not None and any(project.inlet_folder().glob("umap-*.npz"))


def pair_of(project: Project, x: int = 0, y: int = 1, space: Space = "components") -> Pair:
    """Return two coordinates of the current projection; numbers beyond its last component mean the last."""
    last = 1 if space == "umap" else len(project.projection().components) - 1
    return Pair(min(max(x, 0), last), min(max(y, 0), last), space, project.inlet_folder().name)
