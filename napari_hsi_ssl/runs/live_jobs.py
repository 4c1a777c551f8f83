"""What the compute process does while a run is still training: a rough map by the network as it stands at its newest checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.config import read_json
from napari_hsi_ssl.cubes.rasters import read_labels
from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.learning.checkpoint import build_model, load_state
from napari_hsi_ssl.learning.encoder import channels_last
from napari_hsi_ssl.mapping.glance import grid, pixel_features
from napari_hsi_ssl.mapping.maps import choose_references, decider
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.runs.job_inputs import Model, area_of, values_of


def glance(
    *, state: str, card: str, cube: Mapping[str, Any], references: Sequence[Mapping[str, Any]], k: int, pixels: int, most: int, out: str
) -> Steps[dict[str, Any]]:
    """Classify a grid of pixels of a cube by kNN, with the weights of a training state.

    Parameters
    ----------
    state, card : str
        The checkpoint, and the ``model.json`` of its run.
    cube : dict
        ``name``, ``area`` and ``scores`` of the cube, or ``bands`` and ``domain`` where the inlets are learned.
    references : sequence of dict
        The same and ``labels`` of each cube to learn from.
    k, pixels, most : int
        Neighbours; pixels of the map, about; labelled pixels that decide, at most.
    out : str
        TIFF (y, x) of class numbers of the grid, 0 = not classified.

    Returns
    -------
    dict
        ``stride``, ``step`` (of the state), ``pixels``, ``shares``: how many pixels of the grid each class has.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the other cores are the trainer's
    try:
        network, about, step = _open(Path(state), Path(card))
        features, numbers = yield from _labelled(network, about, references, most)
        values = values_of(network, cube)
        area = area_of(cube["area"], values.shape[:2])
        stride, chosen = grid(area, pixels)
        asked = yield from pixel_features(network, about, values, area, chosen)
    finally:
        torch.set_num_threads(threads)
    labels = np.zeros(area.shape, dtype=np.int32)
    measured = np.isfinite(asked).all(axis=1)
    found = np.zeros(len(asked), dtype=np.int32)
    if measured.any():
        votes = decider("knn", features, numbers, min(k, len(numbers)))(asked[measured])
        found[measured] = np.concatenate([part for _, part, _ in votes])
    labels[chosen] = found
    files.write_tiff(Path(out), labels[stride // 2 :: stride, stride // 2 :: stride])
    shares = dict(zip(*(part.tolist() for part in np.unique(found[found > 0], return_counts=True)), strict=True))
    return {"stride": stride, "step": step, "pixels": int(measured.sum()), "shares": {str(number): count for number, count in shares.items()}}


def _open(state: Path, card: Path) -> tuple[Model, dict[str, Any], int]:
    kept, about = load_state(state), read_json(card)
    network = build_model(about)
    try:
        network.load_state_dict(kept["model"])
    except RuntimeError as error:
        raise RunError(f"{state} is of another network than {card} says; put the run's own checkpoints back.") from error
    channels_last(network)
    return network.eval(), about, int(kept["step"])


def _labelled(network: Model, card: dict[str, Any], references: Sequence[Mapping[str, Any]], most: int) -> Steps[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    images = [values_of(network, reference) for reference in references]
    labels = [read_labels(reference["labels"], image.shape[:2])[0] for reference, image in zip(references, images, strict=True)]
    features, numbers = [], []
    for reference, image, known, chosen in zip(references, images, labels, choose_references(labels, most), strict=True):
        features.append((yield from pixel_features(network, card, image, area_of(reference["area"], image.shape[:2]), chosen)))
        numbers.append(known[chosen])
    x, y = np.concatenate(features), np.concatenate(numbers).astype(np.int64)
    measured = np.isfinite(x).all(axis=1)
    return x[measured], y[measured]
