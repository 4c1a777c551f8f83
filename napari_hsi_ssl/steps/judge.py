"""Say honestly how good a map is: score, compare.

scikit-learn is imported by the steps themselves, in whatever thread runs them: at the top it would cost every window 0.6 s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.cubes.rasters import read_labels, read_raster
from napari_hsi_ssl.cubes.writers import load_map
from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.steps.learned_from import worth


def score(map_path: Path, labels_path: Path, train: Path | None = None, window: int | None = None) -> Steps[dict[str, Any]]:
    """Compare a map with labels; pixels without a label do not count.

    Parameters
    ----------
    map_path, labels_path : Path
    train, window
        The training labels of this cube and the side of the window, for a map whose provenance does not lead to them.

    Returns
    -------
    dict
        ``oa``, ``aa``, ``kappa``, ``per_class``, ``confusion``, ``n``; ``audit`` of these labels against those the map was learned from,
        with the map's accuracy by distance, ``trained_on`` and ``held_out`` (`steps.learned_from.audited`), or None with ``audit_note``.
    """
    from napari_hsi_ssl.metrics.scores import report

    predicted, classes = _map(map_path)
    truth, names = read_labels(labels_path, predicted.shape)
    yield Progress(1, 1, f"scoring {map_path.name}")
    if not truth.any():
        raise LabelError(f"{labels_path} holds no labelled pixel, so the map cannot be scored; give labels other than 0.")
    numbers = sorted({*(int(number) for number in np.unique(truth)), *(int(number) for number in np.unique(predicted))} - {0})
    known = {**names, **dict(zip(classes.numbers, classes.names, strict=True))}
    value = worth(map_path, predicted, truth, train, window)
    return {"map": map_path.stem, **report(truth, predicted, Classes.of(numbers, known)), **value}


def compare(first: Path, second: Path, labels_path: Path | None = None) -> Steps[dict[str, Any]]:
    """Say how far two maps agree and, with labels, whether one is better (McNemar 1947)."""
    from napari_hsi_ssl.metrics.scores import agreement, mcnemar

    a, _ = _map(first)
    b, _ = _map(second)
    if a.shape != b.shape:
        raise LabelError(f"{first.name} has shape {a.shape} and {second.name} {b.shape}, expected the same cube; choose two maps of one cube.")
    yield Progress(1, 1, "comparing")
    result: dict[str, Any] = {"map": f"{first.stem} and {second.stem}", **agreement(a, b)}
    if labels_path is not None:
        truth, _ = read_labels(labels_path, a.shape)
        result["mcnemar"] = mcnemar(a, b, truth)
    return result


def _map(path: Path) -> tuple[NDArray[np.integer], Classes]:
    if path.with_suffix(".json").exists() and path.suffix == ".tif":
        found = load_map(path)
        return found.labels, found.classes
    return _labels(path), Classes((), (), ())


def _labels(path: Path) -> NDArray[np.int32]:
    return read_labels(path, read_raster(path).shape)[0]
