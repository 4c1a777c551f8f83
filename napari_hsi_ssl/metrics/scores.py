"""How far a map agrees with the truth, and how sure that figure is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, chi2
from sklearn.metrics import accuracy_score, cohen_kappa_score, precision_recall_fscore_support, recall_score

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.errors import LabelError

_EXACT_BELOW = 25  # McNemar's chi-square is a poor approximation for fewer discordant pixels


def labelled(truth: ArrayLike, *predictions: ArrayLike) -> tuple[NDArray[np.int64], ...]:
    """Return truth and predictions at the labelled pixels (truth not 0), flattened to (n,).

    Raises
    ------
    LabelError
        When shapes differ, a value is no whole number, or nothing is labelled.
    """
    arrays = [class_numbers(values) for values in (truth, *predictions)]
    for array in arrays[1:]:
        if array.shape != arrays[0].shape:
            raise LabelError(f"the map has shape {array.shape} and the labels {arrays[0].shape}, expected the same; use labels made for this cube.")
    where = arrays[0] != 0
    if not where.any():
        raise LabelError("the labels hold no labelled pixel (all are 0), expected at least one; use another label file.")
    return tuple(array[where] for array in arrays)


def class_numbers(values: ArrayLike) -> NDArray[np.int64]:
    """Return labels as int64, or say why they are no class numbers."""
    array = np.asarray(values)
    if array.dtype.kind in "iub":
        return array.astype(np.int64)
    if array.dtype.kind != "f":
        raise LabelError(f"the labels hold {array.dtype} values, expected class numbers (integers); convert them first.")
    if not np.isfinite(array).all():
        raise LabelError("the labels hold NaN or infinite values, expected class numbers with 0 for unlabelled; replace them by 0.")
    if (array != np.round(array)).any():
        raise LabelError(f"the labels hold fractions such as {array[array != np.round(array)][0]:g}, expected class numbers (integers); round them first.")
    return array.astype(np.int64)


def confusion(truth: ArrayLike, predicted: ArrayLike, numbers: Sequence[int]) -> NDArray[np.int64]:
    """Count the labelled pixels by true class (row) and predicted class (column), in the order of ``numbers``.

    Raises
    ------
    LabelError
        When a labelled pixel has a class outside ``numbers``: dropping it would flatter the map.
    """
    true, found = labelled(truth, predicted)
    order = np.argsort(np.asarray(numbers, dtype=np.int64))
    ordered = np.asarray(numbers, dtype=np.int64)[order]
    strange = np.setdiff1d(np.concatenate((true, found)), ordered)
    if strange.size:
        raise LabelError(f"class {strange[0]} is not among the classes {list(numbers)}; add it, or use labels and a map of the same classes.")
    # scikit-learn's own function warns where truth and map hold one class, whatever the labels it is given.
    cells = order[np.searchsorted(ordered, true)] * ordered.size + order[np.searchsorted(ordered, found)]
    return np.bincount(cells, minlength=ordered.size**2).reshape(ordered.size, ordered.size).astype(np.int64)


def overall_accuracy(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return the share of labelled pixels that have the right class (OA), in [0, 1]."""
    return float(accuracy_score(*labelled(truth, predicted)))


