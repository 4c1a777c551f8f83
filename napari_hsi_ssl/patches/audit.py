"""What a split is worth: how far test windows see training pixels, and how well position alone does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from sklearn.neighbors import KNeighborsClassifier

from napari_hsi_ssl.errors import ConfigError, LabelError
from napari_hsi_ssl.metrics.scores import average_accuracy, class_numbers, overall_accuracy


def audit(train: ArrayLike, test: ArrayLike, window: int) -> dict[str, Any]:
    """Audit a split of one image for leaks.

    The window of a pixel (y, x) covers rows ``y - window // 2 … y - window // 2 + window - 1``, and columns alike.

    Parameters
    ----------
    train, test : integer array (y, x)
        Class numbers, 0 = unlabelled.
    window : int
        Side in pixels of what a model sees around a pixel.

    Returns
    -------
    dict
        ``centre_share``: share of test windows that contain a training pixel; ``overlap_share``: share of test windows that share a
        pixel with the window of a training pixel; ``position_oa``, ``position_aa``: accuracies of 1-NN on row and column, without
        any spectrum; ``majority``: share of the largest test class, what a constant map reaches; ``nearest_distance``: median
        Chebyshev distance in pixels from a test pixel to the nearest training pixel; ``n_train``, ``n_test``, ``window``;
        ``absent``: test classes without training pixels; ``verdict``: all that in plain words.

    Raises
    ------
    LabelError
        When shapes differ, a side is empty, or pixels are in both.
    ConfigError
        When the window is smaller than a pixel or larger than the image.
    """
    learned, asked = check_split(train, test)
    if window < 1:
        raise ConfigError(f"the window is {window} pixels, expected at least 1.")
    if window > min(learned.shape):
        raise ConfigError(f"a window of {window} pixels is larger than the image of {learned.shape[0]}×{learned.shape[1]}; use a smaller --window.")
    where = asked != 0
    distance = ndimage.distance_transform_cdt(learned == 0, metric="chessboard")[where]
    contains = _windows_with(learned != 0, window)[where]
    position = predict_by_position(learned, asked)
    truth = asked[where]
    counts = np.unique(truth, return_counts=True)[1]
    figures = {
        "window": int(window),
        "n_train": int((learned != 0).sum()),
        "n_test": int(where.sum()),
        "centre_share": float(contains.mean()),
        "overlap_share": float((distance < window).mean()),
        "position_oa": overall_accuracy(truth, position),
        "position_aa": average_accuracy(truth, position),
        "majority": float(counts.max() / counts.sum()),
        "nearest_distance": float(np.median(distance)),
        "absent": sorted(set(np.unique(truth).tolist()) - set(np.unique(learned).tolist())),
    }
    return {**figures, "verdict": _verdict(figures)}


def check_split(train: ArrayLike, test: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return train and test labels (y, x) as int64, or say why they are no split of one image."""
    learned, asked = class_numbers(train), class_numbers(test)
    if learned.shape != asked.shape or learned.ndim != 2:
        raise LabelError(f"train labels have shape {learned.shape} and test labels {asked.shape}, expected the same (y, x); use files of one image.")
    for name, side in (("train", learned), ("test", asked)):
        if not side.any():
            raise LabelError(f"the {name} labels hold no labelled pixel (all are 0), expected at least one; use another file.")
    both = int(((learned != 0) & (asked != 0)).sum())
    if both:
        raise LabelError(
            f"{both} pixel(s) are labelled in both train and test, expected none: a model would be tested on what it learned; fix the split files."
        )
    return learned, asked


def predict_by_position(train: NDArray[np.integer], test: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the class (n_test,) of the nearest training pixel (Euclidean distance) for each test pixel in row order."""
    model = KNeighborsClassifier(1).fit(np.argwhere(train), train[train != 0])
    predicted: NDArray[np.int64] = model.predict(np.argwhere(test)).astype(np.int64)
    return predicted


def _windows_with(marked: NDArray[np.bool_], window: int) -> NDArray[np.bool_]:
    """Return for every pixel whether its window contains a marked pixel."""
    before, after = window // 2, window - window // 2
    height, width = marked.shape
    sums = np.zeros((height + 1, width + 1), dtype=np.int64)
    sums[1:, 1:] = marked.cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
    top, bottom = (np.clip(np.arange(height) + step, 0, height)[:, None] for step in (-before, after))
    left, right = (np.clip(np.arange(width) + step, 0, width) for step in (-before, after))
    contains: NDArray[np.bool_] = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left] > 0
    return contains


def _verdict(figures: dict[str, Any]) -> str:
    window, position, majority = figures["window"], figures["position_oa"], figures["majority"]
    seen = (
        f"{figures['centre_share']:.0%} of the {window}×{window} test windows contain a training pixel "
        f"and {figures['overlap_share']:.0%} share a pixel with a training window"
    )
    alone = f"position alone, without any spectrum, reaches OA {position:.1%} (a constant map {majority:.1%})"
    if figures["overlap_share"] == 0:
        meaning = "no leak: an accuracy on this split measures recognition at places the model has not seen"
    elif figures["centre_share"] == 0:
        meaning = (
            "a slight leak: no training pixel is seen from a test window, but windows overlap; widen the guard to the window less one pixel to be free of it"
        )
    elif figures["centre_share"] < 0.5:
        meaning = "a leak: part of an accuracy on this split is interpolation; test by blocks with a guard"
    else:
        meaning = "a leak throughout: an accuracy on this split measures interpolation between training pixels, not recognition; test by blocks with a guard"
    absent = f"; classes {', '.join(map(str, figures['absent']))} have no training pixel and cannot be found" if figures["absent"] else ""
    return f"{meaning[0].upper()}{meaning[1:]}. {seen[0].upper()}{seen[1:]}; {alone}{absent}."
