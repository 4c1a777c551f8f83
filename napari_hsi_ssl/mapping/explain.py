"""Why a pixel got its class: the votes behind it, and the labelled pixels that are most like it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.mapping.classifiers import LinearProbe, fit_linear
from napari_hsi_ssl.mapping.maps import Embedding, Method, choose_references, scaling
from napari_hsi_ssl.metrics.neighbours import nearest


@dataclass(frozen=True, eq=False)
class References:
    """Labelled pixels that decide a map.

    Attributes
    ----------
    features : float32 array (n, d)
    numbers : int64 array (n,)
        Their classes.
    cubes : tuple of str
    cube : intp array (n,)
        Index into ``cubes``.
    y, x : intp arrays (n,)
    """

    features: NDArray[np.float32]
    numbers: NDArray[np.int64]
    cubes: tuple[str, ...]
    cube: NDArray[np.intp]
    y: NDArray[np.intp]
    x: NDArray[np.intp]

    @classmethod
    def of(cls, images: Mapping[str, Embedding], labels: Mapping[str, NDArray[np.integer]], count: int, seed: int = 0) -> References:
        """Take the labelled pixels that `mapping.maps.labelled_features` takes, with their places; unmeasured ones are left out."""
        chosen = choose_references(list(labels.values()), count, seed)
        features = np.concatenate([np.asarray(images[name][which], dtype=np.float32) for name, which in zip(labels, chosen, strict=True)])
        numbers = np.concatenate([image[which] for image, which in zip(labels.values(), chosen, strict=True)]).astype(np.int64)
        places = [np.nonzero(which) for which in chosen]
        cube = np.repeat(np.arange(len(places)), [y.size for y, _ in places])
        y, x = (np.concatenate([place[axis] for place in places]) for axis in (0, 1))
        measured = np.isfinite(features).all(axis=1)
        return cls(features[measured], numbers[measured], tuple(labels), cube[measured], y[measured], x[measured])


@dataclass(frozen=True, eq=False)
class Why:
    """What speaks for the class of one pixel.

    Attributes
    ----------
    numbers : int64 array (c,)
        Classes, those with most votes first; classes without any are left out.
    shares : float64 array (c,)
        Of the votes, or probabilities.
    nearest : intp array (m,)
        The most similar references, the nearest first.
    distances : float64 array (m,)
        Cosine distances, 0 … 2.
    """

    numbers: NDArray[np.int64]
    shares: NDArray[np.float64]
    nearest: NDArray[np.intp]
    distances: NDArray[np.float64]


class Explainer:
    """Answers, one pixel after another, from the references of a map.

    Parameters
    ----------
    references : References
    method : {"knn", "linear"}
    k : int
        Neighbours that vote.
    standardised : bool
        As `mapping.maps.decider` has it.
    """

    def __init__(self, references: References, method: Method, k: int = 20, *, standardised: bool = True) -> None:
        self.references = references
        self._k = k
        self._probe: LinearProbe | None = fit_linear(references.features, references.numbers) if method == "linear" else None
        self._mean, self._spread = scaling(references.features) if standardised else (np.zeros(1), np.ones(1))
        self._compared = (references.features - self._mean) / self._spread

    def why(self, query: NDArray[np.floating], count: int = 8) -> Why:
        """Say what speaks for the class of a pixel by its features (d,); ``count`` references are named."""
        wanted = max(count, 0 if self._probe is not None else self._k)
        compared = ((np.asarray(query, dtype=np.float64) - self._mean) / self._spread).astype(np.float32)
        found, far = nearest(self._compared, compared[None], min(wanted, len(self._compared)))
        if self._probe is not None:
            numbers, shares = self._probe.classes, self._probe.proba(query).astype(np.float64)
        else:
            numbers, votes = np.unique(self.references.numbers[found[0, : self._k]], return_counts=True)
            shares = votes / votes.sum()
        numbers, shares = ranked(numbers, shares)
        return Why(numbers, shares, found[0, :count], far[0, :count])


def ranked(numbers: NDArray[np.integer], shares: NDArray[np.floating]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return classes with a share, the largest first, of equal ones the smaller number."""
    order = np.lexsort((numbers, -np.asarray(shares, dtype=np.float64)))
    order = order[np.asarray(shares)[order] > 0]
    return np.asarray(numbers)[order].astype(np.int64), np.asarray(shares)[order].astype(np.float64)
