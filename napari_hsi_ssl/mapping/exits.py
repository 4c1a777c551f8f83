"""What the exits of a self-distillation network say of every pixel: each for itself, or together.

Letters: e exits, c classes; images are (y, x).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.learning.checkpoint import Card
from napari_hsi_ssl.learning.distil import DistilNetwork
from napari_hsi_ssl.mapping.embed import Method, best_way, exits_of_tiles, exits_of_windows
from napari_hsi_ssl.progress import Progress, Steps

Image = NDArray[Any]


def exits_probabilities(
    model: DistilNetwork, card: Card, scores: Image, area: NDArray[np.bool_], *, method: Method | None = None
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
    found = np.full((len(model.exits), *area.shape, len(card["classes"]["numbers"])), np.nan, dtype=np.float32)
    ways = {"dense": exits_of_tiles, "windows": exits_of_windows}
    for (y, x), said, rows in ways[method or best_way(card)](model, card, scores, area):
        found[:, y, x] = said.swapaxes(0, 1)
        yield Progress(rows, area.shape[0], "classifying")
    return found
