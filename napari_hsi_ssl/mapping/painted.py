"""The map of painted pixels while the brush moves.

Embeddings are brought to unit length and to at most 64 directions once, when painting begins; a head (`mapping.heads`) is then a few rows of
weights, and a map is one matrix product a chunk, of what is looked at first. As few directions cost no accuracy (`benchmarks/paint.py --heads`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import psutil
from numpy.typing import NDArray

from napari_hsi_ssl.errors import CancelledError, LabelError
from napari_hsi_ssl.mapping.heads import Head, unit
from napari_hsi_ssl.mapping.maps import Embedding
from napari_hsi_ssl.progress import Progress, Steps

Box = tuple[slice, slice]
"""Rows and columns."""

MOST_DIRECTIONS: Final = 64
AT_ONCE: Final = 300_000
"""So many pixels are decided in one go, which nobody has to wait for."""
FIRST_PIXELS: Final = 120_000
"""Where more are looked at, so many of them are decided before anything else."""
_CHUNK: Final = 16_384
_SAMPLE_ROWS: Final = 64
_BLOCK_BYTES: Final = 64 * 2**20
_WIDE_BYTES: Final = 2**30
"""Up to here features are kept in single precision, beyond in half."""


@dataclass(frozen=True, eq=False)
class Basis:
    """What brings an embedding to few directions: ``(x − centre) / scale``, made a unit vector, on the axes that hold most of it.

    Attributes
    ----------
    centre, scale : float32 array (D,)
    axes : float32 array (D, d)
    """

    centre: NDArray[np.float32]
    scale: NDArray[np.float32]
    axes: NDArray[np.float32]

    @classmethod
    def of(cls, embedding: Embedding, area: NDArray[np.bool_], *, standardised: bool, most: int = MOST_DIRECTIONS) -> Basis:
        """Learn the axes from some rows of an area (y, x).

        Parameters
        ----------
        standardised : bool
            Whether every dimension is first brought to mean 0 and spread 1; not where an embedding is scaled as it is meant to be compared.

        Raises
        ------
        LabelError
            When no pixel of the area has an embedding.
        """
        rows = np.flatnonzero(area.any(axis=1))
        parts = [np.zeros((0, embedding.shape[2]), dtype=np.float32)]
        for row in rows[np.unique(np.linspace(0, rows.size - 1, min(_SAMPLE_ROWS, rows.size)).astype(int))].tolist():
            parts.append(np.asarray(embedding[slice(row, row + 1)], dtype=np.float32)[0][area[row]])
        sample = np.concatenate(parts)
        sample = sample[np.isfinite(sample).all(axis=1)]
        if not len(sample):
            raise LabelError("no used pixel of this cube has an embedding: its mask is empty or nothing in it was measured; make another mask.")
        dimensions = sample.shape[1]
        centre, scale = np.zeros(dimensions, dtype=np.float32), np.ones(dimensions, dtype=np.float32)
        if standardised:
            centre, scale = sample.mean(axis=0), sample.std(axis=0)
            scale[scale == 0] = 1.0
        units = unit((sample - centre) / scale)
        _, axes = np.linalg.eigh(units.T.astype(np.float64) @ units)
        return cls(centre, scale, np.ascontiguousarray(axes[:, ::-1][:, :most], dtype=np.float32))

    def __call__(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return embeddings (n, D) as unit vectors (n, d)."""
        return unit(unit((np.asarray(values, dtype=np.float32) - self.centre) / self.scale) @ self.axes)


