"""From the embedding of every pixel to a map: which labelled pixels serve as references, and how they decide."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.mapping.classifiers import fit_linear
from napari_hsi_ssl.metrics.neighbours import knn_vote_chunks
from napari_hsi_ssl.progress import Progress, Steps

_CHUNK_BYTES = 128 * 2**20

Method = Literal["knn", "linear"]
Votes = Iterator[tuple[slice, NDArray[np.int64], NDArray[np.float32]]]
Decide = Callable[[NDArray[np.floating]], Votes]
"""Takes features (n, d), yields ``(rows, class numbers, confidence)`` from first to last."""


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


def decider(method: Method, features: NDArray[np.floating], labels: NDArray[np.integer], k: int = 20, *, standardised: bool = True) -> Decide:
    """Return what classifies features by references: kNN (cosine) or a logistic head, both on standardised features.

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

    Returns
    -------
    callable
        Confidence is the winner's share of the votes, or its probability.
    """
    if method == "linear":
        probe = fit_linear(features, labels)

        def by_head(query: NDArray[np.floating]) -> Votes:
            yield slice(0, len(query)), *probe.predict(query)

        return by_head
    if not standardised:
        return lambda query: knn_vote_chunks(features, labels, query, k)
    mean, spread = scaling(features)
    references = (np.asarray(features, dtype=np.float64) - mean) / spread

    def by_neighbours(query: NDArray[np.floating]) -> Votes:
        return knn_vote_chunks(references, labels, ((query - mean) / spread).astype(np.float32), k)

    return by_neighbours


def scaling(features: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and spread (d,) of features (n, d); a constant one has the spread 1."""
    wide = np.asarray(features, dtype=np.float64)
    mean, spread = wide.mean(axis=0), wide.std(axis=0)
    spread[spread == 0] = 1.0
    return mean, spread


def decide_map(embedding: Embedding, area: NDArray[np.bool_], decide: Decide) -> Steps[tuple[NDArray[np.int32], NDArray[np.float32]]]:
    """Classify every pixel of an area, some rows at a time.

    Parameters
    ----------
    embedding : Embedding
    area : bool array (y, x)
    decide : callable
        From `decider`.

    Returns
    -------
    labels : int32 array (y, x)
        0 outside the area and where there is no embedding.
    confidence : float32 array (y, x)
        In [0, 1].
    """
    height, width, dimensions = embedding.shape
    labels, confidence = np.zeros((height, width), dtype=np.int32), np.zeros((height, width), dtype=np.float32)
    step = max(1, _CHUNK_BYTES // (8 * width * dimensions))
    for top in range(0, height, step):
        rows = slice(top, min(height, top + step))
        inside = area[rows].copy()
        features = np.asarray(embedding[rows][inside], dtype=np.float32)
        measured = np.isfinite(features).all(axis=1)
        inside[inside] = measured
        y, x = np.nonzero(inside)
        done = 0
        for part, numbers, sure in decide(features[measured]) if y.size else ():
            labels[top + y[part], x[part]], confidence[top + y[part], x[part]] = numbers, sure
            done = part.stop
            yield Progress(top + (rows.stop - top) * done / y.size, height, "classifying")
        yield Progress(rows.stop, height, "classifying")
    return labels, confidence
