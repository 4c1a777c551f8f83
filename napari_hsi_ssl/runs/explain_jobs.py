"""What the compute process does to explain a map: what every exit of a self-distillation network says of one pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.learning.distil import DistilNetwork
from napari_hsi_ssl.mapping.embed import Asker
from napari_hsi_ssl.mapping.frames import Frame
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.runs.job_inputs import area_of, open_model, stored


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
        When the network has no exits, or the pixel is not used or not measured.
    """
    yield Progress(message="asking the exits")
    network, card = open_model(model, inlet)
    if not isinstance(network, DistilNetwork):
        raise RunError("this run was pretrained without labels, so it has no exits to ask; explain a map of a self-distillation run.")
    scores, (y, x) = stored(network, cube), at
    asker = Asker(network, card, leaves=range(len(network.exits)))
    part = Frame(scores, card, area_of(cube["area"], scores.shape[:2])).part((slice(y, y + 1), slice(x, x + 1)), asker.margin)
    said = asker.values(part)
    if not len(said):
        raise RunError(
            f"the pixel at row {y}, column {x} is outside the mask or not measured in every band, so the network says nothing of it; choose another."
        )
    return {"numbers": list(card["classes"]["numbers"]), "exits": said.reshape(len(network.exits), -1).astype(float).tolist()}