def average_accuracy(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return the mean over the true classes of the share found (AA, macro recall), in [0, 1]."""
    true, found = labelled(truth, predicted)
    return float(recall_score(true, found, labels=np.unique(true), average="macro"))


def kappa(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return Cohen's kappa (Cohen 1960); NaN where truth and map are one and the same single class."""
    true, found = labelled(truth, predicted)
    if np.unique(np.concatenate((true, found))).size == 1:
        return float("nan")
    return float(cohen_kappa_score(true, found))


def wilson_interval(right: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a share (Wilson 1927); it takes pixels as independent, which neighbours are not."""
    interval = binomtest(right, n).proportion_ci(confidence_level=confidence, method="wilson")
    return float(interval.low), float(interval.high)


def report(truth: ArrayLike, predicted: ArrayLike, classes: Classes) -> dict[str, Any]:
    """Score a map against labels over the labelled pixels.

    Parameters
    ----------
    truth, predicted : integer array
        Same shape; 0 in ``truth`` is unlabelled and left out, 0 in ``predicted`` is not classified and counts as wrong.
    classes : Classes
        Names of the class numbers.

    Returns
    -------
    dict
        ``oa``, ``aa``, ``kappa`` (fractions), ``oa_interval`` (95 %, Wilson), ``n`` (labelled pixels), ``not_classified`` (how many
        of them the map leaves out), ``numbers`` and ``names`` (what was met in truth or map; 0 where the map leaves pixels out),
        ``confusion`` (list of rows, true class by predicted class, in that order: the rows sum to ``n``, the diagonal to ``oa · n``),
        and ``per_class`` with, by number of each class of the truth as text, ``name``, ``n``, ``accuracy`` (recall; producer's
        accuracy), ``precision`` (user's accuracy; None when never predicted) and ``f1``.
    """
    true, found = labelled(truth, predicted)
    numbers = [int(number) for number in np.unique(np.concatenate((true, found)))]
    known = {0: "not classified", **dict(zip(classes.numbers, classes.names, strict=True))}
    names = [known.get(number, f"class {number}") for number in numbers]
    matrix = confusion(true, found, numbers)
    precision, recall, f1, support = precision_recall_fscore_support(true, found, labels=numbers, zero_division=np.nan)
    per_class = {}
    for row, (number, name) in enumerate(zip(numbers, names, strict=True)):
        if not support[row]:
            continue
        figures = {"accuracy": recall[row], "precision": precision[row], "f1": f1[row]}
        per_class[str(number)] = {"name": name, "n": int(support[row]), **{key: float(v) if np.isfinite(v) else None for key, v in figures.items()}}
    return {
        "oa": overall_accuracy(true, found),
        "aa": average_accuracy(true, found),
        "kappa": kappa(true, found),
        "oa_interval": list(wilson_interval(int((true == found).sum()), true.size)),
        "n": int(true.size),
        "not_classified": int((found == 0).sum()),
        "numbers": numbers,
        "names": names,
        "per_class": per_class,
        "confusion": matrix.tolist(),
    }


def agreement(a: ArrayLike, b: ArrayLike) -> dict[str, float | int]:
    """Compare two maps pixel by pixel where both are classified (not 0).

    Returns
    -------
    dict
        ``agreement`` (share of equal pixels), ``kappa`` (beyond chance), ``n`` (pixels compared).
    """
    first, second = labelled(a, b)
    both = second != 0
    if not both.any():
        raise LabelError("the two maps have no classified pixel in common, expected maps of the same cube; choose other maps.")
    first, second = first[both], second[both]
    return {"agreement": float((first == second).mean()), "kappa": kappa(first, second), "n": int(first.size)}


def mcnemar(a: ArrayLike, b: ArrayLike, truth: ArrayLike) -> dict[str, Any]:
    """Test whether two maps of the same labelled pixels differ in accuracy (McNemar 1947).

    The exact binomial test where fewer than 25 pixels are right in one map only, otherwise chi-square with the continuity
    correction of Edwards (1948).

    Returns
    -------
    dict
        ``only_a``, ``only_b`` (pixels right in one map alone), ``n``, ``statistic`` (None for the exact test), ``p`` (two-sided) and
        ``test`` ("exact" or "chi-square").
    """
    true, first, second = labelled(truth, a, b)
    only_a = int(((first == true) & (second != true)).sum())
    only_b = int(((first != true) & (second == true)).sum())
    common = {"only_a": only_a, "only_b": only_b, "n": int(true.size)}
    discordant = only_a + only_b
    if discordant < _EXACT_BELOW:
        p = float(binomtest(only_a, discordant).pvalue) if discordant else 1.0
        return {**common, "statistic": None, "p": p, "test": "exact"}
    statistic = max(0, abs(only_a - only_b) - 1) ** 2 / discordant
    return {**common, "statistic": statistic, "p": float(chi2.sf(statistic, 1)), "test": "chi-square"}
