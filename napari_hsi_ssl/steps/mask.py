"""Find the foreground of cubes: by a rule, or as drawn in the window. A mask never touches the cube."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.config import MaskConfig
from napari_hsi_ssl.errors import ProjectError
from napari_hsi_ssl.explore.masks import make_mask
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project


def preview_mask(project: Project, cube: str, config: MaskConfig) -> Steps[NDArray[np.bool_]]:
    """Return the mask (y, x) that a rule gives, without saving it."""
    yield Progress(0, 1, f"mask of {cube}")
    height, width, _ = project.entry(cube).shape
    frame = np.ones((height, width), dtype=bool)
    if project.entry(cube).crop is not None:
        y0, x0, y1, x1 = project.entry(cube).crop or (0, 0, height, width)
        frame[:] = False
        frame[y0:y1, x0:x1] = True
    pc1 = np.asarray(project.scores(cube)[..., 0], dtype=np.float32) if config.source == "pc1" and config.method != "all" else None
    return make_mask(project.cube(cube), config, area=frame, pc1=pc1)


def make_masks(project: Project, config: MaskConfig, cubes: Sequence[str] | None = None) -> Steps[dict[str, Any]]:
    """Find and save the masks of some cubes, or of all."""
    names = list(cubes or project.entries)
    if not names:
        raise ProjectError(f"project {project.folder.name} has no cubes yet; add some with `napari-hsi-ssl add`.")
    report: dict[str, Any] = {}
    for number, name in enumerate(names):
        yield Progress(number, len(names), f"mask of {name}")
        mask = yield from preview_mask(project, name, config)
        report[name] = save_mask(project, name, mask)
        if not mask.any():
            yield Progress(number, len(names), f"the mask of cube '{name}' is empty: choose another rule, or it is left out of everything", warning=True)
    project.note("mask", {"settings": config.model_dump(mode="json"), "cubes": names})
    return {"cubes": report, "settings": config.model_dump(mode="json")}


def save_mask(project: Project, cube: str, mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Save a drawn or computed mask (y, x) and say how much it covers."""
    project.save_mask(cube, mask)
    return {"pixels": int(mask.sum()), "share": float(mask.mean())}
