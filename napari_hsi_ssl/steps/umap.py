"""Lay a sample of pixels out by UMAP, from their components."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_hsi_ssl import files
from napari_hsi_ssl.config import UmapConfig, digest
from napari_hsi_ssl.errors import ProjectError
from napari_hsi_ssl.explore.embedding import SampleMap, check_umap, draw_pixels, umap_places
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project


def fit_umap(project: Project, config: UmapConfig) -> Steps[dict[str, Any]]:
    """Draw pixels from all cubes, lay them out, and keep their places beside the projection.

    The components go in at unit variance, as they are stored. The file is named by what it was made from, ``inlets/HASH/umap-HASH.npz``,
    and the one that was made last is shown.

    Raises
    ------
    ConfigError
        When umap-learn is not installed, or the sample is too small.
    ProjectError
        When there is no projection or no pixel.
    """
    folder = project.inlet_folder()
    areas = {entry.name: project.area(entry.name) for entry in project.entries.values() if (folder / f"{entry.name}.npy").exists()}
    for name, area in list(areas.items()):
        yield Progress(message=f"pixels of {name}")
        areas[name] = area & np.isfinite(np.asarray(project.scores(name)[..., 0]))
    if not any(area.any() for area in areas.values()):
        raise ProjectError(f"project {project.folder.name} has no used pixel with scores; make other masks or run the PCA again.")
    drawn = draw_pixels(areas, {name: project.entry(name).domain for name in areas}, config.sample, config.seed)
    check_umap(sum(len(pixels) for pixels in drawn.values()), config.neighbours)
    cubes = tuple(drawn)
    features = [np.asarray(project.scores(name)).reshape(-1, _width(project, name))[pixels].astype(np.float32) for name, pixels in drawn.items()]
    made_from = {"settings": config.model_dump(mode="json"), "pixels": [files.digest_bytes(drawn[name].tobytes()) for name in cubes], "cubes": list(cubes)}
    target = folder / f"umap-{digest(made_from)}.npz"
    if target.exists():
        target.touch()
    else:
        places = yield from umap_places(np.concatenate(features), config.neighbours, config.distance, config.seed)
        numbers = np.repeat(np.arange(len(cubes), dtype=np.int32), [len(drawn[name]) for name in cubes])
        SampleMap(cubes, numbers, np.concatenate([drawn[name] for name in cubes]), places, config.neighbours, config.seed).save(target)
    report = {
        "umap": project.relative(target),
        "inlet": folder.name,
        "pixels": {name: len(drawn[name]) for name in cubes},
        "domains": {domain: sum(len(drawn[name]) for name in cubes if project.entry(name).domain == domain) for domain in project.domains},
    }
    project.note("umap", {"settings": config.model_dump(mode="json"), **report})
    return report


def _width(project: Project, cube: str) -> int:
    return int(project.scores(cube).shape[-1])
