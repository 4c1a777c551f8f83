"""Score one rival on one split, or several of them in a row."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from napari_hsi_ssl.mapping.baselines.plain import PLAIN, Said
from napari_hsi_ssl.mapping.baselines.rows import QUICK, Row, row_of
from napari_hsi_ssl.mapping.baselines.task import Labels, Task, make_task
from napari_hsi_ssl.metrics.scores import average_accuracy, kappa, overall_accuracy
from napari_hsi_ssl.progress import Progress, Steps

if TYPE_CHECKING:
    from napari_hsi_ssl.mapping.baselines.trunks import Given


def judge(task: Task, row: Row, trunk: Given | None = None) -> Steps[dict[str, Any]]:
    """Score one rival on one split.

    Parameters
    ----------
    task : Task
    row : Row
    trunk : Given, optional
        The pretrained run of the rows that need one.

    Returns
    -------
    dict
        ``key``, ``name`` (words), ``oa``, ``aa``, ``kappa`` (fractions), ``per_class`` (class number as text → share found), ``seconds`` (training and
        prediction), and what it chose.

    Raises
    ------
    ConfigError
        When the row needs what is not given.
    """
    start = time.perf_counter()
    predicted, told = yield from _predict(task, row, trunk)
    seconds = time.perf_counter() - start
    truth = task.truth
    scores = {"oa": overall_accuracy(truth, predicted), "aa": average_accuracy(truth, predicted), "kappa": kappa(truth, predicted)}
    per_class = {str(number): float((predicted[truth == number] == number).mean()) for number in np.unique(truth)}
    return {"key": row.key, "name": row.words, **scores, "per_class": per_class, "seconds": seconds, **told}


def validate(task: Task, row: Row, trunk: Given | None = None) -> Steps[dict[str, Any]]:
    """Try a rival on parts of the training labels, each time trained anew on the rest; the test labels play no part.

    Returns
    -------
    dict
        ``key``, and of each part (`Task.inner`) its overall accuracy and how many pixels judged: ``accuracies`` and ``pixels``; none where the
        labels are too few to hold any out.
    """
    shares, pixels = [], []
    for number, part in enumerate(task.inner):
        yield Progress(number, len(task.inner), f"part {number + 1} of the training labels: {row.words}")
        predicted, _ = yield from _predict(part, row, trunk)
        shares.append(overall_accuracy(part.truth, predicted))
        pixels.append(part.truth.size)
    return {"key": row.key, "accuracies": shares, "pixels": pixels}


def baselines(
    cube: ArrayLike, train: ArrayLike, test: ArrayLike, seed: int = 0, which: Sequence[str] = QUICK, *, tune: bool = True
) -> Steps[list[dict[str, Any]]]:
    """Score rivals on one split of one image, in this process.

    Parameters
    ----------
    cube : array (y, x, band)
        Pixels that are not finite in every band take the mean training spectrum.
    train, test : integer array (y, x)
        Class numbers, 0 = unlabelled, no pixel in both. Test pixels of classes without a training pixel are not scored.
    seed : int
    which : sequence of str
        Keys of `rows.ROWS`.
    tune : bool
        Whether the SVMs choose penalty and width by the training labels.

    Returns
    -------
    list of dict
        As `judge` returns them, in the order asked for.

    Raises
    ------
    LabelError
        When the labels are no split of this cube, or hold one class only.
    ConfigError
        When a baseline is unknown.
    """
    rows = [row_of(key) for key in which]
    task = make_task({"cube": cube}, {"cube": train}, {"cube": test}, seed, tune=tune)
    found = []
    for number, row in enumerate(rows):
        yield Progress(number, len(rows), row.words)
        found.append((yield from judge(task, row)))
    yield Progress(len(rows), len(rows), "baselines done")
    return found


def _predict(task: Task, row: Row, trunk: Given | None) -> Steps[tuple[Labels, Said]]:
    if row.kind == "plain":
        return PLAIN[row.key](task)
    # torch is imported with the first network that is asked for
    from napari_hsi_ssl.mapping.baselines import networks, trunks

    if row.kind == "cnn":
        return (yield from networks.convolutional(task, row))
    if row.kind == "distil":
        return (yield from networks.self_distilled(task, row))
    return (yield from trunks.TRUNKS[row.key](task, trunk))
