"""Say honestly how good a map or a split is: score, compare, split, audit, simple rivals.

scikit-learn is imported by the steps themselves, in whatever thread runs them: at the top it would cost every window 0.6 s.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.cubes.rasters import read_labels, read_raster
from napari_hsi_ssl.cubes.writers import load_map
from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project


def score(map_path: Path, labels_path: Path) -> Steps[dict[str, Any]]:
    """Compare a map with labels; pixels without a label do not count.

    Returns
    -------
    dict
        ``oa``, ``aa``, ``kappa``, ``per_class``, ``confusion``, ``n``.
    """
    from napari_hsi_ssl.metrics.scores import report

    predicted, classes = _map(map_path)
    truth, names = read_labels(labels_path, predicted.shape)
    yield Progress(1, 1, f"scoring {map_path.name}")
    if not truth.any():
        raise LabelError(f"{labels_path} holds no labelled pixel, so the map cannot be scored; give labels other than 0.")
    numbers = sorted({*(int(number) for number in np.unique(truth)), *(int(number) for number in np.unique(predicted))} - {0})
    known = {**names, **dict(zip(classes.numbers, classes.names, strict=True))}
    return {"map": map_path.stem, **report(truth, predicted, Classes.of(numbers, known))}


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


def split(
    labels_path: Path,
    out: Path,
    *,
    kind: Literal["random", "blocks", "fields"] = "blocks",
    block: int = 36,
    guard: int = 16,
    folds: int = 4,
    seed: int = 0,
) -> Steps[dict[str, Any]]:
    """Divide labels into folds and write ``foldK_train.tif`` and ``foldK_test.tif``, K from 1."""
    from napari_hsi_ssl.patches.splits import absent_classes, split_labels

    labels = _labels(labels_path)
    yield Progress(0, folds, f"splitting {labels_path.name}")
    parts = split_labels(labels, kind, block=block, guard=guard, folds=folds, seed=seed)
    rows = []
    for number, (train, test) in enumerate(parts, start=1):
        paths = {role: out / f"fold{number}_{role}.tif" for role in ("train", "test")}
        files.write_tiff(paths["train"], train.astype(np.int32))
        files.write_tiff(paths["test"], test.astype(np.int32))
        absent = absent_classes(train, test)
        rows.append(
            {
                "train": str(paths["train"]),
                "test": str(paths["test"]),
                "n_train": int((train > 0).sum()),
                "n_test": int((test > 0).sum()),
                "only_in_train": absent["test"],
                "only_in_test": absent["train"],
            }
        )
        yield Progress(number, folds, f"fold {number}")
    return {"kind": kind, "block": block, "guard": guard, "folds": rows}


def audit(train_path: Path, test_path: Path, window: int = 32) -> Steps[dict[str, Any]]:
    """Say how much of the test set a training window has seen, and what position alone would score."""
    from napari_hsi_ssl.patches.audit import audit as compute

    train = _labels(train_path)
    test, _ = read_labels(test_path, train.shape)
    yield Progress(0, 1, "auditing the split")
    return compute(train, test, window)


def baselines(project: Project, train: Mapping[str, Path], test: Mapping[str, Path], seed: int = 0) -> Steps[dict[str, Any]]:
    """Score the simple rivals on this very split; one cube at a time."""
    from napari_hsi_ssl.mapping.baselines.judge import baselines as compute_baselines

    if set(train) != set(test) or len(train) != 1:
        raise LabelError(f"baselines need one cube in --train and the same in --test, found {', '.join(train)} and {', '.join(test)}; give one of each.")
    cube = next(iter(train))
    shape = project.entry(cube).shape[:2]
    train_labels, test_labels = read_labels(train[cube], shape)[0], read_labels(test[cube], shape)[0]
    yield Progress(message=f"reading {cube}")
    rows = yield from compute_baselines(np.asarray(project.prepared(cube).data, dtype=np.float32), train_labels, test_labels, seed=seed)
    return {"cube": cube, "rows": rows, "n_train": int((train_labels > 0).sum()), "n_test": int((test_labels > 0).sum())}


def _map(path: Path) -> tuple[NDArray[np.integer], Classes]:
    if path.with_suffix(".json").exists() and path.suffix == ".tif":
        found = load_map(path)
        return found.labels, found.classes
    return _labels(path), Classes((), (), ())


def _labels(path: Path) -> NDArray[np.int32]:
    return read_labels(path, read_raster(path).shape)[0]
