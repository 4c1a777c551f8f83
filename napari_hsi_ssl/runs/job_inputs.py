"""What the jobs of the compute process have in common: models, stored values and areas, by their paths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.cubes.rasters import read_raster
from napari_hsi_ssl.errors import ProjectError, RunError
from napari_hsi_ssl.learning.checkpoint import Card, load_model
from napari_hsi_ssl.learning.data import open_scores
from napari_hsi_ssl.learning.distil import DistilNetwork
from napari_hsi_ssl.learning.encoder import SimCLRModel
from napari_hsi_ssl.learning.inlets import inlet_scores
from napari_hsi_ssl.mapping.frames import Stored, ThroughInlet
from napari_hsi_ssl.progress import Progress, Steps

Model = SimCLRModel | DistilNetwork
Area = NDArray[np.bool_]


def open_model(model: str, inlet: str) -> tuple[Model, Card]:
    """Read a model and its card, and refuse another inlet than it was made for."""
    network, card = load_model(Path(model))
    pinned = card.get("inlet_sha256")
    if pinned is not None and (not Path(inlet).exists() or files.file_hash(Path(inlet)) != pinned):
        raise RunError(f"{model} was made for another inlet than {inlet}; use the PCA the run was trained with, or train again on this one.")
    return place(network), card


def place(network: Model) -> Model:
    """Put a network on the GPU where there is one."""
    return network.to("cuda") if torch.cuda.is_available() else network


def stored(network: Model, cube: Mapping[str, Any]) -> NDArray[Any]:
    """Return a cube's scores (y, x, k): from their file, or by the network's inlet from the file of its bands."""
    return inlet_scores(network, cube["domain"], open_scores(Path(cube["bands"]))) if "bands" in cube else open_scores(Path(cube["scores"]))


def values_of(network: Model, cube: Mapping[str, Any]) -> Stored:
    """Return what `stored` does, read from the disk and sent through the inlet only where it is asked for."""
    return ThroughInlet(network, cube["domain"], open_scores(Path(cube["bands"]))) if "bands" in cube else open_scores(Path(cube["scores"]))


def area_of(path: str | None, shape: tuple[int, ...]) -> Area:
    """Read which pixels (y, x) are used; all of them without a path."""
    if path is None:
        return np.ones(shape, dtype=bool)
    area = read_raster(path) != 0
    if area.shape != tuple(shape):
        raise ProjectError(f"{path} has shape {area.shape}, expected {tuple(shape)} as the scores have; make mask and PCA again.")
    return np.asarray(area)


def told(steps: Steps[Any], what: str) -> Steps[Any]:
    """Drive a step and say before each of its messages what it is about."""
    while True:
        try:
            progress = next(steps)
        except StopIteration as stop:
            return stop.value
        yield Progress(progress.done, progress.total, f"{what}: {progress.message}")
