"""What a split is worth: how far test windows see training pixels, and how well position alone does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import KNeighborsClassifier

from napari_hsi_ssl.errors import ConfigError, LabelError
from napari_hsi_ssl.metrics.scores import average_accuracy, class_numbers, overall_accuracy
from napari_hsi_ssl.patches.distances import by_distance, falls
from napari_hsi_ssl.patches.splits import distance_to

Images = Mapping[str, ArrayLike]
_MOST = 0.5
"""From this share of test windows that contain a training pixel on, a leak is one throughout."""
_NAMES = {"position": "position alone", "map": "the map", "spectra": "kNN on spectra"}


def audit(train: ArrayLike, test: ArrayLike, window: int, predictions: Mapping[str, ArrayLike] | None = None) -> dict[str, Any]:
    """Audit a split of one image for leaks; see `audit_cubes`.

    Parameters
    ----------
    train, test : integer array (y, x)
        Class numbers, 0 = unlabelled.
    window : int
        Side in pixels of what a model sees around a pixel.
    predictions : mapping of str to integer array (y, x), optional
        By name: class numbers that a map or a rival gives, whose accuracy is told by distance too.
    """
    return audit_cubes({"": train}, {"": test}, window, {name: {"": image} for name, image in (predictions or {}).items()})


def audit_cubes(train: Images, test: Images, window: int, predictions: Mapping[str, Images] | None = None, *, role: str = "test") -> dict[str, Any]:
    """Audit a split of the labels of one or several images for leaks.

    The window of a pixel (y, x) covers rows ``y - window // 2 … y - window // 2 + window - 1``, and columns alike. It never
    reaches into another image: a test image without training pixels shares nothing.

    Parameters
    ----------
    train, test : mapping of str to integer array (y, x)
        Class numbers by image, 0 = unlabelled.
    window : int
        Side in pixels of what a model sees around a pixel.
    predictions : mapping of str to mapping of str to integer array (y, x), optional
        By name and image: class numbers that a map or a rival gives at the test pixels.
    role : str
        What messages call the labels that judge.

    Returns
    -------
    dict
        ``centre_share``: share of test windows that contain a training pixel; ``overlap_share``: share of test windows that share a
        pixel with the window of a training pixel; ``position_oa``, ``position_aa``: accuracies of 1-NN on row and column, without
        any spectrum (the largest training class in an image that has no training pixel); ``majority``: share of the largest test
        class, what a constant map reaches; ``nearest_distance``: median Chebyshev distance in pixels from a test pixel to the nearest
        training pixel, None where most lie in images without one; ``by_distance``, ``falls``: accuracies by that distance and where
        they fall (`distances`), of ``position`` and of each prediction; ``n_train``, ``n_test``, ``window``; ``absent``: test classes
        without training pixels; ``verdict``: all that in plain words.

    Raises
    ------
    LabelError
        When shapes differ, a side is empty, or pixels are in both.
    ConfigError
        When the window is smaller than a pixel or larger than an image.
    """
    if window < 1:
        raise ConfigError(f"the window is {window} pixels, expected at least 1.")
    sides = _checked(train, test, role)
    for _, asked in sides.values():
        if asked.any() and window > min(asked.shape):
            raise ConfigError(f"a window of {window} pixels is larger than the image of {asked.shape[0]}×{asked.shape[1]}; use a smaller --window.")
    known = np.concatenate([learned[learned != 0] for learned, _ in sides.values()])
    numbers, sizes = np.unique(known, return_counts=True)
    seen = [_seen(learned, asked, window, int(numbers[sizes.argmax()])) for learned, asked in sides.values() if asked.any()]
    truth, position, distance, contains = (np.concatenate([getattr(part, name) for part in seen]) for name in ("truth", "position", "distance", "contains"))
    right = {"position": position == truth}
    for name, images in (predictions or {}).items():
        right[name] = np.concatenate([class_numbers(images[image])[asked != 0] for image, (_, asked) in sides.items() if asked.any()]) == truth
    counts = np.unique(truth, return_counts=True)[1]
    median = float(np.median(distance))
    figures = {
        "window": int(window),
        "n_train": int(known.size),
        "n_test": int(truth.size),
        "centre_share": float(contains.mean()),
        "overlap_share": float((distance < window).mean()),
        "position_oa": overall_accuracy(truth, position),
        "position_aa": average_accuracy(truth, position),
        "majority": float(counts.max() / counts.sum()),
        "nearest_distance": median if np.isfinite(median) else None,
        "absent": sorted(set(np.unique(truth).tolist()) - set(numbers.tolist())),
        "by_distance": by_distance(distance, right),
        "falls": {name: falls(distance, hits) for name, hits in right.items()},
    }
    return {**figures, "verdict": _verdict(figures)}


def check_split(train: ArrayLike, test: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return train and test labels (y, x) as int64, or say why they are no split of one image."""
    return _checked({"": train}, {"": test})[""]


