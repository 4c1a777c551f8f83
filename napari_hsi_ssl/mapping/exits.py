"""What the exits of a self-distillation network say of every pixel: each for itself, together, or the first that is sure.

Letters: e exits, c classes; images are (y, x).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.config import ClassifyConfig
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.learning.checkpoint import Card
from napari_hsi_ssl.learning.distil import DistilNetwork
from napari_hsi_ssl.mapping.embed import Asker, Method, ask_cube
from napari_hsi_ssl.mapping.frames import Frame, Part, Stored
from napari_hsi_ssl.mapping.leaving import Leaver
from napari_hsi_ssl.metrics.calibration import disagreement
from napari_hsi_ssl.progress import Steps


def exits_probabilities(
    model: DistilNetwork, card: Card, scores: Stored, area: NDArray[np.bool_], *, method: Method | None = None
) -> Steps[NDArray[np.float32]]:
    """Return the class probabilities (e, y, x, c) of every exit, shallow to deep; NaN where a pixel is not used or not measured.

    Parameters
    ----------
    model : DistilNetwork
        In evaluation mode; it decides the device.
    card : dict
        Its card.
    scores : array (y, x, k)
        As stored; NaN where not measured. Raw bands where the card's ``input.source`` is "bands".
    area : bool array (y, x)
        Which pixels are used.
    method : {"dense", "windows"}, optional
        `mapping.embed.best_way` by default.

    Raises
    ------
    RunError
        When the cube has another number of channels than the model, or another shape than the area.
    """
    exits = len(model.exits)
    asker = Asker(model, card, method=method, leaves=range(exits))
    said = yield from ask_cube(asker, Frame(scores, card, area), np.empty((*area.shape, asker.dim), dtype=np.float32), "classifying")
    return np.moveaxis(said.reshape(*area.shape, exits, -1), 2, 0)


def own_probabilities(
    model: DistilNetwork, card: Card, scores: Stored, area: NDArray[np.bool_], config: ClassifyConfig, *, method: Method | None = None
) -> Steps[tuple[NDArray[np.float32], dict[str, Any]]]:
    """Return the class probabilities (y, x, c) of a network's own map, and what is to be told of the way there.

    Parameters
    ----------
    model, card, scores, area, method
        As `exits_probabilities` has them.
    config : ClassifyConfig
        ``exits`` "deepest" or "mean" (of the probabilities of all exits), ``turns`` (mean over the eight turns and mirror images of
        every window), or ``exit_at`` (`mapping.leaving`).

    Raises
    ------
    ConfigError
        When a window of even side is to be turned: its turns have no centre in common.
    """
    source = OwnMap(model, card, config, method=method)
    out = files.spool((*area.shape, source.dim), np.float32)
    found = yield from ask_cube(source, Frame(scores, card, area), out, "classifying")
    return found, source.told()


class OwnMap:
    """The class probabilities that a network's own map is made from (`mapping.embed.TileSource`).

    Parameters
    ----------
    model, card, config, method
        As `own_probabilities` has them.
    memory : int, optional
        Bytes that a tile may take.
    """

    def __init__(self, model: DistilNetwork, card: Card, config: ClassifyConfig, *, method: Method | None = None, memory: int | None = None) -> None:
        if config.turns and card["window"] % 2 == 0:
            raise ConfigError(f"the model's window is {card['window']} pixels, which has no centre to turn about; classify without turns.")
        exits = len(model.exits)
        self._leaves = range(exits) if config.exits == "mean" else range(exits - 1, exits)
        self._leaver = Leaver(model, card, config.exit_at, method=method, memory=memory) if config.exit_at is not None else None
        self._asker = self._leaver.asker if self._leaver else Asker(model, card, method=method, leaves=self._leaves, memory=memory)
        self._turns = config.turns
        self.dim, self.margin, self.tiles = len(card["classes"]["numbers"]), self._asker.margin, self._asker.tiles
        self.way = [*self._asker.way, config.exits, config.exit_at, config.turns]
        self.tallies = self._leaver.tallies if self._leaver else self._asker.tallies

    def values(self, part: Part) -> NDArray[np.float32]:
        """Return the probabilities (n, c) of a tile's used pixels, row by row."""
        if self._leaver is not None:
            return self._leaver.values(part)
        return _over_turns(self._mean, part, self.dim) if self._turns else self._mean(part)

    def told(self) -> dict[str, Any]:
        """Return what is to be told of the way there: ``early`` where pixels leave early."""
        return {"early": self._leaver.report()} if self._leaver is not None else {}

    def _mean(self, part: Part) -> NDArray[np.float32]:
        together: NDArray[np.float32] = self._asker.values(part).reshape(-1, len(self._leaves), self.dim).mean(axis=1)
        return together


class ExitsDiffer:
    """How far the exits of a network disagree (`mapping.embed.TileSource`), one value a pixel."""

    def __init__(self, model: DistilNetwork, card: Card, *, memory: int | None = None) -> None:
        self._exits, self._classes = len(model.exits), len(card["classes"]["numbers"])
        self._asker = Asker(model, card, leaves=range(self._exits), memory=memory)
        self.dim, self.margin, self.tiles = 1, self._asker.margin, self._asker.tiles
        self.way, self.tallies = self._asker.way, self._asker.tallies

    def values(self, part: Part) -> NDArray[np.float32]:
        """Return the disagreement (n, 1) of a tile's used pixels, row by row."""
        said = self._asker.values(part).reshape(-1, self._exits, self._classes)
        return disagreement(said.swapaxes(0, 1))[:, None]


def _over_turns(values: Callable[[Part], NDArray[np.float32]], part: Part, classes: int) -> NDArray[np.float32]:
    """Return the mean of what is said of a tile's eight turns and mirror images: those of every odd window, for they turn with it."""
    total = np.zeros((*part.used.shape, classes), dtype=np.float32)
    for code in range(8):
        turned = Part(part.tile, np.ascontiguousarray(_turned(part.values, code)), _turned(part.used, code))
        said = np.zeros((*turned.used.shape, classes), dtype=np.float32)
        said[turned.used] = values(turned)
        back = np.rot90(said, -(code % 4))
        total += back[:, ::-1] if code >= 4 else back
    return np.asarray(total[part.used] / 8, dtype=np.float32)


def _turned(image: NDArray[Any], code: int) -> NDArray[Any]:
    """Mirror an image where the code is 4 or more, then turn it by quarters."""
    return np.rot90(image[:, ::-1] if code >= 4 else image, code % 4)
