"""What a trunk that was trained without labels is worth on a split: frozen with a linear head, and fine-tuned; beside a random one.

Where a run is named, trunk and components are that run's: they may have seen the test pixels, without their labels, when it was pretrained.
Without one, ``random`` is the trunk of the recipe ``pixel`` on components of the training pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.config import DistilConfig, PretrainConfig
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.learning.checkpoint import CARD_FORMAT, Card, build_model
from napari_hsi_ssl.learning.data import component_gain, input_settings, open_scores
from napari_hsi_ssl.learning.distil import DistilNetwork
from napari_hsi_ssl.learning.encoder import SimCLRModel
from napari_hsi_ssl.learning.inlets import domains_of, inlet_scores
from napari_hsi_ssl.mapping.baselines.networks import train_and_ask
from napari_hsi_ssl.mapping.baselines.plain import Said
from napari_hsi_ssl.mapping.baselines.task import Labels, Task
from napari_hsi_ssl.mapping.classifiers import fit_linear
from napari_hsi_ssl.mapping.embed import embed_cube
from napari_hsi_ssl.progress import Steps

_WINDOW: Final = 9
"""Side in pixels of the window of a random trunk that no run describes."""


@dataclass(frozen=True)
class Given:
    """A pretrained run, opened.

    Attributes
    ----------
    network : SimCLRModel or DistilNetwork
        In evaluation mode; it decides the device.
    card : dict
    model, inlet : Path
        Where it came from: ``model.safetensors`` and the projection.
    cubes : dict of str to dict
        ``scores`` of each cube, or ``bands`` and ``domain`` where the inlets are learned: paths of arrays (y, x, k) and (y, x, B).
    """

    network: SimCLRModel | DistilNetwork
    card: Card
    model: Path
    inlet: Path
    cubes: Mapping[str, Mapping[str, str]]

    def stored(self, name: str) -> NDArray[Any]:
        """Return the scores (y, x, k) of a cube as the trunk takes them."""
        cube = self.cubes[name]
        return inlet_scores(self.network, cube["domain"], open_scores(Path(cube["bands"]))) if "bands" in cube else open_scores(Path(cube["scores"]))


def _random(task: Task, given: Given | None) -> Steps[tuple[Labels, Said]]:
    if given is not None:
        return (yield from _headed(task, build_model(given.card, task.seed).eval(), given.card, {name: given.stored(name) for name in task.images}))
    components = task.components
    trunk = PretrainConfig.from_recipe("pixel").trunk
    card: Card = {
        "format": CARD_FORMAT,
        "kind": "pretrain",
        "channels": components.variance.size,
        "window": _WINDOW,
        "architecture": {"trunk": trunk.model_dump(mode="json"), "projection": 2},
        "input": input_settings(np.zeros(components.variance.size), component_gain(components.variance, whiten=True), "pcs", "keep"),
    }
    spread = np.sqrt(np.where(components.variance > 0, components.variance, 1)).astype(np.float32)
    return (yield from _headed(task, build_model(card, task.seed).eval(), card, {name: scores / spread for name, scores in components.scores.items()}))


def _pretrained(task: Task, given: Given | None) -> Steps[tuple[Labels, Said]]:
    run = _needed(given)
    return (yield from _headed(task, run.network, run.card, {name: run.stored(name) for name in task.images}))


def _tuned(task: Task, given: Given | None) -> Steps[tuple[Labels, Said]]:
    run = _needed(given)
    if domains_of(run.card):
        raise ConfigError("row 'tuned' takes a run with a frozen projection, and this one has learned inlets; use `distil --init RUN --inlet learned` instead.")
    stored = {name: np.asarray(run.stored(name), dtype=np.float32) for name in task.images}
    settings = DistilConfig(seed=task.seed, max_steps=task.max_steps)
    fields = {"inlet": str(run.inlet), "inlet_sha256": files.file_hash(run.inlet), "init": str(run.model)}
    return (yield from train_and_ask(task, settings, stored, "pretrained trunk, fine-tuned", given=fields))


TRUNKS: Final[dict[str, Callable[[Task, Given | None], Steps[tuple[Labels, Said]]]]] = {"random": _random, "pretrained": _pretrained, "tuned": _tuned}
"""By key, what predicts the classes of the test pixels."""


def _needed(given: Given | None) -> Given:
    if given is None:
        raise ConfigError("this row needs a pretrained run, but none is named; give one with --run RUN, or leave the row out.")
    return given


def _headed(task: Task, network: SimCLRModel | DistilNetwork, card: Card, stored: Mapping[str, NDArray[Any]]) -> Steps[tuple[Labels, Said]]:
    """Fit a linear head on the frozen features of the training pixels, and ask it for the test pixels."""
    features = {}
    for name, scores in stored.items():
        labelled = (task.train[name] != 0) | (task.test[name] != 0)
        found = yield from embed_cube(network, card, scores, labelled, method="windows")  # sees no farther than the window
        features[name] = np.nan_to_num(found.astype(np.float32))
    learned, asked = task.pick(features)
    return fit_linear(learned, task.known).predict(asked)[0], {"window": card["window"]}
