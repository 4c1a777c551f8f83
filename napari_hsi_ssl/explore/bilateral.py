"""A bilateral filter of component images that is guided by the images themselves: noise is averaged away, edges stay."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from typing import Final

import numpy as np
from numpy.typing import NDArray

STRENGTH: Final = 1.5
"""How different two spectra may be, in standard deviations of the noise, before they count as little; of a trial on held-out blocks."""
_TILE_BYTES: Final = 8 * 2**20
_THREADS: Final = 8


def denoise(scores: NDArray[np.floating], radius: int, unit: NDArray[np.floating], strength: float = STRENGTH) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Average every pixel with its neighbours, the more alike the more (Tomasi and Manduchi 1998), a few rows at a time.

    The weight of a neighbour is ``exp(−d² / 2h²) · exp(−r² / 2s²)``: d² is half the mean squared difference of the two spectra in
    units of the noise, so that two pixels of one material lie at 1; r is their distance, and s half the radius.

    Parameters
    ----------
    scores : array (y, x, k)
        NaN where not measured; such pixels stay NaN and count for no other.
    radius : int
        Neighbours up to this many rows and columns away.
    unit : array (k,)
        What one stored unit of a component is, in standard deviations of its noise.
    strength : float
        h.

    Yields
    ------
    rows, values : slice, float32 array (rows, x, k)
        From top to bottom, in the units of ``scores``.
    """
    height, width, k = scores.shape
    rows = max(1, radius, _TILE_BYTES // (4 * width * k))  # who writes a part in place must know that only its neighbours look into it
    parts = [slice(start, min(height, start + rows)) for start in range(0, height, rows)]
    factors = np.asarray(unit, dtype=np.float32)

    def filtered(part: slice) -> NDArray[np.float32]:
        first, last = max(0, part.start - radius), min(height, part.stop + radius)
        return _filter(np.asarray(scores[first:last], dtype=np.float32), slice(part.start - first, part.stop - first), radius, factors, strength)

    threads = max(1, min(_THREADS, cpu_count() or 1))
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(parts), threads):
            wave = parts[start : start + threads]
            yield from zip(wave, pool.map(filtered, wave), strict=True)


def _filter(strip: NDArray[np.float32], inside: slice, radius: int, factors: NDArray[np.float32], strength: float) -> NDArray[np.float32]:
    """Filter the rows ``inside`` of a strip that reaches ``radius`` rows beyond them, where the image does."""
    measured: NDArray[np.bool_] = np.asarray(np.isfinite(strip).all(axis=-1))
    values = np.where(measured[..., None], strip, 0)
    guide = values * factors
    height, width, k = values.shape
    total = values[inside].copy()
    weight = np.ones(total.shape[:2], dtype=np.float32)
    near = 0.5 / max(radius / 2, 0.5) ** 2
    alike = np.float32(1 / (4 * strength**2 * k))
    for dy in range(-radius, radius + 1):
        top, bottom = max(inside.start, -dy), min(inside.stop, height - dy)
        if top >= bottom:
            continue
        here = slice(top - inside.start, bottom - inside.start)
        for dx in range(-radius, radius + 1):
            left, right = max(0, -dx), min(width, width - dx)
            if left >= right or (dy == 0 and dx == 0):
                continue
            other = (slice(top + dy, bottom + dy), slice(left + dx, right + dx))
            apart = guide[top:bottom, left:right] - guide[other]
            share = np.exp(-alike * np.einsum("yxk,yxk->yx", apart, apart) - np.float32(near * (dy * dy + dx * dx))) * measured[other]
            total[here, left:right] += share[..., None] * values[other]
            weight[here, left:right] += share
    total /= weight[..., None]
    total[~measured[inside]] = np.nan
    return total
