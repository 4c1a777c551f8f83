"""Where a learned inlet starts from: an inlet that was trained on the same bands, one of another camera at these wavelengths, or the projection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.config import DomainInput
from napari_hsi_ssl.cubes.calibrate import resampling_matrix
from napari_hsi_ssl.explore.pca import folded
from napari_hsi_ssl.explore.projection import Projection
from napari_hsi_ssl.learning.distil import DistilNetwork
from napari_hsi_ssl.learning.encoder import SimCLRModel
from napari_hsi_ssl.learning.inlets import Inlet, InletBank, domains_of

_COVERED: Final = 0.9
"""Share of a reference camera's range of wavelengths that a new camera must see, or its filters cannot be carried over."""


@dataclass(frozen=True)
class Carried:
    """A model whose trunk another run starts with, and its card."""

    model: SimCLRModel | DistilNetwork
    card: Mapping[str, Any]

    def inlet(self, domain: str) -> Inlet:
        """Return its inlet of a domain that its card names."""
        return cast("InletBank", self.model.inlets).of(domain)


def start_inlets(bank: InletBank, domains: Sequence[DomainInput], projection: Projection, carried: Carried | None = None) -> dict[str, str]:
    """Set the weights that training starts from.

    Parameters
    ----------
    bank : InletBank
    domains : sequence of DomainInput
        Of the bank.
    projection : Projection
        Fitted on these cubes. Standardised bands are those of its domains' means and spreads.
    carried : Carried, optional
        The model whose trunk the run starts with.

    Returns
    -------
    dict
        What each domain's inlet starts as, in words.
    """
    theirs = domains_of(carried.card) if carried is not None else ()
    words = {}
    for domain in domains:
        inlet = bank.of(domain.name)
        weights, bias, mean, spread = projection_start(projection, domain)
        same = next((other for other in theirs if (other.name, other.bands, other.used) == (domain.name, domain.bands, domain.used)), None)
        reference = None if same is not None else reference_camera(domain, theirs)
        words[domain.name] = "its projection"
        if carried is not None and same is not None:
            inlet.load_state_dict(carried.inlet(same.name).state_dict())
            words[domain.name] = "the inlet of the initial model"
        elif carried is not None and reference is not None:
            filters = at_wavelengths(carried.inlet(reference.name).effective, centres(reference), centres(domain))
            turn = turned_towards(weights, filters)
            inlet.start(weights @ turn, bias @ turn, mean, spread)
            words[domain.name] = f"its projection, turned towards the filters of '{reference.name}' at its wavelengths"
        else:
            inlet.start(weights, bias, mean, spread)
    return words


def projection_start(projection: Projection, domain: DomainInput) -> tuple[NDArray[np.float64], ...]:
    """Return weights (B, k), bias (k,), mean and spread (B,) with which an inlet gives the projection's own stored scores."""
    wavelengths = None if domain.wavelengths is None else np.asarray(domain.wavelengths)
    used = np.isin(np.arange(domain.bands), domain.used)
    weights, constant, mean, spread = folded(projection, domain.name, domain.bands, wavelengths, used)
    return spread[:, None] * weights, mean @ weights - constant, mean, spread


def reference_camera(domain: DomainInput, known: Sequence[DomainInput]) -> DomainInput | None:
    """Return the camera whose range of wavelengths a new one covers best; None where wavelengths are unknown or too few are shared."""
    if domain.wavelengths is None:
        return None
    best, most = None, _COVERED
    for other in known:
        if other.wavelengths is None:
            continue
        ours, theirs = centres(domain), centres(other)
        shared = min(ours.max(), theirs.max()) - max(ours.min(), theirs.min())
        share = shared / max(theirs.max() - theirs.min(), np.finfo(float).tiny)
        if share >= most:
            best, most = other, share
    return best


def centres(domain: DomainInput) -> NDArray[np.float64]:
    """Return the wavelengths (B,) in nm of the bands that a domain's inlet sees."""
    return np.asarray(domain.wavelengths, dtype=np.float64)[list(domain.used)]


def turned_towards(weights: NDArray[np.float64], filters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation (k, k) of a projection's scores that comes nearest to what some filters would give.

    The scores of a projection are uncorrelated and of unit spread, and stay so; but order and sign of its components are those of one scene.
    Filters of another camera taken as they are would not do: what hardly varies there may be large here.

    Parameters
    ----------
    weights : array (B, k)
        Of the projection, for bands of mean 0 and spread 1.
    filters : array (B, k)
        For the same bands.

    References
    ----------
    Schönemann (1966), A generalized solution of the orthogonal Procrustes problem.
    """
    seen = np.linalg.pinv(weights) @ filters  # the filters in terms of the scores
    left, _, right = np.linalg.svd(seen / np.maximum(np.linalg.norm(seen, axis=0), np.finfo(float).tiny))
    turn: NDArray[np.float64] = left @ right
    return turn


def at_wavelengths(weights: NDArray[np.float64], theirs: NDArray[np.float64], ours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return filters (B, k) over bands at ``ours`` that see what ``weights`` (B', k) see at ``theirs``, once spectra are interpolated there."""
    found: NDArray[np.float64] = resampling_matrix(ours, theirs, "wavelength").T @ weights
    return found
