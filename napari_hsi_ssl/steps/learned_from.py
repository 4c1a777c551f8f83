"""What a map was learned from, found through its provenance, and what its accuracy is therefore worth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.config import PcaConfig, read_json
from napari_hsi_ssl.cubes.rasters import read_labels, read_raster
from napari_hsi_ssl.errors import HsiError, LabelError, ProjectError
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.steps.features import as_they_are, run_of
from napari_hsi_ssl.steps.train import read_training_labels

MARK: Final = "napari-hsi-ssl map"
"""Under which a TIFF that a map was also written to names the map of the project, in its description."""
Labels = dict[str, NDArray[np.int32]]


@dataclass(frozen=True, eq=False)
class Learned:
    """What a map was learned from.

    Attributes
    ----------
    cube : str
        Of the map.
    labels : dict of str to int32 array (y, x)
        The training labels by cube.
    window : int
        Side in pixels of what decides about a pixel.
    """

    cube: str
    labels: Labels
    window: int


def learned_from(map_path: Path, train: Path | None = None, window: int | None = None) -> Learned:
    """Find the labels that a map was learned from, and the window that it saw of every pixel.

    Parameters
    ----------
    map_path : Path
        A map of a project, or a TIFF it was also written to.
    train : Path, optional
        The training labels of the map's cube, where its provenance does not lead to them.
    window : int, optional
        Likewise.

    Raises
    ------
    HsiError
        When the provenance does not lead to them.
    """
    if train is not None:
        if window is None:
            raise LabelError("the audit of these training labels needs the window of the classifier; give --window too.")
        return Learned("", {"": read_labels(train, read_raster(map_path).shape)[0]}, window)
    path = _map_of_project(map_path)
    given_by = read_json(path.with_suffix(".json")).get("provenance")
    told = given_by if isinstance(given_by, dict) else {}
    project = Project.open(path.parent.parent)
    cube, run, method = (str(told.get(key, "")) for key in ("cube", "run", "method"))
    if cube not in project.entries or method not in {"knn", "linear", "distil"}:
        raise LabelError(f"{path.name} does not say which labels it was learned from (cube '{cube}', method '{method or 'unknown'}'); give them with --train.")
    if method == "distil":
        folder = project.run_folder(run)
        own = {pinned.cube: folder.resolve(pinned.path) for pinned in folder.config.labels if pinned.role == "train"}
        labels = {name: read_labels(file, read_raster(file).shape)[0] for name, file in own.items()}
        return Learned(cube, labels, window or _window_of(folder))
    given = told.get("train")
    _unchanged(project, told)
    project.require(*(Path(str(file)) for file in given.values()) if isinstance(given, dict) else ())
    labels = read_training_labels(project, {str(name): Path(file) for name, file in given.items()} if isinstance(given, dict) else None)
    return Learned(cube, labels, window or _window(project, run))


def audited(learned: Learned, predicted: NDArray[np.integer], truth: NDArray[np.integer]) -> dict[str, Any]:
    """Audit the labels (y, x) that a map is scored with against those it was learned from.

    Returns
    -------
    dict
        ``trained_on``: how many of the scored pixels it was trained on; ``held_out``: ``oa``, ``aa`` and ``n`` of the others where there
        are both; and ``audit`` of the others (`patches.audit`), None where every scored pixel was trained on.
    """
    from napari_hsi_ssl.metrics.scores import average_accuracy, overall_accuracy
    from napari_hsi_ssl.patches.audit import audit_cubes

    own = learned.labels.get(learned.cube, np.zeros(truth.shape, dtype=np.int32))
    if own.shape != truth.shape:
        raise LabelError(f"the training labels have shape {own.shape} and the scored ones {truth.shape}, expected the same (y, x); give labels of this cube.")
    rest = np.where(own == 0, truth, 0)
    found: dict[str, Any] = {"trained_on": int(np.count_nonzero((own != 0) & (truth != 0))), "audit": None}
    if not rest.any():
        return found
    window = min(learned.window, *truth.shape)
    found["audit"] = audit_cubes({**learned.labels, learned.cube: own}, {learned.cube: rest}, window, {"map": {learned.cube: predicted}})
    if found["trained_on"]:
        found["held_out"] = {"oa": overall_accuracy(rest, predicted), "aa": average_accuracy(rest, predicted), "n": int(np.count_nonzero(rest))}
    return found


def worth(map_path: Path, predicted: NDArray[np.integer], truth: NDArray[np.integer], train: Path | None = None, window: int | None = None) -> dict[str, Any]:
    """Return what `audited` says of a map, or why nothing can be said: ``audit`` None and ``audit_note``."""
    try:
        return audited(learned_from(map_path, train, window), predicted, truth)
    except HsiError as error:
        if train is not None:
            raise
        return {"audit": None, "audit_note": f"no audit: {error}"}


def in_words(report: Mapping[str, Any]) -> str:
    """Say in a sentence or two what a scored accuracy is worth."""
    from napari_hsi_ssl.patches.audit import in_short

    if report["audit"] is None:
        trained = report.get("trained_on")
        return "Every scored pixel was trained on: this measures memory." if trained else str(report.get("audit_note", ""))
    words = in_short(report["audit"])
    if not report.get("held_out"):
        return words
    held = report["held_out"]
    return f"{report['trained_on']:,} of the scored pixels were trained on; on the other {held['n']:,} OA is {held['oa']:.1%}, AA {held['aa']:.1%}. {words}"


def label_hashes(project: Project) -> dict[str, str]:
    """Return what names the project's own labels, by cube; a map that learned from them keeps it, so that later labels are not taken for them."""
    return {cube: files.file_hash(project.labels_path(cube)) for cube in sorted(project.labelled)}


def _unchanged(project: Project, told: Mapping[str, Any]) -> None:
    hashes = told.get("labels_sha256") or {}
    if not isinstance(hashes, dict):
        found = f"the map's card has labels_sha256 {str(hashes)[:40]!r}"
        raise LabelError(f"{found}, expected one of each cube; make the map again, or give the labels with --train.")
    for cube, before in hashes.items():
        path = project.labels_path(str(cube))
        if not path.exists() or files.file_hash(path) != before:
            raise LabelError(f"the labels of '{cube}' have changed since the map was learned from them; make the map again, or give the old ones with --train.")


def _map_of_project(path: Path) -> Path:
    """Return the map of a project that a file is or was written from."""
    if path.suffix.lower() in {".tif", ".tiff"} and not path.with_suffix(".json").exists() and path.is_file():
        try:
            with tifffile.TiffFile(path) as file:
                source = Path(json.loads(file.pages.first.description)[MARK])
        except (ValueError, KeyError, TypeError, AttributeError, OSError, tifffile.TiffFileError):
            source = None
        if source is not None:
            if not source.exists() or not np.array_equal(read_raster(source), read_raster(path)):
                raise LabelError(f"{path.name} was written from {source}, which is gone or another map by now; give the training labels with --train.")
            path = source
    if not path.with_suffix(".json").exists() or not (path.absolute().parent.parent / "project.json").exists():
        raise ProjectError(f"{path.name} is no map of a project, so what it was learned from is not known; give the training labels with --train.")
    return path.absolute()


def _window(project: Project, run: str) -> int:
    """Return the widest window of the features that a map was made by."""
    widest = 2 * PcaConfig.training_free().denoise + 1 if as_they_are(run) else 1
    trained = run_of(run)
    return max(widest, _window_of(project.run_folder(trained))) if trained else widest


def _window_of(folder: RunFolder) -> int:
    return int(read_json(folder.model_path.with_suffix(".json")).get("window", 1))
