"""What the compute process does to explain a map: what every exit of a self-distillation network says of one pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.learning.data import Scale, background_level, fill_background, gather, pad_frame
from napari_hsi_ssl.learning.distil import DistilNetwork
from napari_hsi_ssl.mapping.embed import best_way, predict_cube
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.runs.job_inputs import area_of, open_model, stored

_MARGIN: Final = 64
"""Pixels around a window that can play a part in what the trunk sees there; a multiple of every stride."""


def exits(*, model: str, inlet: str, cube: Mapping[str, Any], at: Sequence[int]) -> Steps[dict[str, Any]]:
    """Return the class probabilities of one pixel by every exit, as the map of the whole cube has them.

    Parameters
    ----------
    model, inlet : str
    cube : dict
        ``area`` and ``scores`` of the cube, or ``bands`` and ``domain`` where the inlets are learned.
    at : (int, int)
        The pixel's y and x.

    Returns
    -------
    dict
        ``numbers``: the classes; ``exits``: a list of their probabilities an exit, shallow to deep.

    Raises
    ------
    RunError
        When the network has no exits, or the pixel is not measured.
    """
    yield Progress(message="asking the exits")
    network, card = open_model(model, inlet)
    if not isinstance(network, DistilNetwork):
        raise RunError("this run was pretrained without labels, so it has no exits to ask; explain a map of a self-distillation run.")
    image, (y, x) = stored(network, cube), at
    area = area_of(cube["area"], image.shape[:2])
    if not np.isfinite(np.asarray(image[y, x])).all():
        raise RunError(f"the pixel at row {y}, column {x} was not measured in every band, so the network says nothing of it; choose another.")
    level = background_level(image, card, area)
    window = int(card["window"])
    if best_way(card) == "windows":
        found = _by_window(network, card, fill_background(np.asarray(image), card, area, level), y, x, window)
    else:
        top, left = (max(0, (place - 2 * window - _MARGIN) // _MARGIN * _MARGIN) for place in (y, x))
        part = np.s_[top : y + 2 * window + _MARGIN + 1, left : x + 2 * window + _MARGIN + 1]
        filled = fill_background(np.asarray(image[part]), card, area[part], level)
        said = []
        for leave in range(len(network.exits)):
            image = yield from predict_cube(network, card, filled, np.ones(filled.shape[:2], dtype=bool), leave=leave)
            said.append(image[y - top, x - left])
        found = np.stack(said)
    return {"numbers": list(card["classes"]["numbers"]), "exits": found.astype(float).tolist()}


def _by_window(network: DistilNetwork, card: Any, filled: NDArray[Any], y: int, x: int, window: int) -> NDArray[np.float32]:  # noqa: ANN401
    scaled = Scale(card)(torch.from_numpy(filled)).numpy()
    windows = gather([pad_frame(scaled, window)], np.zeros(1, dtype=np.intp), np.array([y]), np.array([x]), window)
    device = next(network.parameters()).device
    with torch.inference_mode():
        said = network(torch.from_numpy(windows).to(device).permute(0, 3, 1, 2))
    return np.stack([logits.softmax(-1)[0].float().cpu().numpy() for logits in said])