def _checked(train: Images, test: Images, role: str = "test") -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return train and test labels by image, zeros where an image has none on a side."""
    sides = {}
    for name in dict.fromkeys([*train, *test]):
        given = [class_numbers(side[name]) if name in side else None for side in (train, test)]
        learned, asked = (side if side is not None else np.zeros_like(other) for side, other in zip(given, reversed(given), strict=True))
        of_image = f" of '{name}'" if name else ""
        if learned.shape != asked.shape or learned.ndim != 2:
            raise LabelError(
                f"train labels{of_image} have shape {learned.shape} and {role} labels {asked.shape}, expected the same (y, x); use files of one image."
            )
        both = int(((learned != 0) & (asked != 0)).sum())
        if both:
            raise LabelError(
                f"{both} pixel(s){of_image} are labelled in both train and {role}, expected none: "
                "a model would be tested on what it learned; fix the split files."
            )
        sides[name] = learned, asked
    for place, name in enumerate(("train", role)):
        if not any(side[place].any() for side in sides.values()):
            raise LabelError(f"the {name} labels hold no labelled pixel (all are 0), expected at least one; use another file.")
    return sides


@dataclass(frozen=True, eq=False)
class _Seen:
    """Of every test pixel (n,) of one image: its class, the class by position alone, the distance to training, whether its window contains it."""

    truth: NDArray[np.int64]
    position: NDArray[np.int64]
    distance: NDArray[np.float64]
    contains: NDArray[np.bool_]


def _seen(learned: NDArray[np.int64], asked: NDArray[np.int64], window: int, largest: int) -> _Seen:
    where = asked != 0
    truth = asked[where]
    if not learned.any():
        return _Seen(truth, np.full(truth.size, largest), np.full(truth.size, np.inf), np.zeros(truth.size, dtype=bool))
    distance = distance_to(learned != 0)[where].astype(np.float64)
    return _Seen(truth, predict_by_position(learned, asked), distance, _windows_with(learned != 0, window)[where])


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


def in_short(found: Mapping[str, Any], role: str = "test") -> str:
    """Say in one sentence whether an accuracy on audited labels measures interpolation.

    Parameters
    ----------
    found : mapping
        From `audit`.
    role : str
        What the labels that judge are called.
    """
    seen, shared = found["centre_share"], found["overlap_share"]
    window = f"{found['window']} pixel{'s' * (found['window'] != 1)}"
    if shared == 0:
        return f"No {role} window of {window} shares a pixel with a training window: an accuracy on these labels is of places the model has not seen."
    if seen == 0:
        return f"No {role} window of {window} contains a training pixel, but {_percent(shared)} overlap with training windows: a slight leak."
    much = "this measures interpolation" if seen >= _MOST else "in part this measures interpolation"
    return f"{_percent(seen)} of the {role} windows of {window} contain a training pixel: {much}, not recognition."


def _percent(share: float) -> str:
    """Return a share in percent; neither all nor none unless it is."""
    return "less than 1%" if share < 0.01 else "more than 99%" if 0.99 < share < 1 else f"{share:.0%}"


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
    elif figures["centre_share"] < _MOST:
        meaning = "a leak: part of an accuracy on this split is interpolation; test by blocks with a guard"
    else:
        meaning = "a leak throughout: an accuracy on this split measures interpolation between training pixels, not recognition; test by blocks with a guard"
    absent = f"; classes {', '.join(map(str, figures['absent']))} have no training pixel and cannot be found" if figures["absent"] else ""
    return f"{meaning[0].upper()}{meaning[1:]}. {seen[0].upper()}{seen[1:]}; {alone}{_where_it_falls(figures['falls'])}{absent}."


def _where_it_falls(found: Mapping[str, Mapping[str, float | None]]) -> str:
    """Say within which distance accuracies fall, where they do."""
    told = [f"{_NAMES.get(name, name)} within {fall['distance']:.0f} pixels" for name, fall in found.items() if fall["distance"] is not None]
    return f"; half of what accuracy loses with the distance to the nearest training pixel is lost by {' and by '.join(told)}" if told else ""
