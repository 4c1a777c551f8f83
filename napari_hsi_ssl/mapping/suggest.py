"""Where to paint next: compact regions in which the map is least sure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import approximate_polygon, find_contours

_CELLS: Final = 250_000
"""The image is looked at on a grid of at most this many cells."""
_LEAST_DOUBT: Final = 0.005
"""Where the map is surer than this nothing is suggested."""
_FAINT: Final = 0.25
"""Nor where there is less doubt than this share of the first suggestion's."""
_EDGE: Final = 0.7
"""A region ends where the doubt falls below this share of its peak's."""


@dataclass(frozen=True, eq=False)
class Suggestion:
    """A region to paint.

    Attributes
    ----------
    number : int
        From 1, the most doubtful first.
    y, x : int
        The pixel with the greatest doubt around it.
    pixels : int
        Used pixels in it.
    doubt : float
        1 − confidence, the mean around (y, x).
    outline : float64 array (n, 2)
        Corners (y, x) of a closed polygon, in pixels.
    """

    number: int
    y: int
    x: int
    pixels: int
    doubt: float
    outline: NDArray[np.float64]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {"number": self.number, "y": self.y, "x": self.x, "pixels": self.pixels, "doubt": self.doubt, "outline": self.outline.tolist()}


def suggest(confidence: NDArray[np.floating], known: NDArray[np.bool_], strokes: NDArray[np.integer], count: int = 5) -> list[Suggestion]:
    """Return up to ``count`` regions, far enough from each other and from what is painted.

    Parameters
    ----------
    confidence : float array (y, x)
        Of a map, in [0, 1].
    known : bool array (y, x)
        Where the map has a class.
    strokes : int array (y, x)
        0 = not painted.
    """
    height, width = confidence.shape
    step = max(1, int(np.ceil(np.sqrt(height * width / _CELLS))))
    share = _cells(known.astype(np.float32), step)
    doubt = _cells(np.where(known, 1 - confidence, 0).astype(np.float32), step)
    radius = max(2, round(min(doubt.shape) / 40))
    # A mean over used pixels, less where few of them are around: the margin of a mask is not where to paint.
    doubt, share = ndimage.gaussian_filter(doubt, radius / 2, mode="constant"), ndimage.gaussian_filter(share, radius / 2, mode="constant")
    doubt = np.where(share > 0.05, doubt * np.sqrt(share) / np.maximum(share, 0.05), 0)
    painted = _cells((strokes != 0).astype(np.float32), step) > 0
    doubt[ndimage.binary_dilation(painted, iterations=radius)] = 0
    found: list[Suggestion] = []
    left = doubt.copy()
    while len(found) < count:
        row, column = (int(place) for place in np.unravel_index(int(left.argmax()), left.shape))
        peak = float(left[row, column])
        if peak < max(_LEAST_DOUBT, _FAINT * found[0].doubt if found else 0):
            break
        top, side = max(0, row - 2 * radius), max(0, column - 2 * radius)
        box = (slice(top, row + 2 * radius + 1), slice(side, column + 2 * radius + 1))
        pieces, _ = ndimage.label(left[box] >= _EDGE * peak)
        region = pieces == pieces[row - top, column - side]
        outline = _outline(region, (top, side), step)
        inside = np.zeros(left.shape, dtype=bool)
        inside[box] = region
        pixels = int(known[_pixels(inside, step, known.shape)].sum())
        y, x = min(height - 1, row * step + step // 2), min(width - 1, column * step + step // 2)
        found.append(Suggestion(len(found) + 1, y, x, pixels, peak, outline))
        # The next one lies elsewhere.
        away = (slice(max(0, row - 4 * radius), row + 4 * radius + 1), slice(max(0, column - 4 * radius), column + 4 * radius + 1))
        left[away] = 0
    return found


def _cells(image: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Return the means of cells of ``step`` × ``step`` pixels; those at the end hold fewer pixels, and count as if the rest were 0."""
    if step == 1:
        return image
    height, width = (-(-side // step) * step for side in image.shape)
    padded = np.zeros((height, width), dtype=np.float32)
    padded[: image.shape[0], : image.shape[1]] = image
    means: NDArray[np.float32] = padded.reshape(height // step, step, width // step, step).mean(axis=(1, 3))
    return means


def _pixels(cells: NDArray[np.bool_], step: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    return cells.repeat(step, axis=0).repeat(step, axis=1)[: shape[0], : shape[1]]


def _outline(region: NDArray[np.bool_], corner: tuple[int, int], step: int) -> NDArray[np.float64]:
    """Return the outer outline (n, 2) of a region of cells, in pixels of the image."""
    contours = find_contours(np.pad(region.astype(np.float32), 1), 0.5)
    longest = max(contours, key=len)
    polygon = approximate_polygon(longest - 1, 0.6)[:-1]
    return np.asarray((polygon + np.asarray(corner) + 0.5) * step - 0.5, dtype=np.float64)
