"""The training-free embedding of a project's cubes: made when it is first asked for, kept until what it was made from changes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.config import PcaConfig, digest
from napari_hsi_ssl.explore.pca import Source
from napari_hsi_ssl.explore.sources import band_use
from napari_hsi_ssl.mapping.training_free import VERSION, Shape, embed, fit_shape
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps.pca import fit_pca


def training_free_inlet(project: Project, *, current: bool = False) -> Steps[dict[str, Any]]:
    """Make the inlet of the training-free embedding: denoised MNF of standardised bands; with ``current`` it becomes the project's own."""
    counts = [int(band_use(project.prepared(name)).sum()) for name in project.entries] or [2]
    return (yield from fit_pca(project, PcaConfig.training_free(min(256, max(counts)), min(30, *counts)), current=current))


def embeddings(project: Project, areas: Mapping[str, NDArray[np.bool_]]) -> Steps[dict[str, Path]]:
    """Return the files (y, x, d) of the training-free embeddings of some cubes, float16, NaN outside of the areas (y, x) given."""
    report = yield from training_free_inlet(project)
    inlet = report["inlet"]
    projection = project.projection(inlet)
    shape = yield from _shape(project, inlet)
    found: dict[str, Path] = {}
    for name, area in areas.items():
        made_from = {"inlet": inlet, "version": VERSION, "area": files.digest_bytes(np.packbits(area).tobytes())}
        path = project.folder / "embeddings" / digest(made_from) / f"{name}.npy"
        scores = project.scores(name, inlet)
        wanted = (*area.shape, scores.shape[2] + projection.grid.size)
        if not files.is_whole_npy(path, wanted):
            with files.atomic_path(path) as temporary:
                out = files.empty_npy(temporary, wanted)
                source = Source(name, project.entry(name).domain, project.prepared(name), area)
                yield from embed(scores, projection, source, shape, out)
                out.flush()
                del out
        found[name] = path
    yield Progress(1, 1, "training-free embedding")
    return found


def _shape(project: Project, inlet: str) -> Steps[Shape]:
    path = project.inlet_folder(inlet) / "shape.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as kept:
            return Shape(kept["mean"], float(kept["spread"]))
    sources = [Source(entry.name, entry.domain, project.prepared(entry.name), project.area(entry.name)) for entry in project.entries.values()]
    shape = yield from fit_shape(project.projection(inlet), [source for source in sources if source.area.any()])
    files.write_npz(path, mean=shape.mean, spread=np.asarray(shape.spread))
    return shape
