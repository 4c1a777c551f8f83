"""The trunk that comes with the program, made to stand behind any project's own inlet.

It was trained on denoised MNF components in units of the noise (`benchmarks/box.py`; its card says on which data). Behind another projection it
takes those components as they come: by falling signal-to-noise ratio, scaled by that projection's own variances. Nothing is trained for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

import napari_hsi_ssl
from napari_hsi_ssl import files
from napari_hsi_ssl.config import read_json
from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.explore.projection import Projection

if TYPE_CHECKING:
    from napari_hsi_ssl.learning.encoder import SimCLRModel

NAME: Final = "pretrained"
"""Stands where the name of a run is asked for."""
_STEM: Final = "trunk.stem.weight"


def box() -> tuple[Path, dict[str, Any]]:
    """Return the file of the weights and their card; an empty card where the package has none."""
    path = Path(napari_hsi_ssl.__file__).parent / "models" / f"{NAME}.safetensors"
    return path, read_json(path.with_suffix(".json")) if path.with_suffix(".json").exists() else {}


def card_for(projection: Projection, inlet_sha256: str | None = None) -> dict[str, Any]:
    """Return the card of the trunk in the box behind a projection.

    Parameters
    ----------
    projection : Projection
        With at most as many components as the trunk takes.
    inlet_sha256 : str, optional
        Of its file, so that the model is not used behind another one.

    Raises
    ------
    RunError
        When it has more components.
    """
    path, card = box()
    k, most = len(projection.components), int(card.get("channels", 0))
    if not card:
        raise RunError(f"{path.with_suffix('.json')} is missing, so there is no pretrained network; install the program again, or choose other features.")
    if k > most:
        raise RunError(f"the pretrained network takes {most} components, but this projection has {k}; make one with --components {most} or fewer.")
    proportion = np.sqrt(np.maximum(projection.variance, 0) / max(float(projection.variance[0]), np.finfo(np.float64).tiny))
    settings = {**card["input"], "offset": [0.0] * k, "gain": [float(value) for value in proportion]}
    return {**card, "channels": k, "input": settings, "inlet_sha256": inlet_sha256, "made_from": files.file_hash(path)}


def tensors_for(weights: Path, channels: int) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """Return the weights of the box for fewer components: those that a projection does not have are as if they were zero."""
    from safetensors.numpy import load_file

    found = dict(load_file(weights))
    found[_STEM] = np.ascontiguousarray(found[_STEM][:, :channels])
    return found


def fitted(weights: Path, card: dict[str, Any]) -> SimCLRModel:
    """Return the network of the box that a card of `card_for` describes."""
    import torch

    from napari_hsi_ssl.learning.checkpoint import build_model
    from napari_hsi_ssl.learning.encoder import SimCLRModel, channels_last

    model = build_model(card)
    assert isinstance(model, SimCLRModel)
    model.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors_for(weights, card["channels"]).items()})
    channels_last(model)
    model.eval()
    return model


def stand_behind(inlet: Path) -> Path:
    """Write the network of the box behind a projection, beside its file, unless it is there; returns the ``.safetensors``.

    Parameters
    ----------
    inlet : Path
        Folder of the projection, with ``pca.npz``.
    """
    from safetensors.numpy import save

    weights, _ = box()
    path = inlet / f"{NAME}.safetensors"
    card = card_for(Projection.load(inlet / "pca.npz"), files.file_hash(inlet / "pca.npz"))
    written = read_json(path.with_suffix(".json")) if path.with_suffix(".json").exists() else {}
    if not path.exists() or any(written.get(key) != card[key] for key in ("made_from", "inlet_sha256")):
        files.write_json(path.with_suffix(".json"), card)
        files.write_bytes(path, save(tensors_for(weights, card["channels"])))
    return path
