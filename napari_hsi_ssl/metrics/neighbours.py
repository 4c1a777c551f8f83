"""Exact nearest neighbours and their votes, in memory-sized chunks on NumPy's own threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_hsi_ssl.errors import ConfigError, LabelError
from napari_hsi_ssl.threads import side_by_side

Metric = Literal["cosine", "euclidean"]
Weights = Literal["uniform", "distance", "softmax"]
Number = TypeVar("Number", bound=np.generic)
_PAIR_BYTES = 2**20  # pairs that are worked on at a time stay in a core's own cache


class Finder(Protocol):
    """Finds, in single precision, the samples that could be among the nearest: on the CPU, or on another device (`mapping.device_neighbours`).

    Attributes
    ----------
    chunk_bytes : int
        Of distances that are best computed at a time, four for each.
    side_by_side : bool
        Whether several threads may ask it at a time.
    """

    chunk_bytes: ClassVar[int]
    side_by_side: ClassVar[bool]

    def near(self, asked: NDArray[np.float32], slack: NDArray[np.float64], k: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return query and sample (p,) of every pair whose product is at most the query's k-th smallest and ``slack`` (m,), in the order of the queries.

        ``asked`` is (m, d). Some pairs more do no harm.
        """


MakeFinder = Callable[[NDArray[np.float32]], Finder]
"""Takes samples (n, d)."""


