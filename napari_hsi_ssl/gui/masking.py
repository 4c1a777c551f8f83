"""What the mask form computes in a worker: arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.config import MaskConfig
from napari_hsi_ssl.cubes.cube import band_image
from napari_hsi_ssl.cubes.rasters import read_labels
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.explore.clusters import Clusters, assign
from napari_hsi_ssl.explore.masks import brightness, clean_mask, combine, cut_angles, cut_clusters, polygon_mask, verdict
from napari_hsi_ssl.explore.regions import angle_image
from napari_hsi_ssl.progress import Progress, Steps, run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps.mask import cluster_centres, frame, preview_mask, reference_spectra, save_mask

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ClusterPicture:
    """The clusters of a cube.

    Attributes
    ----------
    clusters : Clusters
    numbers : int8 array (y, x)
        From 0; -1 where nothing was measured.
    shares : tuple of float
        Of the measured pixels, one a cluster.
    """

    clusters: Clusters
    numbers: NDArray[np.int8]
    shares: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class NewMask:
    """A mask (y, x) for the canvas, and what is to be said of it."""

    mask: Mask
    words: str


def region_of(shape: tuple[int, int], shapes: list[NDArray[np.float64]]) -> NDArray[np.bool_]:
    """Return which pixels (y, x) lie in any of the outlines (n, 2)."""
    region = np.zeros(shape, dtype=bool)
    for vertices in shapes:
        region |= polygon_mask(shape, vertices)
    return region


def changed_mask(mask: NDArray[np.bool_], what: str, specks: int) -> NDArray[np.bool_]:
    """Invert a mask (y, x), ``fill`` its holes or drop its ``specks``."""
    if what == "invert":
        return ~mask
    return clean_mask(mask, fill_holes=what == "fill", drop_specks=specks if what == "specks" else 0)


def save_drawn(project: Project, cube: str, mask: NDArray[np.bool_]) -> Steps[dict[str, Any]]:
    """Save a mask (y, x) that was drawn."""
    yield Progress(0, 1, f"mask of {cube}")
    return save_mask(project, cube, mask)


def ruled(project: Project, cube: str, config: MaskConfig, base: Mask | None, found: Steps[Mask] | None = None) -> Steps[NewMask]:
    """Find the mask of a rule and combine it with the one on the canvas.

    Parameters
    ----------
    base : bool array (y, x) or None
        The mask that is there.
    found : generator, optional
        What gives the rule's mask, where it need not be computed from the cube.
    """
    new = yield from preview_mask(project, cube, config) if found is None else found
    area = frame(project, cube)
    mask = combine(base, new, config.combine, area)
    return NewMask(mask, verdict(mask, area, f"cube '{cube}'"))


def angle_picture(project: Project, cube: str, config: MaskConfig) -> Steps[NDArray[np.float32]]:
    """Return every pixel's angle (y, x) to the nearest of the picked ones: for any tolerance."""
    references = reference_spectra(project, cube, config)
    return (yield from angle_image(project.cube(cube), references, frame(project, cube)))


def near(angles: NDArray[np.floating], config: MaskConfig) -> Steps[Mask]:
    """Return the mask (y, x) of a tolerance."""
    yield Progress()
    return cut_angles(angles, config)


def cluster_picture(project: Project, cube: str, config: MaskConfig) -> Steps[ClusterPicture]:
    """Find the clusters of a cube, or those of the reference cube, and every pixel's number."""
    clusters = yield from cluster_centres(project, config.reference or cube, config)
    numbers = yield from assign(project.cube(cube), clusters, frame(project, cube))
    counts = np.bincount(numbers[numbers >= 0], minlength=clusters.count)
    return ClusterPicture(clusters, numbers, tuple(float(share) for share in counts / max(1, int(counts.sum()))))


def of_clusters(numbers: NDArray[np.integer], config: MaskConfig) -> Steps[Mask]:
    """Return the mask (y, x) of the foreground clusters."""
    yield Progress()
    return cut_clusters(numbers, config.foreground or (), config)


def operand(project: Project, cube: str, what: str, selection: Mask | None, path: str = "") -> Mask:
    """Return a mask (y, x) to combine with: ``saved``, ``labels``, ``labels N``, ``selection`` or ``file``.

    Raises
    ------
    HsiError
        When it is not there.
    """
    shape = project.entry(cube).shape[:2]
    if what == "selection":
        if selection is None or not selection.any():
            raise ConfigError("Nothing is selected: draw a lasso in the scatter or on the image first.")
        return selection
    if what == "file":
        return read_labels(Path(path), shape)[0] != 0
    method, _, number = what.partition(" ")
    config = MaskConfig(method="saved" if method == "saved" else "labels", classes=(int(number),) if number else ())
    return run(preview_mask(project, cube, config))


def combined_with(project: Project, cube: str, base: Mask | None, what: str, how: str, selection: Mask | None, path: str = "") -> NewMask:
    """Combine the mask (y, x) on the canvas with an operand."""
    area = frame(project, cube)
    mask = combine(base, operand(project, cube, what, selection, path), how, area)
    return NewMask(mask, verdict(mask, area, f"cube '{cube}'"))


def value_range(project: Project, name: str, config: MaskConfig) -> Steps[tuple[float, float]]:
    """Return the 0.5th and 99.5th percentile of the image that is thresholded."""
    yield Progress(message=f"values of {name}")
    if config.source == "pc1":
        image = np.asarray(project.scores(name)[..., 0], dtype=np.float32)
    elif config.source == "band":
        image = band_image(project.cube(name), config.band or 0)
    else:
        image = np.asarray(brightness(project.cube(name)))
    values = image[np.isfinite(image)]
    low, high = np.percentile(values, (0.5, 99.5)) if values.size else (0.0, 1.0)
    return float(low), float(max(high, low + 1e-6))
