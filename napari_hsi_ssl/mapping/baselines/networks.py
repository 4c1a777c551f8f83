"""The rivals that are trained with torch: plain CNNs, and the multi-exit network with and without self-distillation.

Everything that is fitted without labels (standardisation of the bands, components) is fitted on the training pixels alone. A window is cut out
and shown as in training, so it sees no farther than its side says.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.config import CubeInput, DistilConfig, LabelInput, RunConfig, TrainerConfig
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.learning.data import PixelWindows, Scale, input_settings
from napari_hsi_ssl.learning.inline import train_inline
from napari_hsi_ssl.learning.plain_networks import PlainTraining, PlaneNet, SpectrumNet, VolumeNet, predict_windows
from napari_hsi_ssl.learning.setup import prepare
from napari_hsi_ssl.mapping.baselines.plain import Said
from napari_hsi_ssl.mapping.baselines.rows import Row
from napari_hsi_ssl.mapping.baselines.task import Labels, Task
from napari_hsi_ssl.progress import Steps

NETWORKS: Final[dict[str, type[SpectrumNet | PlaneNet | VolumeNet]]] = {"cnn1d": SpectrumNet, "cnn2d": PlaneNet, "cnn3d": VolumeNet}
BUDGET: Final = TrainerConfig(epochs=60, batch_size=64, learning_rate=1e-3, weight_decay=1e-4)
"""What every plain CNN is trained with; epochs and batches are those of self-distillation."""


def convolutional(task: Task, row: Row) -> Steps[tuple[Labels, Said]]:
    """Train a plain CNN and return the classes it gives the test pixels."""
    if row.key == "cnn2d":
        stored: Mapping[str, NDArray[Any]] = task.components.scores
        offset, gain = np.zeros(task.components.variance.size), 1 / np.sqrt(_positive(task.components.variance))
    else:
        stored = task.images
        learned = task.pick(stored)[0].astype(np.float64)
        offset, gain = learned.mean(axis=0), 1 / _positive(learned.std(axis=0))
    numbers = np.unique(task.known).tolist()
    network = NETWORKS[row.key]
    settings = BUDGET.model_copy(update={"seed": task.seed, "max_steps": task.max_steps})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed)
        model = network(offset.size, len(numbers))
    scale = Scale({"input": input_settings(offset, gain, "bands", "keep")})
    images = list(stored.values())
    training, asked = (PixelWindows(images, list(side.values()), numbers, network.window) for side in (task.train, task.test))
    yield from train_inline(PlainTraining(model, training, scale, settings), settings, f"training: {row.words}")
    return np.asarray(numbers)[predict_windows(model, asked, scale)], {}


def self_distilled(task: Task, row: Row) -> Steps[tuple[Labels, Said]]:
    """Train the multi-exit network, for ``none`` without distillation, and return the classes its deepest exit gives the test pixels."""
    settings = DistilConfig(seed=task.seed, max_steps=task.max_steps)
    changes: dict[str, Any] = {"direction": "none"} if row.base == "none" else {}
    changes |= ({"input": row.input} if row.input else {}) | ({"window": row.window} if row.window else {})
    settings = settings.changed(changes, f"row {row.key}")
    if settings.input == "bands":
        return (yield from train_and_ask(task, settings, task.images, row.words))
    spread = np.sqrt(_positive(task.components.variance))
    stored = {name: scores / spread.astype(np.float32) for name, scores in task.components.scores.items()}
    return (yield from train_and_ask(task, settings, stored, row.words, variance=task.components.variance))


def train_and_ask(
    task: Task,
    settings: DistilConfig,
    stored: Mapping[str, NDArray[Any]],
    words: str,
    *,
    variance: NDArray[np.float64] | None = None,
    given: Mapping[str, Any] | None = None,
) -> Steps[tuple[Labels, Said]]:
    """Train a multi-exit network as a run would, in a folder that goes again, and ask it for the test pixels.

    Parameters
    ----------
    stored : mapping of str to array (y, x, c)
        Scores of unit spread, or bands, by cube.
    variance : float64 array (c,), optional
        Of the components.
    given : dict, optional
        More fields of the run's configuration, such as the trunk it starts from.
    """
    largest = min(min(image.shape[:2]) for image in stored.values())
    if settings.window > largest:
        raise ConfigError(f"a window of {settings.window} pixels is larger than the smallest cube ({largest} pixels); choose a smaller window.")
    numbers = np.unique(task.known).tolist()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        taught = [name for name, image in task.train.items() if image.any()]
        for name in taught:
            files.write_npy(folder / f"{name}.npy", stored[name])
            files.write_tiff(folder / f"{name}.train.tif", task.train[name].astype(np.int32))
            files.write_tiff(folder / f"{name}.mask.tif", (task.train[name] != 0).astype(np.uint8))
        if variance is not None:
            np.savez(folder / "variance.npz", variance=variance)
        config = RunConfig(
            kind="distil",
            distil=settings,
            # The mask decides whose mean and spread standardise the bands: training pixels. 'keep' leaves the other pixels as they are.
            cubes=tuple(CubeInput(name=name, domain="scene", path=f"{name}.npy", sha256="", mask=f"{name}.mask.tif") for name in taught),
            background="keep",
            labels=tuple(LabelInput(cube=name, path=f"{name}.train.tif", sha256="") for name in taught),
            class_numbers=tuple(numbers),
            class_names=tuple(f"class {number}" for number in numbers),
            class_colours=("#000000",) * len(numbers),
            inlet="variance.npz" if variance is not None else None,
        )
        prepared = prepare(config.model_copy(update=dict(given or {})), lambda path: folder / path, 1)
        objective = prepared.objective
        yield from train_inline(objective, settings, f"training: {words}")
    asked = PixelWindows(list(stored.values()), [task.test[name] for name in stored], numbers, settings.window)
    found = np.asarray(numbers)[predict_windows(objective.model, asked, Scale(prepared.card, next(objective.model.parameters()).dtype))]
    return found, {"window": settings.window, "input": settings.input, "direction": settings.direction}


def _positive(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return spreads to divide by: 1 where nothing varies."""
    positive: NDArray[np.float64] = np.where(values > 0, values, 1.0)
    return positive
