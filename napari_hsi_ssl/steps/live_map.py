"""A rough map of a cube by a run that is still training: kNN on a grid of its pixels, by the newest checkpoint."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from napari_hsi_ssl import files
from napari_hsi_ssl.errors import LabelError, RunError
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.compute import shared_process
from napari_hsi_ssl.steps.bands import inputs_of
from napari_hsi_ssl.steps.branching import checkpoint_steps

PIXELS: Final = 4096
_REFERENCES: Final = 1000
_CUBES: Final = 3
"""Labelled cubes that decide beside the one that is looked at."""


def live_map(project: Project, run: str, cube: str, *, k: int = 20, pixels: int = PIXELS) -> Steps[dict[str, Any]]:
    """Classify about so many pixels of a cube, on a grid, by the labels of the project and the newest checkpoint of a run, live or not.

    Parameters
    ----------
    run, cube : str
    k : int
        Neighbours.
    pixels : int

    Returns
    -------
    dict
        ``run``, ``cube``, ``step`` (of the checkpoint), ``stride`` (pixels between two of the grid), ``path`` (TIFF of the grid's class
        numbers, whose first pixel is ``stride // 2`` from the corner), ``pixels``, ``shares``.

    Raises
    ------
    RunError
        When the run has no checkpoint yet.
    LabelError
        When there are no labels to learn from.
    """
    folder, area = project.run_folder(run), project.area(cube)
    distil = folder.config.distil
    if distil is not None and distil.input == "bands":
        raise RunError(f"run '{run}' takes all bands, of which no rough map is made; wait for it to finish, or train on components.")
    card = folder.path / "model.json"
    steps = checkpoint_steps(folder)
    if not steps or not card.exists():
        raise RunError(f"run '{run}' has no checkpoint yet; wait for its first one.")
    labelled = [name for name in (cube, *project.entries) if name in project.labelled]
    names = list(dict.fromkeys(labelled))[: 1 if cube in labelled else _CUBES]
    if not names:
        raise LabelError(f"project {project.folder.name} has no labels, by which a map is made; label some pixels first.")
    with tempfile.TemporaryDirectory() as scratch:
        references = []
        for name in names:
            labels, used = Path(scratch) / f"{name}.labels.tif", Path(scratch) / f"{name}.area.tif"
            image = project.labels(name)
            kept = np.zeros(area.shape, np.int32) if image is None else np.where(project.area(name), image, 0)
            files.write_tiff(labels, kept.astype(np.int32))
            files.write_tiff(used, project.area(name).astype(np.uint8) * 255)
            references.append({**(yield from inputs_of(project, folder, name)), "labels": str(labels), "area": str(used)})
        used = Path(scratch) / "area.tif"
        files.write_tiff(used, area.astype(np.uint8) * 255)
        out = folder.path / "live" / f"{cube}.tif"
        yield Progress(message=f"a look at {cube}")
        report = yield from shared_process().call(
            "glance",
            state=str(folder.checkpoints / f"step-{steps[-1]:09d}.pt"),
            card=str(card),
            cube={**(yield from inputs_of(project, folder, cube)), "area": str(used)},
            references=references,
            k=k,
            pixels=pixels,
            most=_REFERENCES,
            out=str(out),
        )
    return {"run": run, "cube": cube, "path": str(out), **report}
