"""Why a pixel got its class: the votes behind it, and the labelled pixels that are most like it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.mapping.maps import Embedding, Method, Vote, choose_references, decider, scaling
from napari_hsi_ssl.metrics.calibration import tempered
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
        Of the votes, or probabilities, as calibrated as the map's confidence is.
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
    temperature : float, optional
        Of the map's confidence.
    vote : Vote, optional
        How the neighbours of kNN vote.
    """

    def __init__(
        self,
        references: References,
        method: Method,
        k: int = 20,
        *,
        standardised: bool = True,
        temperature: float | None = None,
        vote: Vote | None = None,
    ) -> None:
        self.references = references
        self._decide = decider(method, references.features, references.numbers, min(k, len(references.numbers)), standardised=standardised, vote=vote)
        self._temperature = temperature
        self._mean, self._spread = scaling(references.features) if standardised else (np.zeros(1), np.ones(1))
        self._compared = (references.features - self._mean) / self._spread

    def why(self, query: NDArray[np.floating], count: int = 8) -> Why:
        """Say what speaks for the class of a pixel by its features (d,); ``count`` references are named."""
        (_, shares), *_ = self._decide.answers(query[None])
        said = shares if self._temperature is None else tempered(self._decide.log(shares), self._temperature)
        # A temperature gives every class something: what had no vote is still left out.
        numbers, said = ranked(self._decide.classes, np.where(shares[0] > 0, said[0], 0))
        compared = ((np.asarray(query, dtype=np.float64) - self._mean) / self._spread).astype(np.float32)
        found, far = nearest(self._compared, compared[None], min(count, len(self._compared)))
        return Why(numbers, said, found[0], far[0])


def ranked(numbers: NDArray[np.integer], shares: NDArray[np.floating]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return classes with a share, the largest first, of equal ones the smaller number."""
    order = np.lexsort((numbers, -np.asarray(shares, dtype=np.float64)))
    order = order[np.asarray(shares)[order] > 0]
    return np.asarray(numbers)[order].astype(np.int64), np.asarray(shares)[order].astype(np.float64)
