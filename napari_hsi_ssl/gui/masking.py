"""What the mask form computes in a worker: arrays in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.config import MaskConfig
from napari_hsi_ssl.cubes.cube import band_image
from napari_hsi_ssl.explore.masks import brightness, clean_mask, polygon_mask
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps.mask import save_mask


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
