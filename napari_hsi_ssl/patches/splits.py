"""Splits of the labels of one image into train and test, from those that leak to those that do not."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_hsi_ssl.errors import ConfigError, LabelError
from napari_hsi_ssl.metrics.scores import class_numbers

Kind = Literal["random", "blocks", "fields"]


def split_labels(
    labels: ArrayLike,
    kind: Kind = "blocks",
    *,
    block: int = 36,
    guard: int = 16,
    folds: int = 4,
    share: float | None = None,
    per_class: int | None = None,
    seed: int = 0,
) -> list[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """Split labelled pixels into folds of train and test labels.

    Every labelled pixel is a test pixel in one fold, unless ``share`` is given.

    Parameters
    ----------
    labels : integer array (y, x)
        0 = unlabelled.
    kind : {"random", "blocks", "fields"}
        ``random``: pixels, stratified by class; neighbours of test pixels are trained on, so it measures interpolation.
        ``blocks``: squares of ``block`` pixels, dealt to the folds at random so that classes stay balanced.
        ``fields``: whole connected components of one class (8 neighbours), dealt likewise.
    block : int
        Side of a square in pixels.
    guard : int
        ``blocks`` and ``fields``: training pixels within this many pixels (Chebyshev distance) of a test pixel are dropped. No
        window of side w shares a pixel with another when their centres are w pixels or more apart: guard w - 1.
    folds : int
        Number of splits.
    share : float, optional
        ``random`` only: share of each class that is test in every fold, each drawn anew, instead of one part in ``folds``.
    per_class : int, optional
        Keep at most this many training pixels a class, drawn at random.
    seed : int

    Returns
    -------
    list of (train, test)
        int32 arrays (y, x) in the class numbers of ``labels``.

    Raises
    ------
    LabelError
        With fewer than two classes or labelled pixels, too few blocks or fields for the folds, or a guard that leaves no training pixel.
    ConfigError
        When a setting is out of range.
    """
    truth = class_numbers(labels).astype(np.int32)
    _check(truth, block, guard, folds, share, per_class)
    if share is not None and kind != "random":
        raise ConfigError(
            f"a share of test pixels ({share:g}) is given for a split by {kind}, expected it for random alone; choose the number of folds instead."
        )
    generator = np.random.default_rng(seed)
    if kind == "random":
        tests = _random_tests(truth, folds, share, generator)
        guard = -1
    elif kind in ("blocks", "fields"):
        fold = deal_pixels(truth, group_numbers(truth, kind, block), folds, kind, generator)
        tests = [fold == number for number in range(folds)]
    else:
        raise ConfigError(f"the kind of split is '{kind}', expected random, blocks or fields.")
    splits = []
    for number, is_test in enumerate(tests):
        train = np.where((truth != 0) & ~is_test & (distance_to(is_test) > guard), truth, 0)
        if per_class is not None:
            train = at_most(train, per_class, generator)
        if not train.any():
            raise LabelError(
                f"a guard of {guard} pixels leaves no training pixel in fold {number + 1} of {folds}; use a smaller guard, larger blocks or fewer folds."
            )
        splits.append((train.astype(np.int32), np.where(is_test, truth, 0).astype(np.int32)))
    return splits


def _check(truth: NDArray[np.int32], block: int, guard: int, folds: int, share: float | None, per_class: int | None) -> None:
    if truth.ndim != 2:
        raise LabelError(f"the labels have shape {truth.shape}, expected (y, x); use one label image.")
    count = int((truth != 0).sum())
    if count < 2:
        raise LabelError(f"the labels hold {count} labelled pixel(s), expected at least one to train and one to test; label more.")
    classes = np.unique(truth[truth != 0])
    if classes.size < 2:
        raise LabelError(f"the labels hold one class ({classes[0]}), expected at least two to tell apart; label another class.")
    for name, value, least in (("block", block, 1), ("guard", guard, 0), ("folds", folds, 1 if share is not None else 2), ("per_class", per_class, 1)):
        if value is not None and value < least:
            raise ConfigError(f"{name} is {value}, expected at least {least}.")
    if share is not None and not 0 < share < 1:
        raise ConfigError(f"the share of test pixels is {share:g}, expected a number between 0 and 1.")


def _random_tests(truth: NDArray[np.int32], folds: int, share: float | None, generator: np.random.Generator) -> list[NDArray[np.bool_]]:
    tests = [np.zeros(truth.shape, dtype=bool) for _ in range(folds)]
    for number in np.unique(truth[truth != 0]):
        pixels = np.flatnonzero(truth == number)
        if share is None:
            # Leftovers of small classes go to folds at random, not always to the first.
            parts = np.array_split(generator.permutation(pixels), folds)
            order = generator.permutation(folds)
        for fold, test in enumerate(tests):
            # Two pixels or more: one on each side.
            count = 0 if share is None else min(max(1, round(share * pixels.size)), pixels.size - 1)
            test.ravel()[parts[order[fold]] if share is None else generator.permutation(pixels)[:count]] = True
    if not all(test.any() for test in tests):
        raise LabelError(f"{int((truth != 0).sum())} labelled pixels do not fill {folds} folds, expected a test pixel in each; use fewer folds.")
    return tests


def group_numbers(truth: NDArray[np.integer], kind: str, block: int) -> NDArray[np.int64]:
    """Return the number of the block or field (y, x) that every pixel lies in; 0 where a field is none."""
    if kind == "blocks":
        rows, columns = np.indices(truth.shape) // block
        blocks: NDArray[np.int64] = rows * (truth.shape[1] // block + 1) + columns
        return blocks
    numbers = np.zeros(truth.shape, dtype=np.int64)
    for number in np.unique(truth[truth != 0]):
        fields, _ = ndimage.label(truth == number, structure=np.ones((3, 3)))
        numbers += np.where(fields > 0, fields + numbers.max(), 0)
    return numbers


def deal_pixels(truth: NDArray[np.integer], groups: NDArray[np.int64], folds: int, kind: str, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return the fold (y, x) of every labelled pixel, -1 elsewhere; the pixels of a group stay together."""
    where = truth != 0
    _, group = np.unique(groups[where], return_inverse=True)
    _, code, sizes = np.unique(truth[where], return_inverse=True, return_counts=True)
    table = np.zeros((group.max() + 1, sizes.size))
    np.add.at(table, (group, code), 1)
    if len(table) < folds:
        raise LabelError(f"the labels lie in {len(table)} {kind}, expected at least one for each of {folds} folds; use fewer folds or smaller blocks.")
    fold = np.full(truth.shape, -1, dtype=np.int64)
    fold[where] = deal(table, folds, generator)[group]
    return fold