def knn_vote(
    train: ArrayLike,
    labels: ArrayLike,
    query: ArrayLike,
    k: int = 20,
    metric: Metric = "cosine",
    *,
    weights: Weights = "uniform",
    temperature: float = 0.07,
    chunk: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Classify by the vote of the k nearest training samples, exactly.

    Parameters
    ----------
    train : float array (n, d)
    labels : integer array (n,)
    query : float array (m, d)
    k : int
    metric : {"cosine", "euclidean"}
    weights : {"uniform", "distance", "softmax"}
        Every vote counts alike; or ``1 / distance`` (Dudani 1976, doi:10.1109/TSMC.1976.5408784), where samples at distance 0 decide
        alone; or ``exp(-distance / temperature)`` (for cosine: Wu et al. 2018, doi:10.1109/CVPR.2018.00393, up to a factor that cancels).
    temperature : float
        Of "softmax": the smaller, the more the nearest ones count.
    chunk : int, optional
        Queries at a time; by default as many as keep the distances of a chunk within 4 MiB. The result does not depend on it.

    Returns
    -------
    labels : int64 array (m,)
        The class with most votes; of equal ones the smallest number, as scikit-learn does.
    confidence : float32 array (m,)
        The winner's share of the votes, in (0, 1].

    Raises
    ------
    ConfigError
        When ``k`` exceeds the training samples, or a setting is none of those above.
    LabelError
        When shapes do not fit, or features are not finite.
    """
    parts = list(knn_vote_chunks(train, labels, query, k, metric, weights=weights, temperature=temperature, chunk=chunk))
    if not parts:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    return np.concatenate([part[1] for part in parts]), np.concatenate([part[2] for part in parts])


def knn_vote_chunks(
    train: ArrayLike,
    labels: ArrayLike,
    query: ArrayLike,
    k: int = 20,
    metric: Metric = "cosine",
    *,
    weights: Weights = "uniform",
    temperature: float = 0.07,
    chunk: int | None = None,
) -> Iterator[tuple[slice, NDArray[np.int64], NDArray[np.float32]]]:
    """Yield ``(rows, labels, confidence)`` chunk by chunk, as `knn_vote` does in one go."""
    classes = np.unique(np.asarray(labels))
    for rows, shares in knn_shares_chunks(train, labels, query, k, metric, weights=weights, temperature=temperature, chunk=chunk):
        winner = shares.argmax(axis=1)
        yield rows, classes[winner].astype(np.int64), shares[np.arange(len(shares)), winner].astype(np.float32)


def knn_shares_chunks(
    train: ArrayLike,
    labels: ArrayLike,
    query: ArrayLike,
    k: int = 20,
    metric: Metric = "cosine",
    *,
    weights: Weights = "uniform",
    temperature: float = 0.07,
    chunk: int | None = None,
    finder: MakeFinder | None = None,
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield ``(rows, shares)`` chunk by chunk: of the votes of `knn_vote`, what each class (in ascending order) gets of them, (rows, classes)."""
    classes, coded = np.unique(np.asarray(labels), return_inverse=True)
    if coded.shape != np.shape(train)[:1]:
        raise LabelError(f"there are {coded.size} labels for {np.shape(train)[0]} training samples, expected one each.")
    if weights not in ("uniform", "distance", "softmax"):
        raise ConfigError(f"the weights of the vote are '{weights}', expected uniform, distance or softmax; choose one of them.")
    if temperature <= 0:
        raise ConfigError(f"the temperature of the vote is {temperature}, expected a positive number; use for example 0.07.")
    for rows, neighbours, distances in nearest_chunks(train, query, k, metric, chunk=chunk, finder=finder):
        cells = np.arange(len(neighbours))[:, None] * classes.size + coded[neighbours]
        counted = _weighed(distances, weights, temperature).ravel()
        votes = np.bincount(cells.ravel(), counted, minlength=len(neighbours) * classes.size).reshape(-1, classes.size)
        yield rows, votes / votes.sum(axis=1, keepdims=True)


def _weighed(distances: NDArray[np.float64], weights: Weights, temperature: float) -> NDArray[np.float64]:
    """Return what the vote of each neighbour (m, k), nearest first, counts."""
    if weights == "uniform":
        return np.ones(distances.shape)
    nearest_one = distances[:, :1]
    if weights == "softmax":  # relative to the nearest, so that weights are never all zero
        return np.exp((nearest_one - distances) / temperature)
    same = distances == 0
    return np.where(nearest_one == 0, same, nearest_one / np.where(same, 1, distances))


def nearest(train: ArrayLike, query: ArrayLike, k: int, metric: Metric = "cosine", *, chunk: int | None = None) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the k nearest training samples of every query, nearest first, equal distances by index: indices and distances (m, k)."""
    parts = list(nearest_chunks(train, query, k, metric, chunk=chunk))
    if not parts:
        return np.zeros((0, k), dtype=np.intp), np.zeros((0, k))
    return np.concatenate([part[1] for part in parts]), np.concatenate([part[2] for part in parts])


def nearest_chunks(
    train: ArrayLike, query: ArrayLike, k: int, metric: Metric = "cosine", *, chunk: int | None = None, finder: MakeFinder | None = None
) -> Iterator[tuple[slice, NDArray[np.intp], NDArray[np.float64]]]:
    """Yield ``(rows, indices, distances)`` chunk by chunk, as `nearest` does in one go.

    A matrix product in single precision finds, with a bound on its rounding error, every sample that could be among the k
    nearest; the distances of these few are computed in double precision and decide. ``finder`` says where the product is made, on this
    processor by default; the result does not depend on it.
    """
    left, right = _checked(train, query, k)
    if metric not in ("cosine", "euclidean"):
        raise ConfigError(f"the metric is '{metric}', expected cosine or euclidean.")
    zero = np.full(len(left), metric == "cosine") & (left == 0).all(axis=1)
    left = _unit(left) if metric == "cosine" else left
    # Distances do not change when all points move, and single precision loses less the shorter the vectors are.
    centre = left.mean(axis=0)
    single = (left - centre).astype(np.float32)
    squares = ((left - centre) ** 2).sum(axis=1)
    largest = float(np.sqrt(squares.max()))
    # A training sample that is all zero has no direction: its cosine distance is 1 whatever the query, so its square is 2 (not 1).
    # The squares are one more dimension, against which every query has 1: the product then is the whole distance.
    single = np.concatenate((single, (squares + zero).astype(np.float32)[:, None]), axis=1)
    epsilon = float(np.finfo(np.float32).eps) * (left.shape[1] + 8)
    find = (finder or InSingle)(single)
    step = chunk or max(1, find.chunk_bytes // (4 * len(left)))

    def of(rows: slice) -> tuple[slice, NDArray[np.intp], NDArray[np.float64]]:
        part = right[rows].astype(np.float64)
        nothing = np.full(len(part), metric == "cosine") & (part == 0).all(axis=1)
        part = _unit(part) if metric == "cosine" else part
        moved = part - centre
        # Squared distance less the query's own square, which is the same along a row.
        asked = np.ones((len(part), single.shape[1]), dtype=np.float32)
        np.multiply(moved, -2, out=asked[:, :-1], casting="same_kind")
        slack = 2 * epsilon * largest * (largest + 2 * np.sqrt((moved**2).sum(axis=1)))
        slack[nothing] = np.inf
        query_of, sample = find.near(asked, slack, k)
        exact = _exact(part, left, query_of, sample)
        exact += zero[sample]
        exact[nothing[query_of]] = 2.0
        found, squared = _first(query_of, sample, exact, len(part), k)
        return rows, found, squared / 2 if metric == "cosine" else np.sqrt(squared)

    chunks = [slice(start, min(start + step, len(right))) for start in range(0, len(right), step)]
    yield from side_by_side(of, chunks) if find.side_by_side and len(chunks) > 1 else map(of, chunks)


def _first(
    query_of: NDArray[np.intp], sample: NDArray[np.intp], exact: NDArray[np.float64], queries: int, k: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the k samples of each query at the smallest distances, of equal ones the first, and these distances; pairs come by query and sample."""
    counts = np.bincount(query_of, minlength=queries)
    starts = np.cumsum(counts) - counts
    widest = int(counts.max(initial=k))
    if queries * widest > 4 * query_of.size:  # one query with very many candidates
        picked = np.lexsort((sample, exact, query_of))[starts[:, None] + np.arange(k)]
    else:
        table = np.full((queries, widest), np.inf)
        table[query_of, np.arange(query_of.size) - starts[query_of]] = exact
        picked = np.argsort(table, axis=1, kind="stable")[:, :k] + starts[:, None]
    return sample[picked], exact[picked]


class InSingle:
    """Finds candidates by NumPy's product in single precision.

    Parameters
    ----------
    samples : float32 array (n, d)
    """

    chunk_bytes: ClassVar[int] = 4 * 2**20  # the products are passed over several times, which is quick while they lie in the cache
    side_by_side: ClassVar[bool] = True

    def __init__(self, samples: NDArray[np.float32]) -> None:
        self._samples = samples.T

    def near(self, asked: NDArray[np.float32], slack: NDArray[np.float64], k: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return query and sample (p,) of every pair at or below the query's k-th smallest product and its slack."""
        rough = asked @ self._samples
        limit = (bound(rough, k) + slack).astype(np.float32)
        found = np.flatnonzero(rough <= np.nextafter(limit, np.float32(np.inf))[:, None])  # four times faster than nonzero
        return np.divmod(found, rough.shape[1])


def bound(distances: NDArray[Number], k: int) -> NDArray[Number]:
    """Return for each row a value that at least k of its distances do not exceed, and hardly more than k.

    The k-th smallest of the minima of groups of columns: each minimum is a distance of its own, and a vectorised minimum costs a
    tenth of partitioning the row.
    """
    groups = max(256, 12 * k)
    width = distances.shape[1] // groups
    if width > 1:
        grouped = distances[:, : width * groups].reshape(len(distances), width, groups)
        distances = np.concatenate((grouped.min(axis=1), distances[:, width * groups :]), axis=1)
    return np.partition(distances, k - 1, axis=1)[:, k - 1]


def _exact(query: NDArray[np.float64], train: NDArray[np.float64], query_of: NDArray[np.intp], sample: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the squared distance of each pair (query, sample), summed in one order so that equal samples are equally far."""
    result = np.empty(query_of.size)
    step = max(1, _PAIR_BYTES // (8 * query.shape[1]))
    rooms = np.empty((2, min(step, query_of.size), query.shape[1]))
    for start in range(0, query_of.size, step):
        part = slice(start, start + step)
        left, right = rooms[:, : len(query_of[part])]
        # "clip" lets NumPy write straight into the room; all numbers are in range.
        np.take(query, query_of[part], axis=0, out=left, mode="clip")
        np.take(train, sample[part], axis=0, out=right, mode="clip")
        left -= right
        np.einsum("pd,pd->p", left, left, out=result[part])
    return result


def _checked(train: ArrayLike, query: ArrayLike, k: int) -> tuple[NDArray[np.float64], NDArray[np.floating]]:
    left, right = np.asarray(train, dtype=np.float64), np.asarray(query)
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1] or left.shape[1] == 0:
        raise LabelError(f"training features have shape {left.shape} and queries {right.shape}, expected (n, d) and (m, d); use features of one model.")
    if k < 1:
        raise ConfigError(f"k is {k}, expected at least 1 neighbour.")
    if k > len(left):
        raise ConfigError(f"k is {k} but there are {len(left)} training samples, expected at least as many; lower --k or label more.")
    for name, array in (("training", left), ("query", right)):
        if not np.isfinite(array).all():
            raise LabelError(f"the {name} features hold NaN or infinite values, expected finite numbers; leave unmeasured pixels out.")
    return left, right


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.sqrt((vectors**2).sum(axis=1, keepdims=True))
    return vectors / np.where(norms == 0, 1, norms)
