"""From the embedding of every pixel to a map: which labelled pixels serve as references, and how they decide."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.config import ClassifyConfig
from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.mapping.classifiers import fit_linear
from napari_hsi_ssl.metrics.calibration import entropy, tempered
from napari_hsi_ssl.metrics.neighbours import MakeFinder, Metric, Weights, knn_shares_chunks
from napari_hsi_ssl.progress import Progress, Steps

_CHUNK_BYTES = 128 * 2**20

Method = Literal["knn", "linear"]
Votes = Iterator[tuple[slice, NDArray[np.int64], NDArray[np.float32]]]


class Embedding(Protocol):
    """Features (y, x, d) of a cube, in memory or on disk; NaN where there are none."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width, dimensions."""

    def __getitem__(self, which: Any, /) -> NDArray[np.floating]:  # noqa: ANN401 - rows or a mask
        """Return the features of some pixels."""


def choose_references(labels: Sequence[NDArray[np.integer]], count: int, seed: int = 0) -> list[NDArray[np.bool_]]:
    """Choose labelled pixels of one or several cubes that stand for all of them.

    Classes keep their shares, but a rare one keeps its pixels up to a quarter of an equal share, so that it is not drowned.

    Parameters
    ----------
    labels : sequence of int arrays (y, x)
        One a cube; 0 = unlabelled.
    count : int
        At most this many pixels over all cubes; fewer labelled ones are all taken.
    seed : int

    Returns
    -------
    list of bool arrays (y, x)
        One a cube.

    Raises
    ------
    LabelError
        When fewer than two classes are labelled.
    """
    flat = np.concatenate([np.ravel(image) for image in labels])
    numbers, sizes = np.unique(flat[flat != 0], return_counts=True)
    if numbers.size < 2:
        found = f"one class ({numbers[0]})" if numbers.size else "no class"
        raise LabelError(f"the training labels hold {found}, expected at least two; label another class.")
    chosen = flat != 0
    if sizes.sum() > count:
        generator = np.random.default_rng(seed)
        least = np.minimum(sizes, max(1, count // (4 * numbers.size)))
        rest = sizes - least
        quota = least + np.floor(max(0, count - least.sum()) * rest / max(1, rest.sum())).astype(np.int64)
        chosen = np.zeros(flat.size, dtype=bool)
        for number, share in zip(numbers, quota, strict=True):
            chosen[generator.choice(np.flatnonzero(flat == number), int(share), replace=False)] = True
    parts = np.split(chosen, np.cumsum([image.size for image in labels])[:-1])
    return [part.reshape(image.shape) for part, image in zip(parts, labels, strict=True)]


def labelled_features(
    images: Mapping[str, Embedding], labels: Mapping[str, NDArray[np.integer]], count: int, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return features (n, d) and class numbers (n,) of the labelled pixels that decide, as `choose_references` chooses them; unmeasured ones are left out."""
    chosen = choose_references(list(labels.values()), count, seed)
    x = np.concatenate([np.asarray(images[name][which], dtype=np.float32) for name, which in zip(labels, chosen, strict=True)])
    y = np.concatenate([image[which] for image, which in zip(labels.values(), chosen, strict=True)]).astype(np.int64)
    measured = np.isfinite(x).all(axis=1)
    return x[measured], y[measured]


@dataclass(frozen=True, eq=False)
class Decider:
    """A classifier that has learned from references.

    Attributes
    ----------
    classes : int64 array (c,)
        Class numbers, ascending.
    answers : callable
        Takes features (n, d), yields ``(rows, shares (rows, c))`` from first to last: of the votes, or probabilities.
    votes : int
        How many there are; 0 where the shares are probabilities.
    """

    classes: NDArray[np.int64]
    answers: Callable[[NDArray[np.floating]], Iterator[tuple[slice, NDArray[np.floating]]]]
    votes: int = 0

    def __call__(self, query: NDArray[np.floating]) -> Votes:
        """Yield ``(rows, class numbers, confidence)``: the winner, and its share."""
        for rows, shares in self.answers(query):
            winner = shares.argmax(axis=1)
            yield rows, self.classes[winner], shares[np.arange(len(shares)), winner].astype(np.float32)

    def log(self, shares: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return logarithms of probabilities (n, c), for a temperature to divide; one vote more, spread over all classes, keeps those without one possible."""
        said = np.asarray(shares, dtype=np.float64)
        if self.votes:
            said = (self.votes * said + 1 / said.shape[1]) / (self.votes + 1)
        logs: NDArray[np.float64] = np.log(np.maximum(said, np.finfo(np.float64).tiny))
        return logs


@dataclass(frozen=True)
class Vote:
    """How the nearest references vote, as `metrics.neighbours.knn_vote` has it."""

    metric: Metric = "cosine"
    weights: Weights = "uniform"
    temperature: float = 0.07

    @classmethod
    def of(cls, config: ClassifyConfig) -> Vote:
        """Return what the settings of a map say."""
        return cls(config.metric, config.weights, config.temperature)


def decider(
    method: Method,
    features: NDArray[np.floating],
    labels: NDArray[np.integer],
    k: int = 20,
    *,
    standardised: bool = True,
    vote: Vote | None = None,
    finder: MakeFinder | None = None,
) -> Decider:
    """Return what classifies features by references: kNN or a logistic head, both on standardised features.

    Parameters
    ----------
    method : {"knn", "linear"}
    features : float array (n, d)
        Of the references; finite.
    labels : int array (n,)
    k : int
        Neighbours of kNN.
    standardised : bool
        False where the features are scaled as they are meant to be compared; the logistic head standardises in any case.
    vote : Vote, optional
        Of kNN; by cosine, all alike, by default.
    finder : callable, optional
        Where neighbours are looked for: on the CPU by default (`mapping.device_neighbours`).

    Returns
    -------
    Decider
        Confidence is the winner's share of the votes, or its probability.
    """
    classes = np.unique(labels).astype(np.int64)
    if method == "linear":
        probe = fit_linear(features, labels)

        def by_head(query: NDArray[np.floating]) -> Iterator[tuple[slice, NDArray[np.floating]]]:
            yield slice(0, len(query)), probe.proba(query)

        return Decider(classes, by_head)
    chosen = vote or Vote()

    def shares(references: NDArray[np.floating], query: NDArray[np.floating]) -> Iterator[tuple[slice, NDArray[np.floating]]]:
        weights, temperature = chosen.weights, chosen.temperature
        return knn_shares_chunks(references, labels, query, k, chosen.metric, weights=weights, temperature=temperature, finder=finder)

    if not standardised:
        return Decider(classes, lambda query: shares(features, query), k)
    mean, spread = scaling(features)
    references = (np.asarray(features, dtype=np.float64) - mean) / spread

    def by_neighbours(query: NDArray[np.floating]) -> Iterator[tuple[slice, NDArray[np.floating]]]:
        return shares(references, ((query - mean) / spread).astype(np.float32))

    return Decider(classes, by_neighbours, k)


def scaling(features: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and spread (d,) of features (n, d); a constant one has the spread 1."""
    wide = np.asarray(features, dtype=np.float64)
    mean, spread = wide.mean(axis=0), wide.std(axis=0)
    spread[spread == 0] = 1.0
    return mean, spread


@dataclass(frozen=True, eq=False)
class Decided:
    """A classified area.

    Attributes
    ----------
    labels : int32 array (y, x)
        0 outside the area and where there are no features.
    confidence : float32 array (y, x)
        Of the class, in [0, 1]; 0 where there is none.
    entropy : float32 array (y, x)
        How undecided the classifier is (`metrics.calibration.entropy`); 0 where there is no class.
    """

    labels: NDArray[np.int32]
    confidence: NDArray[np.float32]
    entropy: NDArray[np.float32]


def measured_rows(image: Embedding, area: NDArray[np.bool_]) -> Iterator[tuple[slice, NDArray[np.bool_], NDArray[np.float32]]]:
    """Yield some rows at a time: which, the measured pixels (rows, x) of an area in them, and their features (n, d)."""
    height, width, dimensions = image.shape
    step = max(1, _CHUNK_BYTES // (8 * width * dimensions))
    for top in range(0, height, step):
        rows = slice(top, min(height, top + step))
        inside = area[rows].copy()
        features = np.asarray(image[rows][inside], dtype=np.float32)
        measured = np.isfinite(features).all(axis=1)
        inside[inside] = measured
        yield rows, inside, features[measured]


def decide_map(embedding: Embedding, area: NDArray[np.bool_], decide: Decider, temperature: float | None = None) -> Steps[Decided]:
    """Classify every pixel of an area, some rows at a time.

    Parameters
    ----------
    embedding : Embedding
    area : bool array (y, x)
    decide : Decider
    temperature : float, optional
        Calibrates confidence and entropy (`mapping.trust`); the classes stay. By default confidence is the share as it is.
    """
    height, width = embedding.shape[:2]
    labels = np.zeros((height, width), dtype=np.int32)
    confidence, undecided = np.zeros((height, width), dtype=np.float32), np.zeros((height, width), dtype=np.float32)
    for rows, inside, features in measured_rows(embedding, area):
        top = rows.start
        y, x = np.nonzero(inside)
        done = 0
        for part, shares in decide.answers(features) if y.size else ():
            winner = shares.argmax(axis=1)
            said = shares if temperature is None else tempered(decide.log(shares), temperature)
            here = top + y[part], x[part]
            labels[here], confidence[here] = decide.classes[winner], said[np.arange(len(said)), winner]
            undecided[here] = entropy(said)
            done = part.stop
            yield Progress(top + (rows.stop - top) * done / y.size, height, "classifying")
        yield Progress(rows.stop, height, "classifying")
    return Decided(labels, confidence, undecided)
