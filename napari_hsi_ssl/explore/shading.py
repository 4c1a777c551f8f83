"""Pictures of densities: legible from a thousand points to fifty million, in one colour scale or mixed from the colours of groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.explore.ramps import ramp

Counts = NDArray[np.integer]

_FAINTEST = 0.3
_FEWEST_BINS = 32
_DOTS = ((2_000, 2), (20_000, 1))
"""Fewer points than this are drawn as dots of this radius in bins."""


def shade(counts: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return logarithmic brightness in [0, 1] of counts; 0 where nothing lies, at least `_FAINTEST` where anything does.

    One pixel is as visible as it must be, and the fullest bin does not outshine the rest.
    """
    logs = np.log1p(counts.astype(np.float32))
    top = float(logs.max(initial=0.0))
    if top == 0:
        return logs
    return np.where(logs > 0, _FAINTEST + (1 - _FAINTEST) * logs / top, 0).astype(np.float32)


def single_image(counts: NDArray[np.generic], dark: bool) -> NDArray[np.uint8]:
    """Return RGBA (x bins, y bins, 4) of one density in viridis, its dense end the one that stands out from the background."""
    level = shade(counts)
    index = level if dark else 1 - level * 0.95
    image = np.empty((*level.shape, 4), dtype=np.uint8)
    image[..., :3] = ramp("sequential")[(index * 255).astype(np.uint8)]
    image[..., 3] = np.where(level > 0, 255, 0)
    return image


def blended_image(layers: Sequence[Counts], colours: Sequence[str]) -> NDArray[np.uint8]:
    """Return RGBA (x bins, y bins, 4) in which a bin has the mixed colours of what lies in it, each weighted by its own logarithm.

    A small group is not drowned by a large one: every group is scaled by its own fullest bin.
    """
    filled = np.zeros(layers[0].shape, dtype=bool)
    for counts in layers:
        filled |= counts > 0
    weights = np.array([shade(counts[filled]) for counts in layers])
    mixed = (weights / np.maximum(weights.sum(axis=0), 1e-9)).T @ np.array([_channels(colour) for colour in colours], dtype=np.float32)
    image = np.zeros((*filled.shape, 4), dtype=np.uint8)
    image[filled] = np.column_stack((np.rint(mixed), np.rint(255 * np.sqrt(weights.max(axis=0, initial=0)))))
    return image


def tinted_image(counts: NDArray[np.generic], colour: str) -> NDArray[np.uint8]:
    """Return RGBA (x bins, y bins, 4) of one density in one colour, to be laid over another picture."""
    level = shade(counts)
    image = np.empty((*level.shape, 4), dtype=np.uint8)
    image[..., :3] = _channels(colour)
    image[..., 3] = np.where(level > 0, 90 + 165 * level, 0)
    return image


def _channels(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return red, green, blue


def side_for(points: float, bins: int) -> int:
    """Return how many bins a side show some number of points best: about two and a half times its root, by powers of two.

    Few enough to be drawn as dots keep all bins, and so do very many.
    """
    if points < _DOTS[-1][0]:
        return bins
    side = bins
    while side > 2.5 * points**0.5 and side > _FEWEST_BINS and side % 2 == 0:
        side //= 2
    return side


def binned(counts: Counts, side: int) -> Counts:
    """Return counts on ``side`` × ``side`` bins, neighbouring ones added up, so that no point is lost."""
    parts = counts.shape[0] // side
    return counts if parts == 1 else counts.reshape(side, parts, side, parts).sum(axis=(1, 3))


def dotted(counts: Counts) -> Counts:
    """Return counts in which each filled bin of few points is as large as a dot must be to be seen; many stay as they are."""
    points = int(counts.sum())
    radius = next((size for most, size in _DOTS if points < most), 0)
    if radius == 0 or counts.shape[0] < 256:
        return counts
    x, y = np.nonzero(counts)
    values = counts[x, y]
    grown = np.zeros(tuple(side + 2 * radius for side in counts.shape), dtype=counts.dtype)
    for right in range(-radius, radius + 1):
        for up in range(-radius, radius + 1):
            if right * right + up * up <= radius * radius + 0.5:
                place = (x + radius + right, y + radius + up)
                grown[place] = np.maximum(grown[place], values)
    return grown[radius:-radius, radius:-radius]
