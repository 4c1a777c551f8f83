"""Say honestly how good a map is: score, compare.

scikit-learn is imported by the steps themselves, in whatever thread runs them: at the top it would cost every window 0.6 s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.cubes.cube import Classes, ClassMap
from napari_hsi_ssl.cubes.rasters import read_labels, read_raster
from napari_hsi_ssl.cubes.writers import load_map, write_envi_classification, write_geotiff, write_png
from napari_hsi_ssl.errors import ConfigError, LabelError
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
        ``oa``, ``aa``, ``kappa``, ``per_class``, ``confusion``, ``n``; of a map of a project ``ece``, ``reliability`` (bins of confidence) and
        ``calibration`` (`metrics.calibration.calibration_report`); ``audit`` of these labels against those the map was learned from,
        with the map's accuracy by distance, ``trained_on`` and ``held_out`` (`steps.learned_from.audited`), or None with ``audit_note``.
    """
    from napari_hsi_ssl.metrics.scores import report

    predicted, classes = read_map(map_path)
    truth, names = read_labels(labels_path, predicted.shape)
    yield Progress(1, 1, f"scoring {map_path.name}")
    if not truth.any():
        raise LabelError(f"{labels_path} holds no labelled pixel, so the map cannot be scored; give labels other than 0.")
    numbers = sorted({*(int(number) for number in np.unique(truth)), *(int(number) for number in np.unique(predicted))} - {0})
    known = {**names, **dict(zip(classes.numbers, classes.names, strict=True))}
    value = worth(map_path, predicted, truth, train, window)
    return {"map": map_path.stem, **report(truth, predicted, Classes.of(numbers, known)), **_believed(map_path, truth), **value}


def compare(first: Path, second: Path, labels_path: Path | None = None, block: int | None = None, out: Path | None = None) -> Steps[dict[str, Any]]:
    """Say how far two maps agree, class by class, and, with labels, whether one is better.

    Parameters
    ----------
    first, second : Path
    labels_path : Path, optional
        With labels: McNemar's test (1947), which takes pixels as independent, and the difference of the accuracies with an interval from
        whole blocks drawn again, which does not.
    block : int, optional
        Side of such a block in pixels.
    out : Path, optional
        Also write where they differ and who says what: .tif, .hdr (ENVI classification) or .png, with a legend in the last two.

    Returns
    -------
    dict
        ``agreement``, ``kappa``, ``n``; ``per_class`` (`metrics.agreement.class_agreement`); ``differences``: ``first`` and ``second`` (names),
        ``pixels``, ``number`` (in the image of ``out``), the most frequent first; with labels ``mcnemar``, ``difference``
        (`metrics.agreement.accuracy_difference`) and ``note``.
    """
    from napari_hsi_ssl.metrics.agreement import BLOCK, DEPENDENCE, accuracy_difference, class_agreement
    from napari_hsi_ssl.metrics.scores import agreement, mcnemar

    a, b, classes = _two_maps(first, second)
    yield Progress(1, 1, "comparing")
    image, rows = _differences(a, b, classes)
    result: dict[str, Any] = {"map": f"{first.stem} and {second.stem}", **agreement(a, b), "per_class": class_agreement(a, b, classes), "differences": rows}
    if labels_path is not None:
        truth, _ = read_labels(labels_path, a.shape)
        result["mcnemar"] = mcnemar(a, b, truth)
        result["difference"] = accuracy_difference(a, b, truth, block or BLOCK)
        result["note"] = DEPENDENCE
    if out is not None:
        _write_differences(out, image)
        result["out"] = str(out)
    return result


def difference_map(first: Path, second: Path) -> ClassMap:
    """Return where two maps differ and who says what (`metrics.agreement.differences`), with its legend; its confidence is 1 where they differ."""
    a, b, classes = _two_maps(first, second)
    return _differences(a, b, classes)[0]


def read_map(path: Path) -> tuple[NDArray[np.integer], Classes]:
    """Read a map with its classes, or any raster of class numbers, whose classes are not known."""
    if path.with_suffix(".json").exists() and path.suffix == ".tif":
        found = load_map(path)
        return found.labels, found.classes
    return _labels(path), Classes((), (), ())


def _believed(path: Path, truth: NDArray[np.integer]) -> dict[str, Any]:
    """Return whether a map's confidence can be believed where labels tell; pixels that it leaves out or marks as unlike training claim none."""
    from napari_hsi_ssl.metrics.calibration import calibration_report

    if not (path.with_suffix(".json").exists() and path.suffix == ".tif"):
        return {}
    found = load_map(path)
    claimed = (truth > 0) & (found.labels != 0) & (found.confidence > 0)
    if not claimed.any():
        return {}
    figures = calibration_report(found.confidence[claimed].clip(0, 1), found.labels[claimed] == truth[claimed])
    return {"ece": figures.pop("ece"), "reliability": figures.pop("reliability"), "calibration": figures}


def _two_maps(first: Path, second: Path) -> tuple[NDArray[np.integer], NDArray[np.integer], Classes]:
    (a, of_a), (b, of_b) = read_map(first), read_map(second)
    if a.shape != b.shape:
        raise LabelError(f"{first.name} has shape {a.shape} and {second.name} {b.shape}, expected the same cube; choose two maps of one cube.")
    numbers = np.union1d(np.unique(a), np.unique(b))
    names = {**dict(zip(of_b.numbers, of_b.names, strict=True)), **dict(zip(of_a.numbers, of_a.names, strict=True))}
    return a, b, Classes.of(numbers.tolist(), names)


def _differences(a: NDArray[np.integer], b: NDArray[np.integer], classes: Classes) -> tuple[ClassMap, list[dict[str, Any]]]:
    from napari_hsi_ssl.metrics.agreement import differences, pair_classes

    image, pairs = differences(a, b)
    legend = pair_classes(pairs, classes)
    names = dict(zip(classes.numbers, classes.names, strict=True))
    rows = [
        {"number": number, "first": names.get(one, "other"), "second": names.get(two, "other"), "pixels": pixels}
        for number, (one, two, pixels) in enumerate(pairs, start=1)
    ]
    return ClassMap(image, legend, (image > 0).astype(np.float32)), rows


def _write_differences(out: Path, found: ClassMap) -> None:
    if out.suffix == ".tif":
        write_geotiff(out, found)
    elif out.suffix == ".hdr":
        write_envi_classification(out, found.labels, found.classes)
    elif out.suffix == ".png":
        write_png(out, found.labels, found.classes)
    else:
        raise ConfigError(f"--out is {out.name}, but where maps differ is written as .tif, .hdr or .png; choose one of these endings.")


def _labels(path: Path) -> NDArray[np.int32]:
    return read_labels(path, read_raster(path).shape)[0]