@dataclass(frozen=True, eq=False)
class Space:
    """The features of the used pixels of a cube, ready to be classified again and again.

    Attributes
    ----------
    basis : Basis
    features : float32 or float16 array (n, d)
        Row after row of the image.
    place : int32 array (y, x)
        Where a pixel's features are; -1 where it has none.
    starts : int64 array (y + 1,)
        Where the features of each row of the image begin.
    """

    basis: Basis
    features: NDArray[np.floating]
    place: NDArray[np.int32]
    starts: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the image."""
        height, width = self.place.shape
        return height, width

    @classmethod
    def load(cls, embedding: Embedding, area: NDArray[np.bool_], basis: Basis) -> Steps[Space]:
        """Bring the embedding of an area (y, x) into memory, or to a file that goes with this object where memory does not hold it."""
        height, width, dimensions = embedding.shape
        features = _room(int(np.count_nonzero(area)), basis.axes.shape[1])
        place, starts = np.full((height, width), -1, dtype=np.int32), np.zeros(height + 1, dtype=np.int64)
        done, step = 0, max(1, _BLOCK_BYTES // (8 * width * dimensions))
        for top in range(0, height, step):
            rows = slice(top, min(height, top + step))
            inside = area[rows].copy()
            values = np.asarray(embedding[rows], dtype=np.float32)[inside]
            measured = np.isfinite(values).all(axis=1)
            inside[inside] = measured
            count = int(np.count_nonzero(measured))
            features[done : done + count] = basis(values[measured])
            place[rows][inside] = np.arange(done, done + count, dtype=np.int32)
            starts[top + 1 : rows.stop + 1] = done + np.cumsum(inside.sum(axis=1))
            done += count
            yield Progress(rows.stop, height, "reading the embedding")
        return cls(basis, features[:done], place, starts)

    def at(self, strokes: NDArray[np.integer]) -> tuple[NDArray[np.float32], NDArray[np.int64], int]:
        """Return features (n, d) and class numbers (n,) of painted pixels, and how many were painted where there are no features."""
        painted = np.flatnonzero(strokes)
        place = self.place.ravel()[painted]
        inside = place >= 0
        numbers = strokes.ravel()[painted[inside]].astype(np.int64)
        return np.asarray(self.features[place[inside]], dtype=np.float32), numbers, int(np.count_nonzero(~inside))


# -- the map ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PaintedMap:
    """A map that is being made.

    Attributes
    ----------
    labels : unsigned int array (y, x)
        Class numbers; 0 where there are no features.
    confidence : float32 array (y, x)
    """

    labels: NDArray[np.unsignedinteger]
    confidence: NDArray[np.float32]

    @classmethod
    def empty(cls, shape: tuple[int, int], highest: int = 255) -> PaintedMap:
        """Return a map without a class, whose numbers go up to ``highest``."""
        return cls(np.zeros(shape, dtype=np.uint8 if highest < 256 else np.uint16), np.zeros(shape, dtype=np.float32))

    def copy(self) -> PaintedMap:
        """Return a map of its own."""
        return PaintedMap(self.labels.copy(), self.confidence.copy())

    def counts(self, step: int = 1) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return how many pixels each class number has, and their mean confidence; of every ``step``-th row and column, scaled up."""
        labels = self.labels[::step, ::step].ravel()
        pixels = np.bincount(labels)
        sums = np.bincount(labels, self.confidence[::step, ::step].ravel())
        return pixels * step**2, sums / np.maximum(pixels, 1)


