"""What happens while the brush moves: a cube's embedding is made ready once, then every change of the strokes becomes a map."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.config import PaintConfig
from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.mapping.training_free import NAME as TRAINING_FREE
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps.cubes import fingerprint
from napari_hsi_ssl.steps.features import as_they_are, features, run_of
from napari_hsi_ssl.threads import one_blas_thread

if TYPE_CHECKING:
    from napari_hsi_ssl.mapping.maps import Embedding
    from napari_hsi_ssl.mapping.painted import Basis, Box, PaintedMap, Space
    from napari_hsi_ssl.mapping.suggest import Suggestion

_TELL_SECONDS: Final = 0.15

Strokes = NDArray[np.integer]
"""(y, x) in class numbers, 0 = not painted."""


@dataclass(frozen=True, eq=False)
class Ground:
    """A cube that is ready to be painted on.

    Attributes
    ----------
    cube, run : str
    space : Space
    elsewhere : (float32 array (n, d), int64 array (n,))
        Features and class numbers of what is painted on the other cubes.
    painted : dict of str to int
        How many pixels that is, by cube.
    """

    cube: str
    run: str
    space: Space
    elsewhere: tuple[NDArray[np.float32], NDArray[np.int64]]
    painted: dict[str, int]


@dataclass(frozen=True, eq=False)
class Followed:
    """A map as far as it has come.

    Attributes
    ----------
    map : PaintedMap
    complete : bool
        Whether every pixel is decided by the strokes asked for; others are as they were before.
    pixels, confidence : int64 array (n,), float64 array (n,)
        Of each class number from 0: how many pixels the map gives it, and how sure it is of them on average.
    painted : int64 array (n,)
        Painted pixels of each class number on this cube.
    outside : int
        Painted pixels that do not count: outside of the mask, or not measured.
    seconds : float
        Since the strokes were handed in.
    suggestions : list of Suggestion or None
        None where they were not asked for.
    """

    map: PaintedMap
    complete: bool
    pixels: NDArray[np.int64]
    confidence: NDArray[np.float64]
    painted: NDArray[np.int64]
    outside: int
    seconds: float
    suggestions: list[Suggestion] | None = None


def prepare_ground(project: Project, cube: str, run: str = TRAINING_FREE, *, others: bool = True) -> Steps[Ground]:
    """Make the embedding of a cube, unless it is there, and bring it into memory.

    Parameters
    ----------
    run : str
        As in `steps.classify.classify`: ``training-free``, ``spectra``, a pretraining run, or ``RUN+training-free``.
    others : bool
        Whether what is painted on other cubes counts, too.
    """
    from napari_hsi_ssl.mapping.painted import Basis, Space

    strokes = {name: image for name in painted_beside(project, cube) if (image := project.strokes(name)) is not None} if others else {}
    found, areas, _ = yield from embeddings_of(project, run, [cube, *strokes])
    basis = Basis.of(found[cube], areas[cube], standardised=not as_they_are(run))
    x, y, counts, _ = examples(found, areas, strokes, basis)
    space = yield from Space.load(found[cube], areas[cube], basis)
    return Ground(cube, run, space, (x, y), counts)


def follow(
    ground: Ground,
    strokes: Strokes,
    config: PaintConfig,
    *,
    before: PaintedMap | None = None,
    view: Box | None = None,
    stale: Callable[[], bool] = lambda: False,
    classes: Classes | None = None,
) -> Steps[Followed]:
    """Train a head on strokes (y, x) and make the map, what is looked at first; what has come so far is told as ``data["painted"]``.

    Parameters
    ----------
    before : PaintedMap, optional
        Shows where the new map has not come to yet.
    view : (slice, slice), optional
        Rows and columns that are looked at.
    stale : callable
        Says whether newer strokes have come; asked every few milliseconds.
    classes : Classes, optional
        Give the names that an error tells.

    Raises
    ------
    LabelError
        When there is nothing to tell apart.
    CancelledError
        When it has become stale.
    """
    from napari_hsi_ssl.mapping.heads import fit_head
    from napari_hsi_ssl.mapping.painted import AT_ONCE, PaintedMap, fill_map
    from napari_hsi_ssl.mapping.suggest import suggest

    begun = time.perf_counter()
    space = ground.space
    x, y, outside = space.at(strokes)
    numbers = np.concatenate((y, ground.elsewhere[1]))
    check_painted(numbers, outside, ground.cube, classes)
    with one_blas_thread():  # of so small products several threads are no quicker, and beside a training run many times slower
        head = fit_head(config.head, np.concatenate((x, ground.elsewhere[0])), numbers)
        painted = np.bincount(y)
        large = space.place.size > AT_ONCE
        found = before.copy() if before is not None and large else PaintedMap.empty(space.shape, int(head.numbers.max()))
        if int(head.numbers.max()) > np.iinfo(found.labels.dtype).max:
            found = PaintedMap.empty(space.shape, int(head.numbers.max()))
        told = -np.inf
        for _ in fill_map(space, head, found, view, stale):
            if large and time.perf_counter() - told >= _TELL_SECONDS:
                told = time.perf_counter()
                rough = max(1, round((space.place.size / AT_ONCE) ** 0.5))
                yield Progress(data={"painted": Followed(found, False, *found.counts(rough), painted, outside, told - begun)})
    done = Followed(found, True, *found.counts(), painted, outside, time.perf_counter() - begun)
    if not config.suggestions:
        return done
    yield Progress(data={"painted": done})  # the map need not wait for them, which take longer than it
    return replace(done, suggestions=suggest(found.confidence, space.place >= 0, strokes, config.suggestions))


def check_painted(numbers: NDArray[np.integer], outside: int, cube: str, classes: Classes | None = None) -> None:
    """Say in one sentence why painted pixels do not make a map.

    Parameters
    ----------
    numbers : int array (n,)
        Classes of those that count.
    outside : int
        How many do not.

    Raises
    ------
    LabelError
    """
    found = np.unique(numbers)
    if found.size >= 2:
        return
    if not found.size and outside:
        raise LabelError(f"all {outside} painted pixels of cube '{cube}' lie outside of its mask or were not measured; paint inside, or change the mask.")
    if not found.size:
        raise LabelError(f"nothing is painted on cube '{cube}' yet, expected strokes of at least two classes; paint some.")
    name = (classes or Classes((), (), ())).chosen(found.tolist()).names[0]
    raise LabelError(f"only one class ('{name}') is painted on cube '{cube}', expected at least two to tell apart; paint another class.")


def painted_beside(project: Project, cube: str) -> Iterable[str]:
    """Return the other cubes that are painted on."""
    return [name for name in project.entries if name in project.painted and name != cube]


def embeddings_of(project: Project, run: str, cubes: Iterable[str]) -> Steps[tuple[dict[str, Embedding], dict[str, NDArray[np.bool_]], dict[str, Any]]]:
    """Return the embeddings of some cubes, the areas (y, x) that they are of, and what tells where they come from."""
    areas = {name: project.area(name) for name in cubes}
    for name, area in areas.items():
        if not area.any():
            raise LabelError(f"cube '{name}' has no used pixel (its mask is empty within its crop), so there is nothing to map; make another mask.")
        if run_of(run) and not as_they_are(run):  # the training-free embedding sees to it itself
            entry = project.entry(name)
            if fingerprint(entry.path, project.raw(name))["hash"] != (entry.fingerprint or {}).get("hash"):
                words = f"the file of cube '{name}' has changed since it was added, and run '{run}' sees it as it was: use --run training-free, or train again"
                yield Progress(message=words, warning=True)
    found, told = yield from features(project, run, areas)
    return found, areas, told


def examples(
    found: Mapping[str, Embedding], areas: Mapping[str, NDArray[np.bool_]], strokes: Mapping[str, Strokes], basis: Basis
) -> tuple[NDArray[np.float32], NDArray[np.int64], dict[str, int], int]:
    """Return features (n, d) and class numbers (n,) of what is painted, how much of it counts by cube, and how much does not."""
    parts_x, parts_y = [np.zeros((0, basis.axes.shape[1]), dtype=np.float32)], [np.zeros(0, dtype=np.int64)]
    counts, outside = {}, 0
    for name, image in strokes.items():
        inside = (image != 0) & areas[name]
        values = np.asarray(found[name][inside], dtype=np.float32) if inside.any() else np.zeros((0, found[name].shape[2]), dtype=np.float32)
        measured = np.isfinite(values).all(axis=1)
        parts_x.append(basis(values[measured]))
        parts_y.append(image[inside][measured].astype(np.int64))
        counts[name] = int(np.count_nonzero(measured))
        outside += int(np.count_nonzero(image)) - counts[name]
    return np.concatenate(parts_x), np.concatenate(parts_y), counts, outside
