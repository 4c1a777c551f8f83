"""What a patch is without any network: its mean spectrum, its mean scores, and the class of its labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_hsi_ssl.cubes.cube import valid_pixels


class RowReader(Protocol):
    """An image (y, x, channel) of which some rows can be read at a time: an array, a memory map, a lazy cube's data."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width, channels."""

    def __getitem__(self, rows: slice, /) -> ArrayLike:
        """Return some rows (rows, x, channel)."""


def patch_means(
    image: RowReader,
    foreground: NDArray[np.bool_],
    y: NDArray[np.integer],
    x: NDArray[np.integer],
    size: int,
    *,
    nodata: float | None = None,
    told: Callable[[float], None] | None = None,
) -> NDArray[np.float64]:
    """Average each window over its measured foreground, reading as many rows at a time as a window has.

    Parameters
    ----------
    image : (y, x, channel)
    foreground : bool array (y, x)
    y, x : int array (n,)
        Top-left corners of the windows.
    size : int
        Side of the windows in pixels.
    nodata : float, optional
        Pixels with this value in every channel are not measured.
    told : callable, optional
        Called with the share done.

    Returns
    -------
    float64 array (n, channel)
        NaN where a window has no measured foreground.
    """
    means = np.full((y.size, image.shape[2]), np.nan)
    tops = np.unique(y)
    for number, top in enumerate(tops):
        rows = slice(int(top), int(top) + size)
        strip = np.asarray(image[rows])
        used = valid_pixels(strip, nodata) & foreground[rows]
        # Sums down the columns, then differences of running sums along the row: a pixel is read once for all windows of the strip.
        values = np.where(used[..., None], strip, 0).astype(np.float64).sum(axis=0)
        count = used.sum(axis=0)
        running = np.concatenate((np.zeros((1, values.shape[1])), values.cumsum(axis=0)))
        counted = np.concatenate(([0], count.cumsum()))
        members = np.flatnonzero(y == top)
        left, right = x[members], x[members] + size
        pixels = (counted[right] - counted[left])[:, None]
        means[members] = np.where(pixels > 0, running[right] - running[left], np.nan) / np.maximum(pixels, 1)
        if told is not None:
            told((number + 1) / tops.size)
    return means


def patch_classes(labels: NDArray[np.integer], y: NDArray[np.integer], x: NDArray[np.integer], size: int, *, agreement: float = 0.5) -> NDArray[np.int64]:
    """Return the class of each window: that of most of its labelled pixels.

    Parameters
    ----------
    labels : int array (y, x)
        0 = unlabelled.
    y, x : int array (n,)
        Top-left corners of the windows.
    size : int
    agreement : float
        The class must have at least this share of the window's labelled pixels.

    Returns
    -------
    int64 array (n,)
        0 where nothing is labelled, or no class has that share; of two equal ones the smaller number.
    """
    found = np.zeros(y.size, dtype=np.int64)
    numbers, coded = np.unique(labels, return_inverse=True)
    coded = coded.reshape(labels.shape)
    unlabelled = np.searchsorted(numbers, 0) if 0 in numbers else None
    for row, (top, left) in enumerate(zip(y.tolist(), x.tolist(), strict=True)):
        counts = np.bincount(coded[top : top + size, left : left + size].ravel(), minlength=numbers.size)
        if unlabelled is not None:
            counts[unlabelled] = 0
        best = int(counts.argmax())
        if counts[best] > 0 and counts[best] >= agreement * counts.sum():
            found[row] = numbers[best]
    return found