def deal(table: NDArray[np.floating], folds: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Deal groups in random order, each to the fold that has least of its classes so far.

    scikit-learn's StratifiedGroupKFold deals the same way but in order of size, so that its seed changes next to nothing.

    Parameters
    ----------
    table : float array (group, class)
        Pixels; no class without any.
    folds : int
        At most the number of groups.
    generator : numpy.random.Generator

    Returns
    -------
    int64 array (group,)
    """
    shares = table / table.sum(axis=0)
    held, members = np.zeros((folds, table.shape[1])), np.zeros(folds, dtype=np.int64)
    fold_of_group = np.empty(len(table), dtype=np.int64)
    for left, number in zip(range(len(table), 0, -1), generator.permutation(len(table)), strict=True):
        cost = held @ shares[number]
        if (members == 0).sum() >= left:  # what is left just fills the empty folds
            cost[members > 0] = np.inf
        best = generator.choice(np.flatnonzero(cost == cost.min()))
        fold_of_group[number] = best
        held[best] += shares[number]
        members[best] += 1
    return fold_of_group


def distance_to(marked: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return every pixel's Chebyshev distance in pixels to the nearest marked one; there must be one."""
    distance: NDArray[np.int32] = ndimage.distance_transform_cdt(~marked, metric="chessboard")
    return distance


def at_most(labels: NDArray[np.int32], count: int, generator: np.random.Generator) -> NDArray[np.int32]:
    """Return labels of which at most so many pixels of each class are left, drawn at random."""
    kept = np.zeros_like(labels)
    for number in np.unique(labels[labels != 0]):
        kept.ravel()[generator.permutation(np.flatnonzero(labels == number))[:count]] = number
    return kept
