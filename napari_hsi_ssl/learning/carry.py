"""Whether the trunk of one run fits another one; known from its card alone, so that it is said before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_hsi_ssl.config import TrunkConfig
from napari_hsi_ssl.errors import ConfigError, RunError


def carried_trunk(theirs: Mapping[str, Any], *, channels: int, source: str, inlet_sha256: str | None, learned: bool, where: str) -> TrunkConfig:
    """Return the trunk of a model that another run starts from.

    Parameters
    ----------
    theirs : dict
        The card of the model.
    channels : int
        What the new run's trunk takes.
    source : {"pcs", "bands"}
        The input of the new run.
    inlet_sha256 : str, optional
        Of its projection.
    learned : bool
        Whether it learns its inlets, which then start from this projection.
    where : str
        The model in words.

    Raises
    ------
    RunError
        When the trunk was trained on something else, or its card is none.
    """
    try:
        trunk = TrunkConfig.parse(theirs["architecture"]["trunk"], "the model's card")
        had, their_source = int(theirs["channels"]), theirs["input"]["source"]
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise RunError(f"{where} has a card that lacks or misstates a field ({error}); choose another run, or train it again.") from error
    if had != channels:
        remedy = "make a PCA with as many components" if source == "pcs" else "choose a run of this camera"
        raise RunError(f"{where} was trained on {had} channels, but this run has {channels}; {remedy}, or start from another run.")
    if their_source != source:
        kinds = {"pcs": "components", "bands": "all bands"}
        raise RunError(f"{where} was trained on {kinds.get(their_source, their_source)}, but this run takes {kinds[source]}; choose the same input for both.")
    if learned:
        return trunk
    if theirs.get("inlets"):
        raise RunError(f"{where} was trained with learned inlets, but this run has the frozen projection; choose inlet 'learned'.")
    if theirs.get("inlet_sha256") != inlet_sha256:
        raise RunError(f"{where} was trained on another inlet than this run's; choose a run made with this PCA, train one, or choose inlet 'learned'.")
    return trunk
