"""Which of many points a lasso holds: whole cells of a scatter plot at once, and point by point only along its line."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from skimage.measure import points_in_poly

from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.explore.density import Plane

Points = Callable[[NDArray[np.intp]], tuple[NDArray[np.generic], NDArray[np.generic]]]
"""Gives x (m,) and y (m,) of the points with some numbers (m,)."""
_CHUNK = 2**18
_TESTS = 2**21  # of a point against an edge, in one go: the interpreter is held for a few milliseconds
_SLACK = 1e-3  # of a cell: float32 binning may give a point this near an edge to the cell beside
_OUTSIDE, _INSIDE, _LINE = 0, 1, 2


def checked_polygon(polygon: ArrayLike) -> NDArray[np.float64]:
    """Return the corners (n, 2) of a polygon in (x, y), closed by itself, none twice in a row.

    Raises
    ------
    ConfigError
        When it is no list of pairs of finite numbers, or has fewer than three corners.
    """
    try:
        corners = np.asarray(polygon, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the lasso's corners are no numbers ({error}), expected pairs of x and y; give them as x,y.") from error
    if corners.ndim != 2 or corners.shape[1] != 2 or not np.isfinite(corners).all():
        raise ConfigError(f"the lasso's corners have shape {corners.shape}, expected pairs (n, 2) of finite x and y; give them as x,y.")
    corners = corners[np.any(corners != np.roll(corners, 1, axis=0), axis=1)]
    if len(corners) < 3:
        raise ConfigError(f"the lasso has {len(corners)} different corners, expected at least 3; draw around an area.")
    return corners


def lasso(polygon: ArrayLike, plane: Plane, cells: NDArray[np.int32], points: Points) -> NDArray[np.bool_]:
    """Return which points lie in a polygon by the even-odd rule, exactly as a test of every point would.

    Parameters
    ----------
    polygon : array (n, 2)
        Corners in (x, y), in the units of the plane.
    plane : Plane
    cells : int32 array (m,)
        Cells of the points as `Plane.cells` gave them.
    points : callable
        Asked for the coordinates of the points in cells that the polygon's line passes through.

    Returns
    -------
    bool array (m,)
        False for what is no point.

    Raises
    ------
    ConfigError
        As `checked_polygon`.

    References
    ----------
    Shimrat (1962), Algorithm 112: Position of point relative to polygon.
    """
    corners = checked_polygon(polygon)
    table = cell_table(corners, plane)
    found = np.empty(cells.size, dtype=np.uint8)
    flat = cells.reshape(-1)
    near = []
    for start in range(0, flat.size, _CHUNK):
        part = np.take(table, flat[start : start + _CHUNK], out=found[start : start + _CHUNK], mode="clip")
        near.append(np.flatnonzero(part == _LINE) + start)
    doubtful = np.concatenate(near) if near else np.zeros(0, dtype=np.intp)
    step = max(256, _TESTS // len(corners))
    for start in range(0, doubtful.size, step):
        numbers = doubtful[start : start + step]
        x, y = points(numbers)
        found[numbers] = points_in_poly(np.column_stack((x, y)).astype(np.float64), corners)
    return found.view(np.bool_)


def cell_table(corners: NDArray[np.float64], plane: Plane) -> NDArray[np.uint8]:
    """Return of every cell of a plane, and of nowhere, whether it lies outside (0) or inside (1) a polygon, or on its line (2)."""
    bins = plane.bins
    (x0, x1), (y0, y1) = plane.limits
    scale = np.array([bins / (x1 - x0), bins / (y1 - y0)])
    line = _touched((corners - (x0, y0)) * scale, bins)
    # Points beyond the limits are in the cells of the border, so that nothing is known of them.
    line[[0, -1]] = line[:, [0, -1]] = True
    areas, count = ndimage.label(~line)
    middle = ndimage.find_objects(areas)
    inside = np.zeros(count + 1, dtype=np.uint8)
    for number, box in enumerate(middle, start=1):
        # No line passes through an area, so one of its cells tells of all.
        column, row = np.argwhere(areas[box] == number)[0] + [box[0].start, box[1].start]
        centre = np.array([[x0, y0]]) + (np.array([[column, row]]) + 0.5) / scale
        inside[number] = points_in_poly(centre, corners)[0]
    table = np.where(line, np.uint8(_LINE), inside[areas]).astype(np.uint8)
    return np.append(table.ravel(), np.uint8(_OUTSIDE))


def _touched(corners: NDArray[np.float64], bins: int) -> NDArray[np.bool_]:
    """Return which cells (x bin, y bin) a closed line touches; its corners (n, 2) are in cells."""
    start, end = corners, np.roll(corners, -1, axis=0)
    turned = start[:, 0] > end[:, 0]
    left, right = np.where(turned[:, None], end, start), np.where(turned[:, None], start, end)
    first = np.clip(np.floor(left[:, 0] - _SLACK), 0, bins - 1).astype(np.intp)
    last = np.clip(np.floor(right[:, 0] + _SLACK), 0, bins - 1).astype(np.intp)
    edge, column = _ranges(first, last)
    run = right[edge, 0] - left[edge, 0]
    slope = np.divide(right[edge, 1] - left[edge, 1], run, out=np.zeros_like(run), where=run > 0)
    here = np.clip(column - _SLACK, left[edge, 0], right[edge, 0])
    there = np.clip(column + 1 + _SLACK, left[edge, 0], right[edge, 0])
    begin, finish = left[edge, 1] + slope * (here - left[edge, 0]), left[edge, 1] + slope * (there - left[edge, 0])
    upright = run == 0
    begin[upright], finish[upright] = left[edge, 1][upright], right[edge, 1][upright]
    low, high = np.minimum(begin, finish) - _SLACK, np.maximum(begin, finish) + _SLACK
    lowest, highest = (np.clip(np.floor(side), 0, bins - 1).astype(np.intp) for side in (low, high))
    which, row = _ranges(lowest, highest)
    touched = np.zeros((bins, bins), dtype=bool)
    touched[column[which], row] = True
    return touched


def _ranges(first: NDArray[np.intp], last: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return all whole numbers of several ranges, ends included, and the range that each belongs to."""
    lengths = last - first + 1
    owner = np.repeat(np.arange(len(first)), lengths)
    offset = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return owner, first[owner] + offset
