"""The job that scores one rival on one split; imported by the compute process alone, because it imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_hsi_ssl.mapping.baselines.judge import judge, validate
from napari_hsi_ssl.mapping.baselines.rows import row_of
from napari_hsi_ssl.mapping.baselines.task import make_task
from napari_hsi_ssl.mapping.baselines.trunks import Given
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.runs.job_inputs import open_model


def rival(
    *,
    cubes: Mapping[str, str],
    labels: str,
    row: str,
    seed: int,
    max_steps: int | None = None,
    validation: bool = False,
    trunk: Mapping[str, Any] | None = None,
) -> Steps[dict[str, Any]]:
    """Score one rival.

    Parameters
    ----------
    cubes : dict of str to str
        Arrays (y, x, band) as ``.npy`` by cube; NaN where not measured.
    labels : str
        ``.npz`` with ``train/NAME`` and ``test/NAME`` of each cube: class numbers (y, x).
    row : str
        Its key.
    seed : int
    max_steps : int, optional
        Of the training of a network.
    validation : bool
        Try it on parts of the training labels instead; the test labels play no part.
    trunk : dict, optional
        ``model``, ``inlet`` and ``cubes`` of the pretrained run: for each cube its ``scores``, or its ``bands`` and ``domain``.

    Returns
    -------
    dict
        As `mapping.baselines.judge.judge` or `validate` return it, with ``n_train``, ``n_test`` (pixels that are scored) and ``not_scored`` (test pixels
        of classes without a training pixel, by class).
    """
    images = {name: np.load(path, allow_pickle=False) for name, path in cubes.items()}
    with np.load(labels, allow_pickle=False) as content:
        train, test = ({name: content[f"{side}/{name}"] for name in images} for side in ("train", "test"))
    task = make_task(images, train, test, seed, max_steps=max_steps)
    given = None
    if trunk is not None:
        network, card = open_model(trunk["model"], trunk["inlet"])
        given = Given(network, card, Path(trunk["model"]), Path(trunk["inlet"]), trunk["cubes"])
    found = yield from (validate if validation else judge)(task, row_of(row), given)
    return {**found, "n_train": task.known.size, "n_test": task.truth.size, "not_scored": {str(number): count for number, count in task.absent.items()}}