def fill_map(space: Space, head: Head, into: PaintedMap, view: Box | None = None, stale: Callable[[], bool] = lambda: False) -> Iterator[Box]:
    """Classify every pixel, what is looked at first; yields what is done.

    Where much is looked at, every n-th pixel of it stands for its neighbours at first.

    Parameters
    ----------
    into : PaintedMap
        Written in place.
    view : (slice, slice), optional
        Rows and columns that are looked at; all by default.
    stale : callable
        Asked after every chunk, a few milliseconds, whether the map is not wanted any more.

    Raises
    ------
    CancelledError
        When it has become stale.
    """
    height, width = space.shape
    rows, columns = view or (slice(0, height), slice(0, width))
    count = (rows.stop - rows.start) * (columns.stop - columns.start)
    step = int(np.ceil(np.sqrt(count / FIRST_PIXELS))) if count > AT_ONCE else 1
    whole = height * width <= AT_ONCE
    if step > 1:
        _coarse(space, head, into, (rows, columns), step, stale)
        yield rows, columns
    for box in (
        (rows, columns),
        (slice(0, rows.start), slice(0, width)),
        (slice(rows.stop, height), slice(0, width)),
        (rows, slice(0, columns.start)),
        (rows, slice(columns.stop, width)),
    ):
        across = box[1].stop - box[1].start
        if across <= 0:
            continue
        tall = max(1, _CHUNK // across)
        for top in range(box[0].start, box[0].stop, tall):
            part = (slice(top, min(box[0].stop, top + tall)), box[1])
            _decide(space, head, into, part)
            _heed(stale)
            if not whole:
                yield part
    if whole:
        yield slice(0, height), slice(0, width)


def stream_map(embedding: Embedding, area: NDArray[np.bool_], basis: Basis, head: Head) -> Steps[PaintedMap]:
    """Classify the area (y, x) of an embedding that is not held in memory, some rows at a time."""
    height, width, dimensions = embedding.shape
    found = PaintedMap.empty((height, width), int(head.numbers.max()))
    step = max(1, _BLOCK_BYTES // (8 * width * dimensions))
    for top in range(0, height, step):
        rows = slice(top, min(height, top + step))
        inside = area[rows].copy()
        values = np.asarray(embedding[rows], dtype=np.float32)[inside]
        measured = np.isfinite(values).all(axis=1)
        inside[inside] = measured
        if measured.any():
            best, sure = head.decide(basis(values[measured]))
            found.labels[rows][inside], found.confidence[rows][inside] = head.numbers[best], sure
        yield Progress(rows.stop, height, "classifying")
    return found


def _heed(stale: Callable[[], bool]) -> None:
    if stale():
        raise CancelledError("")


def _coarse(space: Space, head: Head, into: PaintedMap, box: Box, step: int, stale: Callable[[], bool]) -> None:
    rows, columns = box
    tall = max(1, _CHUNK // max(1, len(range(columns.start, columns.stop, step)))) * step
    for top in range(rows.start, rows.stop, tall):
        part = slice(top, min(rows.stop, top + tall))
        place = space.place[part, columns][::step, ::step]
        labels, sure = _classified(space, head, place, into.labels.dtype)
        shape = (part.stop - part.start, columns.stop - columns.start)
        known = space.place[part, columns] >= 0
        for whole, few in ((into.labels, labels), (into.confidence, sure)):
            whole[part, columns] = np.where(known, few.repeat(step, axis=0).repeat(step, axis=1)[: shape[0], : shape[1]], 0)
        _heed(stale)


def _decide(space: Space, head: Head, into: PaintedMap, box: Box) -> None:
    rows, columns = box
    whole = columns.start == 0 and columns.stop == space.shape[1]
    first, last = int(space.starts[rows.start]), int(space.starts[rows.stop])
    if whole and last - first == (rows.stop - rows.start) * space.shape[1]:
        best, sure = head.decide(space.features[first:last])
        into.labels[rows] = head.numbers[best].astype(into.labels.dtype).reshape(-1, space.shape[1])
        into.confidence[rows] = sure.reshape(-1, space.shape[1])
        return
    into.labels[box], into.confidence[box] = _classified(space, head, space.place[box], into.labels.dtype)


def _classified(space: Space, head: Head, place: NDArray[np.int32], kind: Any) -> tuple[NDArray[Any], NDArray[np.float32]]:  # noqa: ANN401 - a type
    """Return labels and confidence of the pixels at some places (y, x) of the features; 0 where there are none."""
    labels, confidence = np.zeros(place.shape, dtype=kind), np.zeros(place.shape, dtype=np.float32)
    inside = place >= 0
    if inside.any():
        best, sure = head.decide(space.features[place[inside]])
        labels[inside], confidence[inside] = head.numbers[best], sure
    return labels, confidence


def _room(count: int, dimensions: int) -> NDArray[np.floating]:
    size = 4 * count * dimensions
    if size <= _WIDE_BYTES:
        return np.empty((count, dimensions), dtype=np.float32)
    if size // 2 <= psutil.virtual_memory().available // 2:
        return np.empty((count, dimensions), dtype=np.float16)
    with tempfile.TemporaryFile() as file:  # it has no name, and its room on disk is free again once the map of it is gone
        return np.memmap(file, dtype=np.float16, mode="w+", shape=(count, dimensions))
